"""The cells of a grid: the product of axes in file order, the last axis fastest, conditions kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.config.axes import Axis
from pettingllms.documents.source import KeyPath
from pettingllms.space.units import Unit, ValueOf, in_order, is_plain, no_keys, units_of

MAX_BRANCHES = 100_000
"""Cells that may be looked at where conditions depend on keys that follow other conditional axes."""
Rows = tuple[int | None, ...]
"""Which row each unit of a cell has, by its number; None where the unit is not swept."""


class TooManyCellsError(ValueError):
    """A space has no end, or more cells than asked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the space: its number from 0, and the value of each axis by path.

    `active`: the axes that are swept here; the others, whose `when` does not hold, are at their default.
    """

    number: int
    values: Mapping[KeyPath, Any]
    active: frozenset[KeyPath] = frozenset()


def expand(axes: Sequence[Axis], value_of: ValueOf = no_keys, limit: int | None = None) -> list[Cell]:
    """Return all cells of a grid over `axes`; no axes give one cell without values.

    Axes that are zipped move together, as one axis at the place of the first. An axis with `when` brings
    its values where the condition holds, and its default once where it does not. `value_of` is asked for
    keys that conditions name and that are no axes.

    Raises TooManyCellsError where the space has no end or more than `limit` cells, CycleError where
    conditions depend on each other, ConditionError where one has no value, and ExpressionError where one
    cannot be read.
    """
    units = units_of(axes)
    if any(unit.rows is None for unit in units):
        raise TooManyCellsError("an axis has no end of values, or more than can be listed")
    found = _Grid(units, in_order(units), value_of, limit).rows()
    paths = [axis.path for axis in axes]
    return [_cell(units, rows, paths, number) for number, rows in enumerate(found)]


def _cell(units: Sequence[Unit], rows: Rows, paths: Sequence[KeyPath], number: int) -> Cell:
    values: dict[KeyPath, Any] = {}
    active: set[KeyPath] = set()
    for unit, row in zip(units, rows, strict=True):
        if row is None or unit.rows is None:
            values |= unit.defaults
        else:
            values |= unit.chosen(unit.rows[row])
            active.update(axis.path for axis in unit.axes)
    return Cell(number, {path: values[path] for path in paths}, frozenset(active))


class _Grid:
    """Finds the rows of all cells, one unit after the other."""

    def __init__(
        self, units: Sequence[Unit], order: Sequence[int], value_of: ValueOf, limit: int | None
    ) -> None:
        self.units, self.order, self.value_of, self.limit = units, order, value_of, limit
        self.defaults = {path: value for unit in units for path, value in unit.defaults.items()}
        conditional = [number for number in order if units[number].condition is not None]
        # A key may refer to an axis that is decided later: its condition is looked at again at the end.
        plain = {axis.path for unit in units for axis in unit.axes if _is_plain(axis)}
        self.unsure = [number for number in conditional[:-1] if units[number].paths - plain]

    def rows(self) -> list[Rows]:
        found = self.grown(branching=False)
        if not all(self.is_sound(rows) for rows in found):
            found = [rows for rows in self.grown(branching=True) if self.is_sound(rows)]
        self.watch(len(found), self.limit)
        # File order decides about numbers, whatever was decided first.
        return sorted(found, key=lambda rows: [row or 0 for row in rows])

    def grown(self, *, branching: bool) -> list[Rows]:
        """All rows; with `branching` also those in which an unsure condition is the other way round."""
        found: list[Rows] = [(None,) * len(self.units)]
        for number in self.order:
            unit = self.units[number]
            count = len(unit.rows or ())
            grown: list[Rows] = []
            for rows in found:
                both = branching and number in self.unsure
                active = both or self.is_active(number, rows)
                choices: list[int | None] = list(range(count)) if active else [None]
                grown += [(*rows[:number], row, *rows[number + 1 :]) for row in choices]
                grown += [rows] if both else []
                # Every unfinished cell becomes at least one; with branching some are found to be none.
                self.watch(len(grown), MAX_BRANCHES if branching else self.limit)
            found = grown
        return found

    def is_active(self, number: int, rows: Rows) -> bool:
        unit = self.units[number]
        return unit.condition is None or unit.is_active(self.values(rows), self.value_of)

    def is_sound(self, rows: Rows) -> bool:
        values = self.values(rows) if self.unsure else {}
        return all(
            self.units[number].is_active(values, self.value_of) is (rows[number] is not None)
            for number in self.unsure
        )

    def values(self, rows: Rows) -> dict[KeyPath, Any]:
        """The values of a cell; those that are not decided yet at their defaults."""
        values = dict(self.defaults)
        for unit, row in zip(self.units, rows, strict=True):
            if row is not None and unit.rows is not None:
                values |= unit.chosen(unit.rows[row])
        return values

    def watch(self, count: int, limit: int | None) -> None:
        if limit is not None and count > limit:
            raise TooManyCellsError(f"the axes make more than {limit} cells")


def _is_plain(axis: Axis) -> bool:
    return axis.kind != "choice" or all(map(is_plain, (*(axis.values or ()), axis.default)))
