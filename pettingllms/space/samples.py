"""Cells of a space that has no end, or too many of them: the default, the corners, and a seeded sample."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pettingllms.config.axes import Axis
from pettingllms.documents.source import KeyPath
from pettingllms.space.grid import Cell
from pettingllms.space.labels import label
from pettingllms.space.units import Unit, ValueOf, in_order, no_keys, units_of

Row = tuple[Any, ...]
"""A value for each axis of a unit."""
MAX_MISSES = 200
"""Draws in a row that may bring no new cell, before a small space counts as used up."""


def default_cell(axes: Sequence[Axis], value_of: ValueOf = no_keys) -> Cell:
    """The cell of a plain run: every axis at its default, and swept there or not as its condition says.

    Raises CycleError, ConditionError and ExpressionError.
    """
    sampler = _Sampler(axes, value_of)
    return sampler.cell(sampler.defaults, 0)


def corners_and_sample(
    axes: Sequence[Axis], value_of: ValueOf = no_keys, *, seed: int, limit: int
) -> list[Cell]:
    """Return at most `limit` different cells: the default one, then corners, then a sample.

    A corner has every axis of numbers at an end and every choice at one of its values. All corners are
    there where they are fewer than `limit`; else every end and every choice among defaults, as far as
    there is room, and a random part of the corners. Steps, points, logarithms, zipped axes and conditions
    are kept to. The same `seed` gives the same cells.

    Raises CycleError, ConditionError and ExpressionError.
    """
    sampler, rng = _Sampler(axes, value_of), random.Random(seed)
    cells = _Cells(sampler)
    cells.add([sampler.defaults], limit)
    if math.prod(len(rows) for rows in sampler.corners) < limit:
        cells.add(itertools.product(*sampler.corners), limit)
    else:
        cells.add(sampler.one_by_one(), limit // 2)
        cells.add(sampler.random_corners(rng), limit - limit // 4, MAX_MISSES)
    cells.add(sampler.random_points(rng), limit, MAX_MISSES)
    return list(cells.found.values())


class _Cells:
    """Different cells, in the order in which they were met."""

    def __init__(self, sampler: _Sampler) -> None:
        self.sampler = sampler
        self.found: dict[tuple[Any, ...], Cell] = {}
        # Who knows values by their identity must not meet that of a value which is gone.
        self.drawn: list[Cell] = []

    def add(self, points: Iterable[Sequence[Row]], size: int, patience: float = math.inf) -> None:
        """Add new cells until there are `size`, or `patience` points in a row bring none."""
        misses = 0
        for point in points:
            if len(self.found) >= size or misses > patience:
                break
            cell = self.sampler.cell(point, len(self.found))
            self.drawn.append(cell)
            key = tuple(map(label, cell.values.values()))
            misses = misses + 1 if key in self.found else 0
            self.found.setdefault(key, cell)


class _Sampler:
    """Points of a space: a row for each of its units."""

    def __init__(self, axes: Sequence[Axis], value_of: ValueOf) -> None:
        self.units = units_of(axes)
        self.order = in_order(self.units)
        self.value_of = value_of
        self.paths = [axis.path for axis in axes]
        self.defaults: list[Row] = [tuple(axis.default for axis in unit.axes) for unit in self.units]
        self.corners = [_corners(unit) for unit in self.units]

    def cell(self, point: Sequence[Row], number: int) -> Cell:
        """The cell at `point`, with what is not swept there at its default."""
        active = [True] * len(self.units)
        before: list[bool] = []
        # A second look where a key that a condition names follows an axis that was decided later.
        for _ in range(len(self.units) + 1):
            for unit in self.order:
                values = self.values(point, active) if self.units[unit].condition else {}
                active[unit] = self.units[unit].is_active(values, self.value_of)
            if active == before:
                break
            before = list(active)
        values = self.values(point, active)
        swept = [axis.path for unit, on in zip(self.units, active, strict=True) if on for axis in unit.axes]
        return Cell(number, {path: values[path] for path in self.paths}, frozenset(swept))

    def values(self, point: Sequence[Row], active: Sequence[bool]) -> dict[KeyPath, Any]:
        found: dict[KeyPath, Any] = {}
        for number, unit in enumerate(self.units):
            found |= unit.chosen(point[number] if active[number] else self.defaults[number])
        return found

    def one_by_one(self) -> Iterator[list[Row]]:
        """Each corner of each unit, the others at their defaults."""
        for number, rows in enumerate(self.corners):
            for row in rows:
                yield [*self.defaults[:number], row, *self.defaults[number + 1 :]]

    def random_corners(self, rng: random.Random) -> Iterator[list[Row]]:
        """Corners without end."""
        while True:
            yield [rng.choice(rows) for rows in self.corners]

    def random_points(self, rng: random.Random) -> Iterator[list[Row]]:
        """Points without end."""
        while True:
            yield [_drawn(unit, rng) for unit in self.units]


def _corners(unit: Unit) -> list[Row]:
    """The rows of a unit at which something may go wrong first: ends of numbers, every choice."""
    if unit.rows is None:
        ends = [_ends(axis) for axis in unit.axes]
        return [tuple(low for low, _ in ends), tuple(high for _, high in ends)]
    if any(axis.kind == "choice" for axis in unit.axes):
        return list(unit.rows)
    return [unit.rows[0], unit.rows[-1]]


def _ends(axis: Axis) -> tuple[Any, Any]:
    if axis.values is not None or axis.range is None:
        values = axis.values or (axis.default,)
        return values[0], values[-1]
    missed = axis.range.missed()
    return axis.range.low, axis.range.high if missed is None else missed


def _drawn(unit: Unit, rng: random.Random) -> Row:
    if unit.rows is not None:
        return rng.choice(unit.rows)
    return tuple(_number(axis, rng) for axis in unit.axes)


def _number(axis: Axis, rng: random.Random) -> Any:
    numbers = axis.range
    if axis.values is not None or numbers is None:
        return rng.choice(axis.values or (axis.default,))
    count = numbers.count()
    if count is not None:
        return numbers.at(rng.randrange(count))
    return numbers.between(rng.random())
