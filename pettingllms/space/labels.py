"""What stands for a swept value in an Optuna study, and which values Optuna cannot tell apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any


def label(value: Any) -> str | int | float | bool:
    """What stands for `value` in an Optuna study: scalars as they are, all else as compact JSON."""
    if isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def duplicates(values: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield (earlier index, later index) of choices that Optuna cannot tell apart.

    Optuna compares choices by equality, so that `true` and `1`, or `1` and `1.0`, are one.
    """
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        earlier = first.setdefault(label(value), index)
        if earlier != index:
            yield earlier, index
