"""Axes as they move: zipped ones together, conditional ones after those that decide about them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.config.axes import Axis
from pettingllms.config.ranges import MAX_LISTED
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.space.evaluation import holds
from pettingllms.space.expressions import EvaluationError, Expression, ExpressionError, parse

Values = Mapping[KeyPath, Any]
ValueOf = Callable[[Values, KeyPath], Any]
"""Gives the value at a path of the experiment under values of axes; raises KeyError where there is no key."""


class CycleError(ExpressionError):
    """Conditions of axes depend on each other; `paths`: the axes, each before the one that it depends on."""

    def __init__(self, paths: tuple[KeyPath, ...]) -> None:
        words = " → ".join(dotted(path) for path in (*paths, paths[0]))
        super().__init__(f"conditions run in a circle: {words}", 0)
        self.paths = paths


class ConditionError(EvaluationError):
    """The condition of an axis has no value for some values of other axes."""

    def __init__(self, axis: Axis, cause: EvaluationError) -> None:
        super().__init__(cause.message, cause.offset, cause.length, cause.help)
        self.axis, self.cause = axis, cause


@dataclass(frozen=True, slots=True)
class Unit:
    """Axes that move together, in file order: one axis, or all of one `zip`.

    `rows`: the values that a grid tries, one per axis in each row; None where they have no end, or are too
    many to list.
    """

    axes: tuple[Axis, ...]
    rows: tuple[tuple[Any, ...], ...] | None
    condition: Expression | None

    @property
    def defaults(self) -> dict[KeyPath, Any]:
        """What the axes are where they are not swept."""
        return {axis.path: axis.default for axis in self.axes}

    def chosen(self, row: Sequence[Any]) -> dict[KeyPath, Any]:
        """The values of one row by path."""
        return {axis.path: value for axis, value in zip(self.axes, row, strict=True)}

    def is_active(self, values: Values, value_of: ValueOf) -> bool:
        """True where the axes are swept. Raises ConditionError."""
        if self.condition is None:
            return True
        try:
            return holds(self.condition, lambda path: value_at(values, path, value_of))
        except EvaluationError as error:
            raise ConditionError(self.axes[0], error) from None

    @property
    def paths(self) -> frozenset[KeyPath]:
        """What the condition names."""
        return self.condition.paths if self.condition else frozenset()


def units_of(axes: Sequence[Axis]) -> list[Unit]:
    """The axes in file order, zipped ones at the place of the first.

    Raises ExpressionError where a condition cannot be read.
    """
    groups: dict[object, list[Axis]] = {}
    for axis in axes:
        groups.setdefault(axis.path if axis.zip is None else axis.zip, []).append(axis)
    return [_unit(tuple(group)) for group in groups.values()]


def _unit(axes: tuple[Axis, ...]) -> Unit:
    counts = [axis.count for axis in axes if axis.count is not None]
    shortest = min(counts) if len(counts) == len(axes) else MAX_LISTED + 1
    rows = None
    if shortest <= MAX_LISTED:
        rows = tuple(zip(*(_first(axis, shortest) for axis in axes), strict=True))
    when = axes[0].when
    return Unit(axes, rows, None if when is None else parse(when))


def _first(axis: Axis, count: int) -> Sequence[Any]:
    """The first values of an axis that has at least as many; a long one lists none itself."""
    if axis.values is None and axis.range is not None:
        return [axis.range.at(index) for index in range(count)]
    return (axis.values or ())[:count]


def in_order(units: Sequence[Unit]) -> list[int]:
    """The numbers of `units`, each after those that its condition names; else in file order.

    Those without a condition come first, so that a key that refers to one has its value.
    Raises CycleError.
    """
    order = [number for number, unit in enumerate(units) if unit.condition is None]
    needed = _needed(units)
    needed_by: dict[int, list[int]] = {}
    for number, others in needed.items():
        for other in others:
            needed_by.setdefault(other, []).append(number)
    waiting = {number: len(others) for number, others in needed.items()}
    ready = [number for number, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for other in needed_by.get(number, ()):
            waiting[other] -= 1
            if waiting[other] == 0:
                heapq.heappush(ready, other)
    if len(order) < len(units):
        stuck = {number: needed[number] for number in needed.keys() - set(order)}
        raise CycleError(tuple(units[number].axes[0].path for number in _circle(stuck)))
    return order


def _needed(units: Sequence[Unit]) -> dict[int, set[int]]:
    """For each unit with a condition those others that it names: their axes, parts of them, or sections."""
    at: dict[KeyPath, int] = {}
    below: dict[KeyPath, set[int]] = {}
    conditional = [number for number, unit in enumerate(units) if unit.condition is not None]
    for number in conditional:
        for axis in units[number].axes:
            at[axis.path] = number
            for length in range(1, len(axis.path)):
                below.setdefault(axis.path[:length], set()).add(number)
    needed: dict[int, set[int]] = {}
    for number in conditional:
        found = needed[number] = set()
        for path in units[number].paths:
            found |= {at[path[:n]] for n in range(1, len(path) + 1) if path[:n] in at}
            found |= below.get(path, set())
    return needed


def _circle(needed: Mapping[int, set[int]]) -> list[int]:
    """A circle among units that all wait for another of them, from its first in file order."""
    walk = [min(needed)]
    while True:
        following = min(number for number in needed[walk[-1]] if number in needed)
        if following in walk:
            circle = walk[walk.index(following) :]
            start = circle.index(min(circle))
            return circle[start:] + circle[:start]
        walk.append(following)


def is_plain(value: Any) -> bool:
    """True for a value that is what it says: no text with references, no list or table that may hold one."""
    return not isinstance(value, (list, dict)) and not (isinstance(value, str) and "${" in value)


def value_at(values: Values, path: KeyPath, value_of: ValueOf) -> Any:
    """The value at `path` of the experiment under `values`. Raises KeyError where there is no such key."""
    if path in values and is_plain(values[path]):
        return values[path]
    return value_of(values, path)


def no_keys(values: Values, path: KeyPath) -> Any:
    """A `ValueOf` for spaces whose conditions name axes only, whatever they hold."""
    for length in range(len(path), 0, -1):
        if path[:length] in values:
            return _inside(values[path[:length]], path[length:])
    raise KeyError(path)


def _inside(value: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            value = value[part]
        except (IndexError, TypeError):
            raise KeyError(path) from None
    return value
