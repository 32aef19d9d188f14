"""Axes to grid cells: the product in file order, the last axis fastest."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.config.axes import Axis
from pettingllms.documents.source import KeyPath


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid: its number from 0, and the value of each axis by path."""

    number: int
    values: Mapping[KeyPath, Any]


def expand(axes: Sequence[Axis]) -> list[Cell]:
    """Return all cells of the product of `axes`; no axes give one cell without values."""
    points = itertools.product(*(axis.values for axis in axes))
    paths = [axis.path for axis in axes]
    return [Cell(number, dict(zip(paths, point, strict=True))) for number, point in enumerate(points)]


def cell_count(axes: Sequence[Axis]) -> int:
    """Number of cells that `expand` would return."""
    return math.prod(len(axis.values) for axis in axes)


def label(value: Any) -> str | int | float | bool:
    """What stands for `value` in an Optuna study: scalars as they are, all else as compact JSON."""
    if isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def duplicates(values: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield (earlier index, later index) of choices that Optuna cannot tell apart.

    Optuna compares choices by equality, so that `true` and `1`, or `1` and `1.0`, are one.
    """
    for later in range(len(values)):
        for earlier in range(later):
            if label(values[earlier]) == label(values[later]):
                yield earlier, later
                break
