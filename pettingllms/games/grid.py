"""Square maps of characters: ways on them, and what they look like turned and mirrored."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

Cell = tuple[int, int]
"""Row and column, from 0 at the top left."""
Rows = tuple[str, ...]

MOVES = {"U": (-1, 0), "D": (1, 0), "L": (0, -1), "R": (0, 1)}


def moved(cell: Cell, move: str) -> Cell:
    """The next cell in the direction of `move`."""
    down, right = MOVES[move]
    return cell[0] + down, cell[1] + right


def cells(size: int) -> list[Cell]:
    """All cells, row by row."""
    return [(row, column) for row in range(size) for column in range(size)]


def is_open(rows: Rows, cell: Cell, closed: Collection[str]) -> bool:
    """Whether `cell` is on the map, and none of the `closed` characters stands there."""
    row, column = cell
    return 0 <= row < len(rows) and 0 <= column < len(rows[row]) and rows[row][column] not in closed


def distances(rows: Rows, start: Cell, closed: Collection[str]) -> dict[Cell, int]:
    """Steps from `start` to every open cell that can be reached from it (breadth-first search)."""
    found, queue = {start: 0}, deque([start])
    while queue:
        cell = queue.popleft()
        for move in MOVES:
            other = moved(cell, move)
            if other not in found and is_open(rows, other, closed):
                found[other] = found[cell] + 1
                queue.append(other)
    return found


def way(rows: Rows, start: Cell, goal: Cell, closed: Collection[str]) -> list[str] | None:
    """Moves of a shortest way; None where there is no way."""
    left = distances(rows, goal, closed)
    if start not in left:
        return None
    found, cell = [], start
    while cell != goal:
        move = next(move for move in MOVES if left.get(moved(cell, move), -1) == left[cell] - 1)
        found.append(move)
        cell = moved(cell, move)
    return found


def drawn(rows: Sequence[str], marks: Iterable[tuple[Cell, str]]) -> Rows:
    """`rows` with marks put on cells, later ones over earlier ones."""
    found = [list(row) for row in rows]
    for (row, column), mark in marks:
        found[row][column] = mark
    return tuple("".join(row) for row in found)


def symmetries(rows: Rows) -> Iterator[Rows]:
    """The map turned and mirrored in all eight ways."""
    for _ in range(4):
        yield rows
        yield tuple(row[::-1] for row in rows)
        rows = tuple("".join(column) for column in zip(*reversed(rows), strict=True))


def moves_of(items: Sequence[object]) -> list[str] | None:
    """Items that are letters of moves; None where one is none."""
    letters = [item for item in items if isinstance(item, str) and item in MOVES]
    return letters if len(letters) == len(items) else None


def places(start: Cell, goal: Cell) -> str:
    """Both cells as numbers, which spares counting."""
    return f"S: row {start[0]}, column {start[1]}. G: row {goal[0]}, column {goal[1]}."
