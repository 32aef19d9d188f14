"""Built-in sets that are drawn: random numbers that every version of Python gives, and disjoint splits."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task

T = TypeVar("T")

MISSES = 200
"""After so many draws in a row that give nothing new, a set has no more problems."""


class Drawn(NamedTuple):
    """A problem. `key`: the same for problems that differ in words only."""

    key: Hashable
    question: str
    answer: str


class Draw:
    """A seeded source of random numbers that uses nothing but `random()`, which no version changes."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def nonzero(self, most: int) -> int:
        """A whole number other than 0, from -`most` to `most`."""
        size = self.whole(1, most)
        return size if self._random() < 0.5 else -size

    def one(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.whole(0, len(values) - 1)]


def sizes_of(options: Any) -> dict[Split, int]:
    """How many tasks each split shall have, in the order in which they are taken."""
    return {"test": options.test_size, "val": options.validation_size, "train": options.train_size}


def drawn_tasks(
    dataset: str, problem: Callable[[Draw], Drawn], split: Split, options: Any, seed: int
) -> Sequence[Task]:
    """Tasks of `split` of problems that `problem` draws, no two with one key."""
    draw, wanted = Draw(f"{dataset}/{seed}"), sum(sizes_of(options).values())
    found: dict[Hashable, Task] = {}
    misses = 0
    while len(found) < wanted and misses < MISSES:
        drawn = problem(draw)
        misses = misses + 1 if drawn.key in found else 0
        data = {"question": drawn.question, "answer": drawn.answer, "simplified": True}
        found.setdefault(drawn.key, Task(str(len(found)), split, data))
    return split_of(dataset, list(found.values()), split, options)


def split_of(dataset: str, tasks: Sequence[Task], split: Split, options: Any) -> Sequence[Task]:
    """Those of `tasks` that are of `split`: first the tests, then validation, and the rest is for training.

    Raises RefusedError where nothing is left to train on.
    """
    sizes = sizes_of(options)
    held_out = sizes["test"] + sizes["val"]
    if len(tasks) <= held_out:
        raise RefusedError(
            f"{dataset} has only {len(tasks)} problems, too few beside {held_out} held-out ones",
            help="lower env.options.test_size or validation_size",
        )
    start = {"test": 0, "val": sizes["test"], "train": held_out}[split]
    chosen = tasks[start : start + sizes[split]]
    return [replace(task, id=f"{split}/{task.id}", split=split) for task in chosen]
