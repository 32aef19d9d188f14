"""What a checkpoint costs the training loop: `python -m benchmarks.checkpoint_stall`.

A policy whose adapter, moments and counters have about 270 MB, saved as the loop saves it: from the copy that
each step takes anyway, to the disk that holds the temporary folder. The other side writes as many bytes from
memory into one file and flushes it to the disk.

`checkpoint_stall-waiting`: seconds for which the loop stands still where it waits for the checkpoint.

`checkpoint_stall-background`: the same where it does not wait: the seconds of `save`, and of the wait after
training (backward passes of a small model, on one thread, for several times as long as the write takes).
How much longer that training takes beside the writer than alone, right before, is printed with it: on a
machine with a core to spare it is little.

`checkpoint_stall-size`: bytes of the checkpoint's files over those of the tensors in it.

Left out: the copy itself, which a step needs to be able to go back; its seconds are printed.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from benchmarks.harness import Side, command_line, measure, record, timed
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.config.training import TrainingConfig

RANK = 128
TRAINING_ROUNDS = 5
"""Training beside a save, in times of what the write takes."""


def plans(model):
    """One policy with a large adapter."""
    weights = {"lora_rank": RANK, "lora_alpha": 2.0 * RANK}
    config = ExperimentConfig.model_validate(
        {
            "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
            "base_models": {"policy_0": {"path": str(model), "name": "policy"}},
            "agent_policy_configs": {"num_agents": 1, "agent_configs": {}},
            "multi_agent_interaction": {"turn_order": ["agent"]},
            "training": {"device": "cpu"},
            "models": {
                "model_0": {"ppo_trainer_config": {"actor_rollout_ref": {"model": weights}}},
            },
        }
    )
    return plan_policies(config).values()


def built(folder):
    """Policies after one optimizer step, on a model with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from pettingllms.training.policies import Policies

    sizes = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12}
    heads = {"num_attention_heads": 12, "num_key_value_heads": 12}
    LlamaForCausalLM(LlamaConfig(vocab_size=512, **sizes, **heads)).save_pretrained(folder)
    policies = Policies(plans(folder), folder, torch.device("cpu"), trust_remote_code=False, seed=0)
    for parameter in policies.parameters("policy"):
        parameter.grad = torch.randn_like(parameter)
    policies.optimizers["policy"].step()
    policies.optimizers["policy"].zero_grad(set_to_none=True)
    return policies


class Training:
    """Work like that of an update: many small operations, forward and backward."""

    def __init__(self):
        import torch

        self.layers = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(8)])
        self.rows = torch.randn(64, 512)

    def run(self, rounds):
        for _ in range(rounds):
            self.layers(self.rows).square().mean().backward()


class Saving:
    """The loop's part in saving one policy, below `folder`."""

    def __init__(self, folder):
        from pettingllms.training.saving import CheckpointSaver
        from pettingllms.training.state import RANDOM, RandomNumbers

        (folder / "trial.toml").write_text("")
        policies = built(folder / "model")
        begin = time.perf_counter()
        self.snapshot = policies.snapshot()
        self.copying = time.perf_counter() - begin
        self.random = RandomNumbers(0).state()
        self.parts = {RANDOM: self.random}
        self.step = 0
        events = SimpleNamespace(write=lambda *_, **__: None, warning=print)
        self.waiting, self.beside = (
            CheckpointSaver(
                TrainingConfig(keep_checkpoints=1, save_in_background=background), policies, folder, events
            )
            for background in (False, True)
        )

    def save(self, saver):
        from pettingllms.training.checkpoint import Checkpoint
        from pettingllms.training.state import RunState

        self.step += 1
        saver.save(Checkpoint(RunState(self.step, self.snapshot, self.parts), [self.parts], {}))

    def tensors(self):
        """Bytes of all that is saved."""
        weights = [one for own in self.snapshot.parameters.values() for one in own]
        moments = [own for state in self.snapshot.optimizers.values() for own in state["state"].values()]
        held = [*weights, *(one for own in moments for one in own.values()), *self.random[0].values()]
        return sum(tensor.nbytes for tensor in held)


def size_of_newest(folder):
    """Bytes of its files."""
    from pettingllms.runs.checkpoints import checkpoints

    newest = list(checkpoints(folder / "checkpoints").values())[-1]
    return sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())


def main(arguments=None):
    """Measure the stall of both ways of saving, then the size."""
    options = command_line(__doc__).parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saving, training = Saving(folder), Training()
        saving.save(saving.waiting)
        size = size_of_newest(folder)
        content = os.urandom(size)

        def plain():
            with (folder / "plain").open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

        training.run(20)
        one_round = timed(lambda: training.run(50))() / 50
        write = statistics.median(timed(plain)() for _ in range(3))
        rounds = int(TRAINING_ROUNDS * write / one_round) + 1
        slower = []

        def beside():
            alone = timed(lambda: training.run(rounds))()
            begun = timed(lambda: saving.save(saving.beside))()
            slower.append(timed(lambda: training.run(rounds))() - alone)
            return begun + timed(saving.beside.wait)()

        notes = {"MB": size / 1e6, "seconds of the copy that a step takes": saving.copying}
        plainly = Side("fsynced write", timed(plain))
        measure(
            "checkpoint_stall-waiting",
            "seconds of a checkpoint that the run waits for / of an fsynced write of as many bytes",
            Side("save", timed(lambda: saving.save(saving.waiting))),
            plainly,
            unit="s",
            runs=options.runs,
            at_most=1.10,
            notes=notes,
            save=options.save,
        )
        notes |= {"seconds of the training": one_round * rounds, "seconds that it is slower by": slower}
        measure(
            "checkpoint_stall-background",
            "seconds that the run waits for a checkpoint in the background / of an fsynced write of as many",
            Side("stand still", beside),
            plainly,
            unit="s",
            runs=options.runs,
            at_most=0.10,
            notes=notes,
            save=options.save,
        )
        record(
            "checkpoint_stall-size",
            "bytes of a checkpoint's files / of the tensors in it",
            numerator=("files", float(size)),
            denominator=("tensors", float(saving.tensors())),
            unit="bytes",
            at_most=1.02,
            save=options.save,
        )
        saving.waiting.close()
        saving.beside.close()


if __name__ == "__main__":
    main()
