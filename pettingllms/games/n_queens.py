"""`n_queens`: complete a board so that no two queens attack each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Fault, Game
from pettingllms.games.grid import symmetries

Placed = tuple[int, int]
"""Row and column of a queen."""


class NQueensOptions(ConfigModel):
    """Difficulty of `n_queens`."""

    least_missing: int = Field(1, ge=1)
    """Fewest queens that have to be placed."""
    most_missing: int | None = Field(None, ge=1)
    """Most queens that have to be placed. Default: all."""


class QueensState(NamedTuple):
    """`columns`: of the queen in each row, -1 where none is; `given`: which rows' queens stay."""

    columns: tuple[int, ...]
    given: tuple[bool, ...]


class NQueens(Game[QueensState, Placed, NQueensOptions]):
    """One queen in each row and column, at most one on each diagonal."""

    Options = NQueensOptions
    sizes = range(4, 13)
    default_size = 8
    rules = (
        "Complete the board with one queen (Q) in each row so that no two are in one column or on one "
        "diagonal. The queens on the board stay.\n"
        "Answer with the column of each row's queen, from the top row on, as a list of numbers from 0, "
        "such as [1, 3, 0, 2]."
    )

    def fault(self, size: int) -> Fault | None:
        """There are as many queens as rows."""
        fault = super().fault(size)
        least, most = self.options.least_missing, min(self.options.most_missing or size, size)
        if fault is None and least > most:
            return Fault(("n_queens", "least_missing"), f"at most {most} queens are missing", "lower it")
        return fault

    def generate(self, draw: Draw, size: int) -> QueensState | None:
        """A random solution, of which some queens are taken away."""
        empty = QueensState((-1,) * size, (False,) * size)
        full = _completed(empty.columns, draw)
        if full is None:
            return None
        most = min(self.options.most_missing or size, size)
        taken = draw.shuffled(range(size))[: draw.between(self.options.least_missing, most)]
        given = tuple(row not in taken for row in range(size))
        return QueensState(tuple(column if given[row] else -1 for row, column in enumerate(full)), given)

    def canonical(self, state: QueensState) -> Hashable:
        """The first of the board's eight symmetric forms."""
        return min(symmetries(_board(state)))

    def solve(self, state: QueensState) -> list[Placed] | None:
        """A completion; where queens that were placed stand in its way, they are moved."""
        found = _completed(state.columns)
        if found is None:
            kept = zip(state.columns, state.given, strict=True)
            found = _completed(tuple(column if given else -1 for column, given in kept))
        if found is None:
            return None
        return [(row, column) for row, column in enumerate(found) if state.columns[row] != column]

    def show(self, state: QueensState) -> str:
        """The board."""
        return "\n".join(" ".join(row) for row in _board(state))

    def read(self, state: QueensState, items: Sequence[Any]) -> list[Placed] | None:
        """A column for each row; rows whose queen stays where it is are no action."""
        size = len(state.columns)
        if len(items) != size or any(type(item) is not int or not 0 <= item < size for item in items):
            return None
        return [(row, column) for row, column in enumerate(items) if state.columns[row] != column]

    def write(self, state: QueensState, actions: Sequence[Placed]) -> list[Any]:
        """The columns of all rows; 0 for rows that stay empty."""
        columns = [max(0, column) for column in state.columns]
        for row, column in actions:
            columns[row] = column
        return columns

    def step(self, state: QueensState, action: Placed) -> QueensState | None:
        """Queens that were given stay."""
        row, column = action
        if state.given[row]:
            return None
        return state._replace(columns=(*state.columns[:row], column, *state.columns[row + 1 :]))

    def solved(self, state: QueensState) -> bool:
        """All queens are there, and none attacks another."""
        return -1 not in state.columns and _peaceful(state.columns)

    def remaining(self, state: QueensState) -> float | None:
        """Queens that are missing, where the others can stay; else all that were."""
        fixed = _completed(state.columns) is not None
        return float(state.columns.count(-1) if fixed else state.given.count(False))


def _board(state: QueensState) -> tuple[str, ...]:
    size = len(state.columns)
    return tuple("".join("Q" if column == own else "." for column in range(size)) for own in state.columns)


def _peaceful(columns: Sequence[int]) -> bool:
    placed = [(row, column) for row, column in enumerate(columns) if column >= 0]
    lines = (
        {column for _, column in placed},
        {row - column for row, column in placed},
        {row + column for row, column in placed},
    )
    return all(len(line) == len(placed) for line in lines)


def _completed(columns: tuple[int, ...], draw: Draw | None = None) -> tuple[int, ...] | None:
    """A solution with the queens of `columns`, a random one with `draw`; None where there is none."""
    if not _peaceful(columns):
        return None
    if -1 not in columns:
        return columns
    row, size = columns.index(-1), len(columns)
    for column in draw.shuffled(range(size)) if draw else range(size):
        found = _completed((*columns[:row], column, *columns[row + 1 :]), draw)
        if found is not None:
            return found
    return None
