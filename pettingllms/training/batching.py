"""From groups to padded tensors: one row holds a prompt once, with all its responses behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pettingllms.advantages.grouping import Group
from pettingllms.types import Sample

SHARED_PROMPT_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures whose attention is nothing but the mask given to it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and the responses that follow it, each on its own branch."""

    prompt_ids: tuple[int, ...]
    samples: tuple[Sample, ...]

    @property
    def length(self) -> int:
        """Tokens put through the model: a response's last token predicts nothing."""
        return len(self.prompt_ids) + sum(len(sample.completion.token_ids) - 1 for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch of one policy. B rows of T tokens, N sampled tokens.

    `mask`: [B, 1, T, T] booleans, true where a token (row) sees another (column).
    `scored_N`: flat index into B*T of the position that predicts each sampled token.
    """

    input_BT: Tensor
    position_BT: Tensor
    mask: Tensor
    scored_N: Tensor
    chosen_N: Tensor
    old_N: Tensor
    advantage_N: Tensor


def shares_prompt(model_config: object) -> bool:
    """Whether responses of one prompt may share a row: every layer sees exactly what the mask says."""
    kinds = getattr(model_config, "layer_types", None) or ["full_attention"]
    known = getattr(model_config, "model_type", "") in SHARED_PROMPT_MODELS
    return known and set(kinds) == {"full_attention"}


def rows(groups: Sequence[Group], *, shared: bool) -> list[Row]:
    """The rows that carry gradient: samples with advantage 0 add nothing and are left out."""
    made = []
    for group in groups:
        samples = tuple(sample for sample in group.samples if sample.advantage)
        if shared and samples:
            made.append(Row(group.prompt_ids, samples))
        elif samples:
            made += [Row(group.prompt_ids, (sample,)) for sample in samples]
    return made


def micro_batches(all_rows: Sequence[Row], token_budget: int) -> Iterator[list[Row]]:
    """Rows of like length together, at most `token_budget` padded tokens each (a longer row goes alone)."""
    batch: list[Row] = []
    for row in sorted(all_rows, key=lambda row: row.length):
        # Sorted by length: the new row is the longest, so it sets the padded width.
        if batch and row.length * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def build_batch(batch_rows: Sequence[Row], device: torch.device) -> Batch:
    """Tensors of `batch_rows`, padded on the right.

    Every response continues the prompt's positions and sees the prompt and itself, not its siblings,
    so each token's log-probability is that of its own sequence alone.
    """
    width = max(row.length for row in batch_rows)
    input_BT = torch.zeros(len(batch_rows), width, dtype=torch.long)
    position_BT = torch.zeros(len(batch_rows), width, dtype=torch.long)
    # Padding sees itself: a row without anything to see would turn into NaN.
    mask = torch.eye(width, dtype=torch.bool).repeat(len(batch_rows), 1, 1)
    scored: list[int] = []
    chosen: list[int] = []
    old: list[float] = []
    advantages: list[float] = []
    for index, row in enumerate(batch_rows):
        prompt = len(row.prompt_ids)
        input_BT[index, :prompt] = torch.tensor(row.prompt_ids)
        position_BT[index, :prompt] = torch.arange(prompt)
        mask[index, :prompt, :prompt] = torch.ones(prompt, prompt, dtype=torch.bool).tril()
        begin = prompt
        for sample in row.samples:
            ids = sample.completion.token_ids
            end = begin + len(ids) - 1
            input_BT[index, begin:end] = torch.tensor(ids[:-1], dtype=torch.long)
            position_BT[index, begin:end] = torch.arange(prompt, prompt + len(ids) - 1)
            mask[index, begin:end, :prompt] = True
            mask[index, begin:end, begin:end] = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
            scored += [index * width + place for place in (prompt - 1, *range(begin, end))]
            chosen += ids
            old += sample.completion.logprobs
            advantages += [sample.advantage or 0.0] * len(ids)
            begin = end
    return Batch(
        input_BT.to(device),
        position_BT.to(device),
        mask[:, None].to(device),
        torch.tensor(scored, device=device),
        torch.tensor(chosen, device=device),
        torch.tensor(old, dtype=torch.float32, device=device),
        torch.tensor(advantages, dtype=torch.float32, device=device),
    )
