"""One policy update against TRL's GRPOTrainer on the same batch: `python -m benchmarks.update_speed`.

An update is log-probabilities, loss, backward pass, gradient clipping and one AdamW step. Both sides: the
embedded model in fp32, LoRA r = 16 on all linear layers, two threads, the same token ids and advantages,
clipped surrogate at temperature 1 with the mean over all tokens, no distance to a reference, no gradient
checkpointing. Loss and gradients are checked to agree to 1e-4 before anything is timed.

The batch is 3 tasks x 8 candidates. Prompts have 24, 48 and 96 tokens; responses are log-normal with median
12 (0.6 in the logarithm), within 2 to 24, seed 0. How many tokens that is, useful and padded, is printed. It
is small because whole updates have to fit into seconds on two cores.

TRL gets its inputs as its own generation leaves them: prompts padded on the left and responses on the right
to the longest of the batch. Micro-batches of 8 and of all 24 sequences are tried first, and the faster is
compared. It has no padding-free GRPO, and what it has for GPUs needs Triton: Liger's kernels, and leaving out
the positions that are not scored. So its output matrix sees every position, in chunks, and it computes
entropies for its metrics, as it always does. Ours is cut into micro-batches of 512 tokens, as by default on a
CPU, and builds its tensors inside the time.

Left out on both sides: generation, rewards, advantages, and old log-probabilities, which an update of one
optimizer step does not need.
"""

import os
import random
import tempfile

from benchmarks.batches import (
    ALPHA,
    MODEL,
    POLICY,
    RANK,
    batch_of,
    embedded_policies,
    lognormal_lengths,
    samples_of,
    token_counts,
)
from benchmarks.harness import Side, command_line, measure, timed

PROMPTS = (24, 48, 96)
CANDIDATES = 8
MICRO_BATCHES = (8, 24)
TOLERANCE = 1e-4
TARGETS = {"separate": 0.60, "shared": 0.40}


def lengths():
    source = random.Random(0)
    return [
        (prompt, lognormal_lengths(source, CANDIDATES, median=12, spread=0.6, limits=(2, 24)))
        for prompt in PROMPTS
    ]


class Ours:
    """One update of the package."""

    def __init__(self, groups):
        self.policies = embedded_policies()
        self.groups = groups

    def update(self, shared):
        """Returns the loss. `shared`: whether the candidates of a task share their prompt."""
        from pettingllms.training.ranks import Ranks
        from pettingllms.training.update import Update

        self.policies.shared_prompt = shared
        update = Update(self.policies, POLICY, self.groups, Ranks(), seed=0, check=lambda: None)
        return update.run().metrics["loss"]

    @property
    def optimizer(self):
        return self.policies.optimizers[POLICY]


