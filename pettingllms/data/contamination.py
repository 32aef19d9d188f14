"""Tasks that are in training and in another split: the same text, or thirteen words in a row.

Thirteen words, and passing over sequences that more than ten training tasks hold, as they are a set's own
phrases: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (arXiv:2005.14165).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pettingllms.data.comparing import normalised, question_of, texts_in
from pettingllms.types import Split, Task

WORDS = 13
COMMON = 10
"""Training tasks that may hold a sequence of words until it counts as a phrase."""
SHOWN = 5
"""Pairs of tasks that are shown."""
_WORD = re.compile(r"\w+")


class Pair(NamedTuple):
    """A held-out task and a training task that share text."""

    held: str
    train: str
    kind: Literal["exact", "words"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a split shares with training.

    `exact`: its tasks whose text is that of a training task, up to case, form of characters and white space.
    `words`: its other tasks that share thirteen words in a row with one. `train`: the training tasks that
    either concerns. `short`: its tasks of fewer words, which only the whole text can find. `pairs`: the first
    of those that are shared.
    """

    split: Split
    tasks: int
    exact: int
    words: int
    short: int
    train: int
    pairs: tuple[Pair, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is shared."""
        return not self.exact and not self.words


def overlap_of(split: Split, held: Sequence[Task], train: Sequence[Task]) -> Overlap:
    """Compare the tasks of a split with those of training, by the text of their questions."""
    found, short = _found(held, train)
    pairs = [
        Pair(task.id, train[min(places)].id, kind)
        for task, (kind, places) in zip(held, found, strict=True)
        if kind is not None
    ]
    return Overlap(
        split=split,
        tasks=len(held),
        exact=sum(pair.kind == "exact" for pair in pairs),
        words=sum(pair.kind == "words" for pair in pairs),
        short=short,
        train=len(_places(found)),
        pairs=tuple(pairs[:SHOWN]),
    )


def without_shared(held: Sequence[Task], train: Sequence[Task]) -> list[Task]:
    """The training tasks that share nothing with the tasks `held`, as `overlap_of` compares them."""
    shared = _places(_found(held, train)[0])
    return [task for place, task in enumerate(train) if place not in shared]


_Found = list[tuple[Literal["exact", "words"] | None, set[int]]]
"""How each held-out task is found in training, and the places of the training tasks."""


def _places(found: _Found) -> set[int]:
    return {place for _, places in found for place in places}


def _found(held: Sequence[Task], train: Sequence[Task]) -> tuple[_Found, int]:
    """Where held-out tasks are found, and how many of them are too short for sequences."""
    texts = [normalised(question_of(task.data)) for task in held]
    sequences = [_sequences(task) for task in held]
    wanted_texts, wanted = set(texts), set().union(*sequences)
    same: dict[str, list[int]] = {}
    holders: dict[int, list[int]] = {}
    for place, task in enumerate(train):
        text = normalised(question_of(task.data))
        if text in wanted_texts:
            same.setdefault(text, []).append(place)
        for sequence in _sequences(task) & wanted:
            holders.setdefault(sequence, []).append(place)
    found = [
        _shared(same.get(text, ()), [holders.get(sequence, []) for sequence in own])
        for text, own in zip(texts, sequences, strict=True)
    ]
    return found, sum(not own for own in sequences)


def _shared(
    same: Sequence[int], holders: Sequence[Sequence[int]]
) -> tuple[Literal["exact", "words"] | None, set[int]]:
    """How a held-out task is found in training, and the places of the training tasks."""
    words = {place for places in holders if len(places) <= COMMON for place in places}
    if same:
        return "exact", words | set(same)
    return ("words", words) if words else (None, words)


def _sequences(task: Task) -> set[int]:
    """Every thirteen words in a row, as hashes of 64 bits; punctuation does not count."""
    found = set()
    for text in texts_in(task.data):
        words = _WORD.findall(normalised(text))
        found |= {hash(tuple(words[begin : begin + WORDS])) for begin in range(len(words) - WORDS + 1)}
    return found
