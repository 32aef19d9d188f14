"""`sudoku`: fill a square so that each row, column and box holds each number once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from functools import cache, lru_cache
from math import isqrt
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Fault, Game

MOST_EMPTY = {4: 12, 9: 45}
MOST_UNIQUE = {4: 12, 9: 55}
"""Above, puzzles with one solution are not there (4x4 needs 4 numbers), or are rare (9x9 needs 17)."""

Grid = tuple[int, ...]
"""Cells row by row; 0 where a number is missing."""
Fill = tuple[int, int, int]
"""Row, column, number."""


class SudokuOptions(ConfigModel):
    """Difficulty of `sudoku`."""

    least_empty: int = Field(4, ge=1)
    """Fewest empty cells."""
    most_empty: int | None = Field(None, ge=1)
    """Most empty cells. Default: 12 of 16, 45 of 81."""


class SudokuState(NamedTuple):
    """`grid`: as it is filled; `given`: the cells of the puzzle, which stay."""

    grid: Grid
    given: Grid


class Sudoku(Game[SudokuState, Fill, SudokuOptions]):
    """4x4 with boxes of 2x2, or 9x9 with boxes of 3x3; every puzzle has one solution."""

    Options = SudokuOptions
    sizes = range(4, 10, 5)
    default_size = 4
    rules = (
        "Fill the empty cells (_) so that each row, each column and each box holds each number once. The "
        "numbers on the board stay.\n"
        "Answer with the whole board as a list of rows, such as [[1, 2, 3, 4], …], or with a list of "
        "[row, column, number], rows and columns from 0."
    )

    def _most(self, size: int) -> int:
        return min(self.options.most_empty or MOST_EMPTY[size], MOST_UNIQUE[size])

    def fault(self, size: int) -> Fault | None:
        """With too few numbers there are several solutions."""
        fault = super().fault(size)
        least = self.options.least_empty
        if fault is None and least > self._most(size):
            path = ("sudoku", "least_empty")
            return Fault(
                path, f"at least {least} cells are empty, and at most {self._most(size)}", "lower it"
            )
        return fault

    def generate(self, draw: Draw, size: int) -> SudokuState | None:
        """A random full grid, of which cells are emptied as long as it stays the only solution."""
        full = next(_solutions((0,) * size**2, draw))
        wanted, grid = draw.between(self.options.least_empty, self._most(size)), full
        for place in draw.shuffled(range(size**2)):
            fewer = (*grid[:place], 0, *grid[place + 1 :])
            if _is_unique(fewer):
                grid = fewer
            if grid.count(0) == wanted:
                return SudokuState(grid, grid)
        return None

    def canonical(self, state: SudokuState) -> Hashable:
        """The first of the forms that the symmetries of `_orders` give, numbers named as they appear."""
        return min(_named([state.grid[place] for place in order]) for order in _orders(_size(state.grid)))

    def solve(self, state: SudokuState) -> list[Fill] | None:
        """The cells in which the only solution differs."""
        size = _size(state.grid)
        pairs = enumerate(zip(state.grid, _solution(state.given), strict=True))
        return [(*divmod(place, size), wanted) for place, (found, wanted) in pairs if found != wanted]

    def show(self, state: SudokuState) -> str:
        """The board."""
        size = _size(state.grid)
        cells = [str(number) if number else "_" for number in state.grid]
        return "\n".join(" ".join(cells[start : start + size]) for start in range(0, size**2, size))

    def read(self, state: SudokuState, items: Sequence[Any]) -> list[Fill] | None:
        """Rows of numbers, of which those that stand there already are no action; or cells with a number."""
        size = _size(state.grid)
        if any(not isinstance(item, list) or any(type(one) is not int for one in item) for item in items):
            return None
        if len(items) == size and all(len(item) == size for item in items):
            flat = [number for item in items for number in item]
            filled = [(*divmod(place, size), number) for place, number in enumerate(flat)]
        elif all(len(item) == 3 for item in items):
            filled = [(item[0], item[1], item[2]) for item in items]
        else:
            return None
        if any(
            min(row, column, to - 1) < 0 or max(row, column, to - 1) >= size for row, column, to in filled
        ):
            return None
        return [(row, column, to) for row, column, to in filled if state.grid[row * size + column] != to]

    def write(self, state: SudokuState, actions: Sequence[Fill]) -> list[Any]:  # noqa: ARG002
        """Cells with their numbers."""
        return [list(action) for action in actions]

    def step(self, state: SudokuState, action: Fill) -> SudokuState | None:
        """Any number may be written, but not over one that was given."""
        size = _size(state.grid)
        place = action[0] * size + action[1]
        if state.given[place]:
            return None
        return state._replace(grid=(*state.grid[:place], action[2], *state.grid[place + 1 :]))

    def solved(self, state: SudokuState) -> bool:
        """Full, the given numbers kept, and each row, column and box with each number once."""
        kept = all(given in (0, number) for number, given in zip(state.grid, state.given, strict=True))
        everything = set(range(1, _size(state.grid) + 1))
        units = _units(len(state.grid))
        return kept and all({state.grid[place] for place in unit} == everything for unit in units)

    def remaining(self, state: SudokuState) -> float | None:
        """Cells that are not as in the only solution: a wrong number is no progress."""
        return float(sum(a != b for a, b in zip(state.grid, _solution(state.given), strict=True)))


def _size(grid: Grid) -> int:
    return isqrt(len(grid))


@cache
def _units(count: int) -> tuple[tuple[int, ...], ...]:
    """The places of each row, column and box of a grid of `count` cells."""
    size, box = isqrt(count), isqrt(isqrt(count))
    found: dict[tuple[str, int], list[int]] = {}
    for place in range(count):
        row, column = divmod(place, size)
        for unit in (("row", row), ("column", column), ("box", row // box * box + column // box)):
            found.setdefault(unit, []).append(place)
    return tuple(map(tuple, found.values()))


@cache
def _neighbours(count: int) -> tuple[tuple[int, ...], ...]:
    """For each place the others that must not hold its number."""
    found: list[set[int]] = [set() for _ in range(count)]
    for unit in _units(count):
        for place in unit:
            found[place] |= set(unit) - {place}
    return tuple(tuple(sorted(one)) for one in found)


def _solutions(grid: Grid, draw: Draw | None = None) -> Iterator[Grid]:
    """All ways to fill `grid`, the cell with the fewest numbers left first; in random order with `draw`."""
    size, near = _size(grid), _neighbours(len(grid))
    cells = list(grid)

    def free(place: int) -> list[int]:
        taken = {cells[other] for other in near[place]}
        return [number for number in range(1, size + 1) if number not in taken]

    def fill() -> Iterator[Grid]:
        best: tuple[int, list[int]] | None = None
        for place, number in enumerate(cells):
            if not number:
                numbers = free(place)
                if best is None or len(numbers) < len(best[1]):
                    best = place, numbers
                if len(numbers) <= 1:
                    break
        if best is None:
            yield tuple(cells)
            return
        place, numbers = best
        for number in draw.shuffled(numbers) if draw else numbers:
            cells[place] = number
            yield from fill()
        cells[place] = 0

    return fill()


def _is_unique(grid: Grid) -> bool:
    """Whether there is exactly one way to fill `grid`."""
    return len(list(itertools.islice(_solutions(grid), 2))) == 1


@lru_cache(maxsize=4096)
def _solution(given: Grid) -> Grid:
    return next(_solutions(given))


@cache
def _orders(size: int) -> tuple[tuple[int, ...], ...]:
    """Orders of the cells under which a grid stays one.

    4x4: all 128 (rows within bands, bands, columns likewise, transposition), so that two grids of one class
    are never two puzzles. 9x9 has 3,359,232 of them; there only the eight turns and mirror images count.
    """
    if size == 4:
        lines: list[tuple[int, ...]] = [
            (*a, *b) for one, two in ((0, 2), (2, 0)) for a in _pair(one) for b in _pair(two)
        ]
        kept = [(rows, columns) for rows in lines for columns in lines]
    else:
        ways = (tuple(range(size)), tuple(reversed(range(size))))
        kept = [(rows, columns) for rows in ways for columns in ways]
    found = []
    for rows, columns in kept:
        found.append(tuple(row * size + column for row in rows for column in columns))
        found.append(tuple(row * size + column for column in columns for row in rows))
    return tuple(found)


def _pair(first: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (first, first + 1), (first + 1, first)


def _named(cells: Sequence[int]) -> tuple[int, ...]:
    """Numbers renamed in the order in which they appear; 0 stays."""
    names = {0: 0}
    return tuple(names.setdefault(number, len(names)) for number in cells)
