"""`builtin:arithmetic`: generated sums, differences and products in disjoint splits."""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from typing import Any

from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def generate(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Tasks `What is a + b?` of `split`.

    All splits come from one seeded draw of distinct problems, test first, so they share none;
    a sum and its mirror image are one problem. Where the numbers allow fewer problems than
    asked for, the training split is the one that shrinks. Raises RefusedError when nothing is left for it.
    """
    sizes: dict[Split, int] = {
        "test": options.test_size,
        "val": options.validation_size,
        "train": options.train_size,
    }
    problems = _distinct_problems(options.digits, options.operations, sum(sizes.values()), seed)
    held_out = sizes["test"] + sizes["val"]
    if len(problems) <= held_out:
        raise RefusedError(
            f"builtin:arithmetic has only {len(problems)} problems with digits = {options.digits}, "
            f"too few beside {held_out} held-out ones",
            help="lower env.options.test_size or validation_size, or raise env.options.digits",
        )
    start = {"test": 0, "val": sizes["test"], "train": held_out}[split]
    chosen = problems[start : start + sizes[split]]
    return [_task(split, *problem) for problem in chosen]


def _distinct_problems(
    digits: int, operations: Sequence[str], count: int, seed: int
) -> list[tuple[int, str, int]]:
    """Up to `count` problems in random order, no two of them mirror images of each other."""
    source = random.Random(f"builtin:arithmetic/{seed}")
    low, high = (0 if digits == 1 else 10 ** (digits - 1)), 10**digits - 1
    span = high - low + 1
    possible = len(operations) * span * (span + 1) // 2
    found: dict[tuple[int, str, int], tuple[int, str, int]] = {}
    if possible <= 4 * count:
        # Few enough to list: drawing at random would wait long for the last ones.
        every = [
            (a, sign, b) for sign in operations for a in range(low, high + 1) for b in range(a, high + 1)
        ]
        source.shuffle(every)
        found = {problem: problem for problem in every[:count]}
    while len(found) < min(count, possible):
        a, b, sign = source.randint(low, high), source.randint(low, high), source.choice(operations)
        found.setdefault((min(a, b), sign, max(a, b)), (a, sign, b))
    return [(b, sign, a) if source.random() < 0.5 else (a, sign, b) for a, sign, b in found.values()]


def _task(split: Split, a: int, sign: str, b: int) -> Task:
    question = f"What is {a} {sign} {b}?"
    return Task(
        id=f"{split}/{a}{sign}{b}",
        split=split,
        data={"question": question, "answer": str(OPERATIONS[sign](a, b)), "simplified": True},
    )
