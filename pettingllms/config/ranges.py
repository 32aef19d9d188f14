"""Ranges of numbers: the values that a grid tries in one, and what is wrong with others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_LISTED = 10_000
"""Ranges with more values are counted, and not listed."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; `whole`: only whole ones.

    `step`: the distance between two values. `points`: how many are tried, by distance, or by ratio with
    `log`. With neither, whole numbers are all tried unless `log` is set, and others have no end.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False
    points: int | None = None
    whole: bool = False

    def fault(self) -> tuple[str, str, str | None] | None:
        """The key that makes this no range, what is wrong with it, and what helps."""
        return next(self._faults(), None)

    def _faults(self) -> Iterator[tuple[str, str, str | None]]:
        step, points = self.step, self.points
        if step is not None and points is not None:
            yield "points", "step and points exclude each other", "remove one of them"
        if step is not None and self.log:
            yield "step", "a logarithmic range has no step", "use points, or leave log out"
        if step is not None and step <= 0:
            yield "step", "the step must be greater than 0", None
        if points is not None and points < 2:
            yield "points", "a range has at least 2 points, its ends", None
        if self.low >= self.high:
            yield "high", "low must be less than high", "a value that is not swept is written plainly"
        if self.log and self.low <= 0:
            yield "low", "a logarithmic range begins above 0", None
        if points is not None and self.whole:
            found = self._different_points(points)
            if found < points:
                what = f"points = {points} are only {found} different whole numbers here"
                yield "points", what, "ask for fewer; without points and log every whole number is tried"

    def _different_points(self, points: int) -> int:
        most = math.floor(self.high - self.low) + 1
        if points > most or not self.log or points > MAX_LISTED:
            return min(points, most)
        return len({self._point(index) for index in range(points)})

    def count(self) -> int | None:
        """How many values a grid tries; None where they have no end."""
        if self.points is not None:
            return self.points
        if self.step is None and (self.log or not self.whole):
            return None
        return (_exact(self.high) - _exact(self.low)) // _exact(self.step or 1) + 1

    def values(self) -> tuple[int | float, ...] | None:
        """The values that a grid tries, in order; None where they have no end, or are too many to list."""
        count = self.count()
        return None if count is None or count > MAX_LISTED else tuple(map(self.at, range(count)))

    def at(self, index: int) -> int | float:
        """The value of this number, from 0, of those that a grid tries."""
        if self.points is not None:
            return self._point(index)
        return self._plain(_exact(self.low) + index * _exact(self.step or 1))

    def between(self, part: float) -> int | float:
        """The value that has this part, from 0 to 1, of the range below it; by ratio with `log`."""
        if self.log:
            value = math.exp(math.log(self.low) * (1 - part) + math.log(self.high) * part)
        else:
            value = self.low * (1 - part) + self.high * part
        return min(max(math.floor(value + 0.5) if self.whole else value, self.low), self.high)

    def holds(self, value: int | float) -> bool:
        """True where a sampler of this range could propose `value`; `points` are those of grids only."""
        if not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.whole else None)
        return step is None or (_exact(value) - _exact(self.low)) % _exact(step) == 0

    def missed(self) -> int | float | None:
        """The last value that steps reach, where that is not `high`."""
        if self.step is None:
            return None
        over = (_exact(self.high) - _exact(self.low)) % _exact(self.step)
        return self._plain(_exact(self.high) - over) if over else None

    def _point(self, index: int) -> int | float:
        assert self.points is not None
        if index in (0, self.points - 1):
            return self._plain(_exact(self.high if index else self.low))
        part = Fraction(index, self.points - 1)
        if not self.log:
            return self._plain(_exact(self.low) + part * (_exact(self.high) - _exact(self.low)))
        start, end = math.log(self.low), math.log(self.high)
        value = math.exp(start + float(part) * (end - start))
        # Twelve digits: 1e-06 between 1e-07 and 1e-05, instead of what rounding makes of it.
        return self._plain(Fraction(value)) if self.whole else float(f"{value:.12g}")

    def _plain(self, value: Fraction) -> int | float:
        """The value as it is tried; whole numbers are rounded half up, so that no two neighbours meet."""
        return math.floor(value + Fraction(1, 2)) if self.whole else float(value)


def _exact(value: int | float) -> Fraction:
    """The number as it is written: 0.1 is a tenth, though no float is."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
