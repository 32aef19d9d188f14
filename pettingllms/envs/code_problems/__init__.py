"""`builtin:code`: small programming problems of our own, each with right and wrong programs and tests.

To add a problem, write one entry in the module of its theme; the tests check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from pettingllms.envs.code_problems import decisions, lists, numbers, sequences, texts, words
from pettingllms.envs.code_problems.problem import Problem
from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task

PROBLEMS: tuple[Problem, ...] = (
    *numbers.PROBLEMS,
    *decisions.PROBLEMS,
    *texts.PROBLEMS,
    *words.PROBLEMS,
    *lists.PROBLEMS,
    *sequences.PROBLEMS,
)


def generate(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """The problems of `split` whose level is among `options.levels`.

    Each problem is in one split only; `seed` draws which: first those of test, then of validation, and the
    others are trained on. Raises RefusedError when nothing is left to train on.
    """
    chosen = [problem for problem in PROBLEMS if problem.level in options.levels]
    Random(f"builtin:code/{seed}").shuffle(chosen)
    held_out = options.test_size + options.validation_size
    if len(chosen) <= held_out:
        raise RefusedError(
            f"builtin:code has {len(chosen)} problems of the levels {options.levels}, "
            f"too few beside {held_out} held-out ones",
            help="lower env.options.test_size or validation_size, or add to env.options.levels",
        )
    bounds = {
        "test": (0, options.test_size),
        "val": (options.test_size, held_out),
        "train": (held_out, len(chosen)),
    }
    begin, end = bounds[split]
    return [Task(f"{split}/{problem.name}", split, problem.data()) for problem in chosen[begin:end]]
