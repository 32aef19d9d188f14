"""Whether a long run stays as small as it was: `python -m benchmarks.long_run [steps]`.

One worker trains 2,000 tiny steps: two agents with a policy each, on a Llama of two layers with random
weights, answered by the `hf` engine in its own process; an entropy bonus moves both policies, so that each
step updates and sends both. Looked at from outside after every step, once 100 have warmed it up: resident
memory of the worker and of the engine's process (slope of a line of least squares, MB per 1,000 steps),
their open files and threads, and the adapters on the disk for the engine. Target: slopes below 1, and the
rest flat.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pettingllms.config.trial_file import read_trial
from pettingllms.sweep.launch import launch_environment

WARM_UP = 100
TARGET = 1.0
"""MB per 1,000 steps."""
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

TRIAL = """
format = 1
specialization = "lora"
lora_rank = 4
[resource]
n_gpus_per_node = 0
[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 2
options = { digits = 1, train_size = 64, validation_size = 1, test_size = 0 }
[base_models.policy_0]
path = "@MODEL@"
name = "first"
[base_models.policy_1]
path = "@MODEL@"
name = "second"
[agent_policy_configs]
num_agents = 2
agent_configs.agent_0 = { name = "reasoning_generator", policy_name = "first", system_prompt = "" }
agent_configs.agent_1 = { name = "verifier", policy_name = "second", system_prompt = "" }
[multi_agent_interaction]
turn_order = ["reasoning_generator", "verifier"]
[training]
device = "cpu"
total_training_steps = @STEPS@
logger = []
train_batch_size = 1
train_sample_num = 2
val_freq = 50
save_freq = 50
epoch_size = 50
max_prompt_length = 96
max_response_length = 3
"""
MODEL = """
[models.model_@N@.ppo_trainer_config.actor_rollout_ref]
rollout.name = "hf"
rollout.lora_serving = "adapter"
actor.entropy_coeff = 0.1
"""


@dataclass
class Watched:
    """One process, looked at step by step: resident memory in MB, open files and threads."""

    number: int
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self):
        folder = Path("/proc") / str(self.number)
        self.memory.append(int((folder / "statm").read_text().split()[1]) * PAGE / 1e6)
        self.files.append(sum(1 for _ in (folder / "fd").iterdir()))
        self.threads.append(sum(1 for _ in (folder / "task").iterdir()))

    def slope(self):
        """MB per 1,000 looks."""
        mean = (len(self.memory) - 1) / 2
        level = sum(self.memory) / len(self.memory)
        products = sum((place - mean) * (value - level) for place, value in enumerate(self.memory))
        return 1000 * products / sum((place - mean) ** 2 for place in range(len(self.memory)))


def long_run(steps):
    """Run `steps` steps; returns the worker, the engine, and the numbers of adapters on the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        write_trial(folder, build_model(Path(name) / "model"), steps)
        command = [sys.executable, "-m", "pettingllms.training.worker", str(folder)]
        with (folder / "log.txt").open("wb") as log:
            environment = launch_environment(read_trial(folder / "trial.toml"), os.environ)
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            found = watch(process, folder)
        finally:
            process.kill()
            process.wait()
        if found is None:
            print((folder / "log.txt").read_text()[-2000:], file=sys.stderr)
            raise SystemExit("the run failed")
        return found


def watch(process, folder):
    """Look at the worker and its engine after every step from the warm-up on; None where the run fails."""
    worker, engine, adapters, seen = Watched(process.pid), None, [], 0
    while process.poll() is None:
        records = folder / "metrics.jsonl"
        lines = records.read_bytes().count(b"\n") if records.exists() else 0
        # The last record may be that of a process which is about to end.
        if lines > seen and lines > WARM_UP:
            try:
                engine = engine or Watched(child_of(process.pid))
                worker.look()
                engine.look()
            except OSError:
                break
            adapters.append(len(list((folder / "engine").glob("*/*/adapter_model.safetensors"))))
        seen = max(seen, lines)
        time.sleep(0.005)
    return (worker, engine, adapters) if process.wait() == 0 else None


def child_of(number):
    """The first process that `number` has started."""
    return int(Path(f"/proc/{number}/task/{number}/children").read_text().split()[0])


def write_trial(folder, model, steps):
    text = TRIAL.replace("@STEPS@", str(steps)) + "".join(MODEL.replace("@N@", str(n)) for n in (0, 1))
    (folder / "trial.toml").write_text(text.replace("@MODEL@", str(model)))


def build_model(folder):
    """A tiny Llama with random weights, and the tokenizer of the embedded model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from pettingllms.models.embedded import NAME
    from pettingllms.models.folders import local_folder
    from pettingllms.models.tokenizer import ChatTokenizer

    embedded = local_folder(NAME, print)
    known = json.loads((embedded / "config.json").read_text())["vocab_size"]
    end = min(ChatTokenizer(embedded, trust_remote_code=False).end_ids)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 32}
    config = LlamaConfig(vocab_size=known, eos_token_id=end, tie_word_embeddings=True, **sizes, **heads)
    LlamaForCausalLM(config).save_pretrained(folder)
    for file in embedded.iterdir():
        if file.name not in ("config.json", "generation_config.json") and file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def flat(values):
    """Whether the last fifth goes down as far as the first: what is open for a moment comes and goes."""
    part = max(len(values) // 5, 1)
    return min(values[-part:]) <= min(values[:part])


def main(arguments):
    steps = int(arguments[0]) if arguments else 2000
    begin = time.monotonic()
    worker, engine, adapters = long_run(steps)
    print(f"{steps} steps in {time.monotonic() - begin:.0f} s, {len(adapters)} looks after {WARM_UP} of them")
    good = True
    for name, one in (("worker", worker), ("engine", engine)):
        slope = one.slope()
        good = good and slope < TARGET and flat(one.files) and flat(one.threads)
        print(
            f"{name}: memory {min(one.memory):.1f} to {max(one.memory):.1f} MB, slope {slope:+.2f} MB per "
            f"1,000 steps; open files {min(one.files)} to {max(one.files)}, threads {min(one.threads)} to "
            f"{max(one.threads)}"
        )
    print(f"adapters on the disk: {min(adapters)} to {max(adapters)}")
    good = good and flat(adapters)
    print("met" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
