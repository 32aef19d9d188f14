"""The cells of a space of swept values: all that other parts ask of this one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pettingllms.config.axes import Axis
from pettingllms.space.evaluation import holds
from pettingllms.space.expressions import Expression
from pettingllms.space.grid import Cell, TooManyCellsError, expand
from pettingllms.space.labels import duplicates, label
from pettingllms.space.samples import corners_and_sample, default_cell
from pettingllms.space.units import ValueOf, Values, no_keys, value_at

__all__ = ["Cell", "TooManyCellsError", "allowed", "cell_count", "corners_and_sample", "default_cell"]
__all__ += ["duplicates", "expand", "fulfils", "label"]


def cell_count(axes: Sequence[Axis]) -> int | float:
    """How many cells a grid has at most, conditions left aside; infinity where it has no end."""
    groups: dict[object, int | float] = {}
    for axis in axes:
        key = axis.path if axis.zip is None else axis.zip
        count = math.inf if axis.count is None else axis.count
        groups[key] = min(groups.get(key, count), count)
    if math.inf in groups.values():
        return math.inf
    return math.prod(groups.values())


def allowed(cell: Cell, constraints: Sequence[Expression], value_of: ValueOf = no_keys) -> bool:
    """True where the cell fulfils all of `constraints`. Raises EvaluationError where one has no value."""
    return all(fulfils(cell.values, constraint, value_of) for constraint in constraints)


def fulfils(values: Values, constraint: Expression, value_of: ValueOf = no_keys) -> bool:
    """True where the experiment fulfils `constraint` under `values`. Raises EvaluationError."""
    return holds(constraint, lambda path: value_at(values, path, value_of))
