"""From samples to tensors: one row holds a prompt once, with all its responses behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from pettingllms.training.branches import Span, lay_out
from pettingllms.types import Images, Scored, TokenSampling

PACKED_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures whose layers mix tokens in attention only, and there, but for sliding windows, in no other
way than they are told to."""

KEYS_PER_TOKEN = 8
"""Keys that attention may gather for each token of the budget: every branch brings those of its prompt."""


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
    def images(self) -> Images | None:
        """Those of the prompt."""
        return self.samples[0].images

    @property
    def length(self) -> int:
        """Tokens put through the model: a response's last token predicts nothing."""
        return len(self.prompt_ids) + sum(_branch(scored) for scored in self.samples)

    @property
    def keys(self) -> int:
        """Keys that attention gathers: a branch brings those of its prompt."""
        if len(self.samples) == 1:
            return self.length
        return self.length + len(self.samples) * len(self.prompt_ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch of one policy. B sequences of T tokens, S responses, N sampled tokens.

    Packed: B = 1, all rows one behind the other. Padded: B rows of one response each, padded on the right.
    `attention`: what the model is told about who sees whom, by the names of its parameters.
    `scored_N`: flat index into B*T of the position that predicts each sampled token. `chosen_N`: their ids.
    `sequence_N`: the response of each. `engine_N`: the engine's log-probabilities in nats, which may be no
    numbers. `length_S`: sampled tokens of each response. `samples`: index of each response in the batch that
    the rows were made from. `images`: of each row, or of none; such rows are padded. `prompts`: tokens of the
    prompt of each row.
    """

    input_BT: Tensor
    position_BT: Tensor
    attention: Mapping[str, object]
    scored_N: Tensor
    chosen_N: Tensor
    sequence_N: Tensor
    engine_N: Tensor
    advantage_N: Tensor
    length_S: Tensor
    samples: tuple[int, ...]
    sampling: TokenSampling
    images: tuple[Images, ...] = ()
    prompts: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """Number of sampled tokens, N."""
        return len(self.chosen_N)


def packs(model: Any) -> bool:
    """Whether tokens of several sequences may go through a transformers model as one: no layer has a window.

    Where the settings have no `layer_types`, a window belongs to every layer. Code that came with a model's
    weights may call its attention in ways of its own, whatever the model's type is.
    """
    if model.config.model_type not in PACKED_MODELS or not type(model).__module__.startswith("transformers."):
        return False
    if kinds := getattr(model.config, "layer_types", None):
        return set(kinds) == {"full_attention"}
    return getattr(model.config, "sliding_window", None) is None


def rows(samples: Sequence[Scored], wanted: Sequence[int], *, shared: bool) -> list[Row]:
    """Rows of the samples whose indexes are `wanted`, in their order.

    Samples of equal prompt and equal sampling share a row if `shared`; each has tokens.
    """
    together: dict[object, list[int]] = {}
    for index in wanted:
        scored = samples[index]
        key = (scored.prompt_ids, scored.images, scored.sampling)
        together.setdefault(key if shared else index, []).append(index)
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
    all_rows: Sequence[Row], *, token_budget: int | None, sequences: int | None, packed: bool
) -> Iterator[list[Row]]:
    """Rows of equal sampling and like length together, those with images apart from those without.

    A micro-batch has at most `token_budget` tokens, with their padding unless they are `packed`, and
    `sequences` responses; None is no limit. A row above a limit is cut between its responses, as is one
    whose attention would hold more than `KEYS_PER_TOKEN` times the budget; a response that is too long by
    itself goes alone.
    """
    by_kind: dict[tuple[TokenSampling, bool], list[Row]] = {}
    for row in all_rows:
        kind = (row.sampling, row.images is not None)
        by_kind.setdefault(kind, []).extend(_cut(row, token_budget, sequences))
    for alike in by_kind.values():
        batch: list[Row] = []
        for row in sorted(alike, key=lambda row: row.length):
            wider = [*batch, row]
            # Sorted by length: the new row is the longest, so it sets the padded width.
            tokens = sum(one.length for one in wider) if packed else row.length * len(wider)
            count = sum(len(one.samples) for one in wider)
            keys = sum(one.keys for one in wider)
            if batch and not _fits(tokens, keys, count, token_budget, sequences):
                yield batch
                wider = [row]
            batch = wider
        yield batch


def build_batch(batch_rows: Sequence[Row], device: torch.device, *, packed: bool) -> Batch:
    """Tensors of `batch_rows`.

    Every response continues the prompt's positions and sees the prompt and itself, not its siblings,
    so each token's log-probability is that of its own sequence alone.
    Raises ValueError when a sample has not one log-probability for each token, when rows that are not to be
    `packed` have several responses, and when rows that are have images, or not all of them.
    """
    if not packed and any(len(row.samples) > 1 for row in batch_rows):
        raise ValueError("rows of several responses can only be packed")
    images = tuple(row.images for row in batch_rows if row.images is not None)
    if images and (packed or len(images) < len(batch_rows)):
        raise ValueError("rows with images cannot be packed, and go without others")
    lengths = [row.length for row in batch_rows]
    width = sum(lengths) if packed else max(lengths)
    begins = list(accumulate(lengths[:-1], initial=0)) if packed else [n * width for n in range(len(lengths))]
    count = width if packed else width * len(lengths)
    ids, positions = [0] * count, [0] * count
    scored: list[int] = []
    tokens: list[tuple[int, float, float, int]] = []
    number = 0
    for begin, row in zip(begins, batch_rows, strict=True):
        prompt = len(row.prompt_ids)
        ids[begin : begin + prompt] = row.prompt_ids
        positions[begin : begin + prompt] = range(prompt)
        at = begin + prompt
        for one in row.samples:
            completion, end = one.sample.completion, at + _branch(one)
            ids[at:end] = completion.token_ids[:-1]
            positions[at:end] = range(prompt, prompt + end - at)
            scored += [begin + prompt - 1, *range(at, end)]
            tokens += [
                (token, logprob, advantage, number)
                for token, logprob, advantage in zip(
                    completion.token_ids, completion.logprobs, one.advantages, strict=True
                )
            ]
            at, number = end, number + 1
    chosen, engine, advantages, sequences = zip(*tokens, strict=True)
    samples = [one for row in batch_rows for one in row.samples]
    return Batch(
        torch.tensor(ids, device=device).view(-1, width),
        torch.tensor(positions, device=device).view(-1, width),
        _packed_attention(begins, batch_rows, device) if packed else _padded_attention(lengths, device),
        torch.tensor(scored, device=device),
        torch.tensor(chosen, device=device),
        torch.tensor(sequences, device=device),
        torch.tensor(engine, dtype=torch.float32, device=device),
        torch.tensor(advantages, dtype=torch.float32, device=device),
        torch.tensor([len(one.sample.completion.token_ids) for one in samples], device=device),
        tuple(index for row in batch_rows for index in row.indexes),
        batch_rows[0].sampling,
        images,
        tuple(len(row.prompt_ids) for row in batch_rows),
    )


def _branch(scored: Scored) -> int:
    return len(scored.sample.completion.token_ids) - 1


def _fits(tokens: int, keys: int, count: int, token_budget: int | None, sequences: int | None) -> bool:
    within = token_budget is None or (tokens <= token_budget and keys <= KEYS_PER_TOKEN * token_budget)
    return within and (sequences is None or count <= sequences)


def _cut(row: Row, token_budget: int | None, sequences: int | None) -> list[Row]:
    """Parts of `row` within the limits, as few as its order allows; `row` itself when it is."""
    parts: list[Row] = []
    begin = 0
    for end in range(1, len(row.samples)):
        wider = _part(row, begin, end + 1)
        if not _fits(wider.length, wider.keys, end + 1 - begin, token_budget, sequences):
            parts.append(_part(row, begin, end))
            begin = end
    return [*parts, _part(row, begin, len(row.samples))]


def _part(row: Row, begin: int, end: int) -> Row:
    return replace(row, indexes=row.indexes[begin:end], samples=row.samples[begin:end])


def _padded_attention(lengths: Sequence[int], device: torch.device) -> dict[str, object]:
    """A mask of tokens, [B, T]; attention is causal."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return {"attention_mask": mask.to(device)}


def _packed_attention(
    begins: Sequence[int], batch_rows: Sequence[Row], device: torch.device
) -> dict[str, object]:
    """Trunks and branches; a row of one response is all trunk."""
    spans: list[Span] = []
    for begin, row in zip(begins, batch_rows, strict=True):
        if len(row.samples) == 1:
            spans.append(Span(begin, begin + row.length))
            continue
        trunk = range(begin, begin + len(row.prompt_ids))
        spans.append(Span(trunk.start, trunk.stop))
        at = trunk.stop
        for one in row.samples:
            if _branch(one):
                spans.append(Span(at, at + _branch(one), trunk))
            at += _branch(one)
    # A mask of four dimensions keeps transformers from making one of T x T.
    return {
        "branches": lay_out(spans, device),
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
    }
