"""From samples to padded tensors: one row holds a prompt once, with all its responses behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pettingllms.types import Scored, TokenSampling

SHARED_PROMPT_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures whose attention, but for sliding windows, is nothing but the mask given to it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and the responses that follow it, each on its own branch.

    `indexes`: of each of `samples` in the batch that the row was made from.
    """

    prompt_ids: tuple[int, ...]
    sampling: TokenSampling
    indexes: tuple[int, ...]
    samples: tuple[Scored, ...]

    @property
    def length(self) -> int:
        """Tokens put through the model: a response's last token predicts nothing."""
        return len(self.prompt_ids) + sum(_branch(scored) for scored in self.samples)


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch of one policy. B rows of T tokens, S sequences, N sampled tokens.

    `mask`: where rows branch, [B, 1, T, T] booleans, true where a token (row) sees another (column); else
    [B, T], true on tokens and false on padding, and attention is causal.
    `scored_N`: flat index into B*T of the position that predicts each sampled token. `chosen_N`: their ids.
    `sequence_N`: the sequence of each. `engine_N`: the engine's log-probabilities in nats, which may be no
    numbers. `length_S`: sampled tokens of each sequence. `samples`: index of each sequence in the batch that
    the rows were made from.
    """

    input_BT: Tensor
    position_BT: Tensor
    mask: Tensor
    scored_N: Tensor
    chosen_N: Tensor
    sequence_N: Tensor
    engine_N: Tensor
    advantage_N: Tensor
    length_S: Tensor
    samples: tuple[int, ...]
    sampling: TokenSampling

    @property
    def tokens(self) -> int:
        """Number of sampled tokens, N."""
        return len(self.chosen_N)


def shares_prompt(model_config: object) -> bool:
    """Whether responses of one prompt may share a row: every layer sees exactly what the mask says.

    transformers leaves a mask of four dimensions as it is and so skips the sliding window of a model. Where
    the settings have no `layer_types`, a window belongs to every layer.
    """
    if getattr(model_config, "model_type", "") not in SHARED_PROMPT_MODELS:
        return False
    if kinds := getattr(model_config, "layer_types", None):
        return set(kinds) == {"full_attention"}
    return getattr(model_config, "sliding_window", None) is None


def rows(samples: Sequence[Scored], wanted: Sequence[int], *, shared: bool) -> list[Row]:
    """Rows of the samples whose indexes are `wanted`, in their order.

    Samples of equal prompt and equal sampling share a row if `shared`; each has tokens.
    """
    together: dict[object, list[int]] = {}
    for index in wanted:
        scored = samples[index]
        together.setdefault((scored.prompt_ids, scored.sampling) if shared else index, []).append(index)
    return [
        Row(
            samples[indexes[0]].prompt_ids,
            samples[indexes[0]].sampling,
            tuple(indexes),
            tuple(samples[index] for index in indexes),
        )
        for indexes in together.values()
    ]


def micro_batches(
    all_rows: Sequence[Row], *, token_budget: int | None, sequences: int | None
) -> Iterator[list[Row]]:
    """Rows of equal sampling and like length together.

    A micro-batch has at most `token_budget` padded tokens and `sequences` sequences; None is no limit. A row
    above a limit is cut between its responses; a response that is too long by itself goes alone.
    """
    by_sampling: dict[TokenSampling, list[Row]] = {}
    for row in all_rows:
        by_sampling.setdefault(row.sampling, []).extend(_cut(row, token_budget, sequences))
    for alike in by_sampling.values():
        batch: list[Row] = []
        count = 0
        for row in sorted(alike, key=lambda row: row.length):
            # Sorted by length: the new row is the longest, so it sets the padded width.
            padded = row.length * (len(batch) + 1)
            if batch and not _fits(padded, count + len(row.samples), token_budget, sequences):
                yield batch
                batch, count = [], 0
            batch.append(row)
            count += len(row.samples)
        yield batch


def build_batch(batch_rows: Sequence[Row], device: torch.device) -> Batch:
    """Tensors of `batch_rows`, padded on the right.

    Every response continues the prompt's positions and sees the prompt and itself, not its siblings,
    so each token's log-probability is that of its own sequence alone.
    Raises ValueError when a sample has not one log-probability for each token.
    """
    width = max(row.length for row in batch_rows)
    input_BT = torch.zeros(len(batch_rows), width, dtype=torch.long)
    position_BT = torch.zeros(len(batch_rows), width, dtype=torch.long)
    scored: list[int] = []
    tokens: list[tuple[int, float, float, int]] = []
    indexes: list[int] = []
    lengths: list[int] = []
    for number, row in enumerate(batch_rows):
        prompt = len(row.prompt_ids)
        input_BT[number, :prompt] = torch.tensor(row.prompt_ids)
        position_BT[number, :prompt] = torch.arange(prompt)
        begin = prompt
        for index, one in zip(row.indexes, row.samples, strict=True):
            completion = one.sample.completion
            end = begin + _branch(one)
            input_BT[number, begin:end] = torch.tensor(completion.token_ids[:-1], dtype=torch.long)
            position_BT[number, begin:end] = torch.arange(prompt, prompt + end - begin)
            scored += [number * width + place for place in (prompt - 1, *range(begin, end))]
            tokens += [
                (token, logprob, one.advantage, len(indexes))
                for token, logprob in zip(completion.token_ids, completion.logprobs, strict=True)
            ]
            indexes.append(index)
            lengths.append(len(completion.token_ids))
            begin = end
    chosen, engine, advantages, sequences = zip(*tokens, strict=True)
    return Batch(
        input_BT.to(device),
        position_BT.to(device),
        _mask(batch_rows, width).to(device),
        torch.tensor(scored, device=device),
        torch.tensor(chosen, device=device),
        torch.tensor(sequences, device=device),
        torch.tensor(engine, dtype=torch.float32, device=device),
        torch.tensor(advantages, dtype=torch.float32, device=device),
        torch.tensor(lengths, device=device),
        tuple(indexes),
        batch_rows[0].sampling,
    )


def _branch(scored: Scored) -> int:
    return len(scored.sample.completion.token_ids) - 1


def _fits(tokens: int, count: int, token_budget: int | None, sequences: int | None) -> bool:
    return (token_budget is None or tokens <= token_budget) and (sequences is None or count <= sequences)


def _cut(row: Row, token_budget: int | None, sequences: int | None) -> list[Row]:
    """Parts of `row` within the limits, as few as its order allows; `row` itself when it is."""
    if _fits(row.length, len(row.samples), token_budget, sequences):
        return [row]
    parts: list[Row] = []
    begin, length = 0, len(row.prompt_ids)
    for end, scored in enumerate(row.samples):
        length += _branch(scored)
        if end > begin and not _fits(length, end + 1 - begin, token_budget, sequences):
            parts.append(_part(row, begin, end))
            begin, length = end, len(row.prompt_ids) + _branch(scored)
    return [*parts, _part(row, begin, len(row.samples))]


def _part(row: Row, begin: int, end: int) -> Row:
    return replace(row, indexes=row.indexes[begin:end], samples=row.samples[begin:end])


def _mask(batch_rows: Sequence[Row], width: int) -> Tensor:
    """Plain rows need no more than their lengths, which also serves layers that are not plain attention."""
    if all(len(row.samples) == 1 for row in batch_rows):
        return torch.arange(width) < torch.tensor([[row.length] for row in batch_rows])
    # Padding sees itself: a row without anything to see would turn into NaN.
    mask = torch.eye(width, dtype=torch.bool).repeat(len(batch_rows), 1, 1)
    for number, row in enumerate(batch_rows):
        begin = len(row.prompt_ids)
        mask[number, :begin, :begin] = torch.ones(begin, begin, dtype=torch.bool).tril()
        for one in row.samples:
            end = begin + _branch(one)
            mask[number, begin:end, : len(row.prompt_ids)] = True
            mask[number, begin:end, begin:end] = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
            begin = end
    return mask[:, None]