class Theirs:
    """TRL's trainer with the same adapter, and the batch as its own generation would leave it."""

    def __init__(self, ours, groups, micro_batch, folder):
        from datasets import Dataset
        from peft import LoraConfig
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import GRPOConfig, GRPOTrainer

        from pettingllms.models.folders import local_folder

        samples = samples_of(groups)
        model_folder = local_folder(MODEL, print)
        parts = len(samples) // micro_batch
        longest = max(len(one.sample.completion.token_ids) for one in samples)
        self.trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(
                model_folder, dtype="float32", attn_implementation="sdpa"
            ),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                report_to="none",
                gradient_checkpointing=False,
                per_device_train_batch_size=micro_batch,
                gradient_accumulation_steps=parts,
                steps_per_generation=parts,
                num_generations=CANDIDATES,
                max_completion_length=longest,
                temperature=1.0,
                beta=0.0,
                epsilon=0.2,
                loss_type="dapo",  # the mean over all tokens of the batch
                learning_rate=1e-6,
                lr_scheduler_type="constant",
                weight_decay=0.0,
                max_grad_norm=1.0,
            ),
            train_dataset=Dataset.from_dict({"prompt": ["unused"] * len(samples)}),
            processing_class=AutoTokenizer.from_pretrained(model_folder),
            peft_config=LoraConfig(
                r=RANK, lora_alpha=ALPHA, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
            ),
        )
        self.model = self.trainer.model.train()
        self.trainer.create_optimizer()
        self.trainer.current_gradient_accumulation_steps = parts
        self.parts = list(padded_inputs(samples, micro_batch))
        self.take(ours.policies)

    @property
    def optimizer(self):
        return self.trainer.optimizer

    @property
    def parameters(self):
        return [one for one in self.model.parameters() if one.requires_grad]

    def take(self, policies):
        """Start from the adapter of ours."""
        for own, other in zip(self.parameters, policies.parameters(POLICY), strict=True):
            own.data.copy_(other.data)

    def update(self):
        """What transformers' training loop does with the micro-batches of one optimizer step."""
        import torch

        loss = 0.0
        for inputs in self.parts:
            part = self.trainer.compute_loss(self.model, inputs)
            self.trainer.accelerator.backward(part)
            loss += float(part.detach())
        torch.nn.utils.clip_grad_norm_(self.parameters, self.trainer.args.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


def padded_inputs(samples, micro_batch):
    """The batch as `GRPOTrainer._generate_and_score_completions` returns it, cut into micro-batches."""
    import torch
    from trl.trainer.utils import pad

    prompts = [torch.tensor(one.prompt_ids) for one in samples]
    responses = [torch.tensor(one.sample.completion.token_ids) for one in samples]
    whole = {
        "prompt_ids": pad(prompts, padding_value=0, padding_side="left"),
        "prompt_mask": pad(list(map(torch.ones_like, prompts)), padding_value=0, padding_side="left"),
        "completion_ids": pad(responses, padding_value=0, padding_side="right"),
        "completion_mask": pad(list(map(torch.ones_like, responses)), padding_value=0, padding_side="right"),
        "advantages": torch.tensor([one.advantage for one in samples]),
    }
    items = torch.tensor(sum(map(len, responses)))
    for begin in range(0, len(samples), micro_batch):
        yield {name: value[begin : begin + micro_batch] for name, value in whole.items()} | {
            "num_items_in_batch": items
        }


def gradients(side, update):
    """The loss of one update and the gradients that the optimizer was given, after clipping."""
    kept = []

    def keep(optimizer, *_):
        kept.extend(one.grad.clone() for group in optimizer.param_groups for one in group["params"])

    handle = side.optimizer.register_step_pre_hook(keep)
    loss = update()
    handle.remove()
    return loss, kept


def gap(first, second):
    """Largest difference of loss and of gradients, the latter over the largest gradient."""
    largest = max(float(one.abs().max()) for one in second[1])
    apart = max(float((a - b).abs().max()) for a, b in zip(first[1], second[1], strict=True))
    return max(abs(first[0] - second[0]), apart / largest)


def main(arguments=None):
    options = command_line(__doc__).parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    from trl import import_utils

    # TRL warns of vLLM versions that it does not know, and updates need none.
    import_utils.is_vllm_available = lambda *_, **__: False
    groups = batch_of(lengths())
    ours = Ours(groups)
    before = ours.policies.snapshot()
    with tempfile.TemporaryDirectory() as folder:
        sides = {size: Theirs(ours, groups, size, folder) for size in MICRO_BATCHES}
        their_step = gradients(sides[MICRO_BATCHES[0]], sides[MICRO_BATCHES[0]].update)
        tried = {size: timed(side.update)() for size, side in sides.items()}
        theirs = sides[min(tried, key=tried.get)]
        counts = token_counts(groups)
        for kind, target in TARGETS.items():
            shared = kind == "shared"
            ours.policies.restore(before)
            apart = gap(gradients(ours, lambda shared=shared: ours.update(shared)), their_step)
            if apart > TOLERANCE:
                raise SystemExit(f"loss or gradients differ by {apart:.1e} ({kind})")
            measure(
                f"update_speed-{kind}",
                f"one update, {'prompts shared' if shared else 'every sequence whole'} / TRL GRPOTrainer",
                Side("ours", timed(lambda shared=shared: ours.update(shared))),
                Side("TRL", timed(theirs.update)),
                unit="s",
                warmups=0,  # both have just run
                at_most=target,
                notes={
                    "tokens": counts,
                    "padded / useful": round(counts["padded"] / counts["useful"], 2),
                    "TRL s by micro-batch": {size: round(seconds, 2) for size, seconds in tried.items()},
                    "loss and gradients agree to": float(f"{apart:.1e}"),
                },
                runs=options.runs,
                save=options.save,
            )


if __name__ == "__main__":
    main()
