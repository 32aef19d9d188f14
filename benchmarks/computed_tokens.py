"""Tokens put through the model's linear layers over useful tokens: `python -m benchmarks.computed_tokens`.

Useful tokens are those of each prompt once, and of all responses. Computed ones are counted by a hook on a
linear layer of the first block, during the package's own update, not worked out by a formula. The last
token of a response predicts nothing and is not computed, so a little below 1 is possible.

The batch is one policy's share of a multi-agent step: 3 tasks, 2 agents, 2 turns each, 4 candidates. A
turn's prompt grows by its history: 16 to 576 tokens, evenly in the logarithm; responses are log-normal with
median 40 (0.8 in the logarithm), within 4 to 200, seed 0; sequences have 20 to 600 tokens. Beside it,
counted in the same way: rows that do not share their prompts, the micro-batches of 512 tokens that a CPU
has by default (a row above the budget is cut, and its prompt computed again for each part), and the batch
padded to its longest prompt and response, in micro-batches of 8. Attention is counted in pairs of query and
key, computed over needed.

The model is the embedded one with its first block and a vocabulary of 1,024: how many tokens a layer sees
does not depend on these.
"""

import random
from contextlib import contextmanager

from benchmarks.batches import (
    POLICY,
    batch_of,
    embedded_policies,
    lognormal_lengths,
    samples_of,
    token_counts,
)
from benchmarks.harness import command_line, record

TURNS, CANDIDATES = 12, 4
VOCABULARY = 1024
BUDGET, CPU_BUDGET = 8192, 512
PADDED_ROWS = 8


def lengths():
    source = random.Random(0)
    prompts = [round(16 * 36 ** ((turn + source.random()) / TURNS)) for turn in range(TURNS)]
    responses = [
        lognormal_lengths(source, CANDIDATES, median=40, spread=0.8, limits=(4, 200)) for _ in prompts
    ]
    return list(zip(prompts, responses, strict=True))


class Counter:
    """What goes through one linear layer, and the pairs that attention computes, in forward passes."""

    def __init__(self, base):
        self.tokens = self.pairs = 0
        layer = base.model.layers[0].self_attn.q_proj
        layer = getattr(layer, "base_layer", layer)
        layer.register_forward_hook(self._saw)

    def _saw(self, _layer, inputs, _output):
        self.tokens += inputs[0].shape[:-1].numel()

    @contextmanager
    def counting(self):
        """Count anew inside the block."""
        import torch
        from torch.overrides import TorchFunctionMode

        counter = self
        self.tokens = self.pairs = 0

        class Attention(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                kwargs = kwargs or {}
                if function is torch.nn.functional.scaled_dot_product_attention:
                    (rows, _, queries, _), keys = args[0].shape, args[1].shape[2]
                    # A causal kernel skips what is ahead.
                    causal = kwargs.get("is_causal", False)
                    counter.pairs += rows * (queries * (queries + 1) // 2 if causal else queries * keys)
                return function(*args, **kwargs)

        with Attention():
            yield


def cut(base):
    """Keep the first block and the first `VOCABULARY` tokens."""
    import torch

    base.model.layers = base.model.layers[:1]
    weight = torch.nn.Parameter(base.lm_head.weight[:VOCABULARY].detach(), requires_grad=False)
    base.model.embed_tokens.weight = base.lm_head.weight = weight


def needed_pairs(groups):
    """Pairs of query and key when each prompt is computed once and each response's last token never."""
    total = 0
    for group in groups:
        prompt = len(group.members[0].prompt_ids)
        total += prompt * (prompt + 1) // 2
        for one in group.members:
            own = len(one.sample.completion.token_ids) - 1
            total += own * prompt + own * (own + 1) // 2
    return total


def updated(counter, policies, groups, *, shared, budget):
    """Count one update; returns tokens and pairs."""
    from dataclasses import replace

    from pettingllms.training.ranks import Ranks
    from pettingllms.training.update import Update

    policies.shared_prompt = shared
    policies.plans[POLICY] = replace(policies.plans[POLICY], token_budget=budget)
    with counter.counting():
        Update(policies, POLICY, groups, Ranks(), seed=0, check=lambda: None).run()
    return counter.tokens, counter.pairs


def padded(counter, base, groups):
    """Count forward passes of the padded batch; returns tokens and pairs."""
    import torch

    samples = samples_of(groups)
    prompt = max(len(one.prompt_ids) for one in samples)
    width = prompt + max(len(one.sample.completion.token_ids) for one in samples)
    with counter.counting(), torch.no_grad():
        for begin in range(0, len(samples), PADDED_ROWS):
            part = samples[begin : begin + PADDED_ROWS]
            ids, mask = torch.zeros(2, len(part), width, dtype=torch.long)
            for row, one in enumerate(part):
                tokens = torch.tensor(one.prompt_ids + one.sample.completion.token_ids)
                start = prompt - len(one.prompt_ids)
                ids[row, start : start + len(tokens)] = tokens
                mask[row, start : start + len(tokens)] = 1
            base.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return counter.tokens, counter.pairs


def main(arguments=None):
    options = command_line(__doc__).parse_args(arguments)
    policies = embedded_policies()
    base = next(iter(policies.weights.values())).model.base_model.model
    cut(base)
    counter = Counter(base)
    groups = batch_of(lengths(), vocabulary=VOCABULARY)
    counts = token_counts(groups)
    useful, pairs = counts["useful"], needed_pairs(groups)
    ours = updated(counter, policies, groups, shared=True, budget=BUDGET)
    others = {
        f"shared prompts, micro-batches of {CPU_BUDGET}": updated(
            counter, policies, groups, shared=True, budget=CPU_BUDGET
        ),
        f"whole sequences, micro-batches of {BUDGET:,}": updated(
            counter, policies, groups, shared=False, budget=BUDGET
        ),
        "padded batch": padded(counter, base, groups),
    }
    record(
        "computed_tokens",
        f"tokens computed / useful tokens, prompts shared, micro-batches of {BUDGET:,}",
        numerator=("computed", ours[0]),
        denominator=("useful", useful),
        unit="tokens",
        at_most=1.05,
        notes={
            "sequences": counts["sequences"],
            "attention pairs, computed / needed": round(ours[1] / pairs, 3),
            **{
                name: f"{tokens / useful:.2f} of useful tokens, {seen / pairs:.2f} of needed pairs"
                for name, (tokens, seen) in others.items()
            },
        },
        save=options.save,
    )


if __name__ == "__main__":
    main()
