"""Sokoban push by push: what a player who may walk anywhere can push, and stores that are made by pulling."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pettingllms.games.base import Draw
from pettingllms.games.grid import MOVES, Cell, Rows, distances, drawn, moved, way
from pettingllms.games.search import TooFarError

BACK = {"U": "D", "D": "U", "L": "R", "R": "L"}
BLOCKED = "#$"
Boxes = tuple[Cell, ...]
"""Sorted cells."""
Estimate = Callable[[Boxes], float | None]
"""Pushes that are left, 0 at the goal only; None where the goal is out of reach."""


class Standing(NamedTuple):
    """Where the boxes are, and the player."""

    boxes: Boxes
    at: Cell


class Shove(NamedTuple):
    """A push or a pull: the player walks to `stand` first, and then moves by `move`."""

    stand: Cell
    move: str
    after: Standing


def pushes(rows: Rows, standing: Standing, reached: dict[Cell, int]) -> Iterator[Shove]:
    """Every push that a player who reaches these cells can make."""
    for box in standing.boxes:
        for move in MOVES:
            stand, behind = moved(box, BACK[move]), moved(box, move)
            if stand in reached and _is_free(rows, standing.boxes, behind):
                yield Shove(stand, move, Standing(_put(standing.boxes, box, behind), box))


def pulls(rows: Rows, standing: Standing, reached: dict[Cell, int]) -> Iterator[Shove]:
    """Every pull: a push the other way round in time, for which the player steps back."""
    for box in standing.boxes:
        for move in MOVES:
            stand, back = moved(box, move), moved(moved(box, move), move)
            if stand in reached and _is_free(rows, standing.boxes, back):
                yield Shove(stand, move, Standing(_put(standing.boxes, box, stand), back))


def reach(rows: Rows, standing: Standing) -> dict[Cell, int]:
    """The cells that the player can walk to, with the steps."""
    return distances(_with(rows, standing.boxes), standing.at, BLOCKED)


def walked(rows: Rows, standing: Standing, cell: Cell) -> list[str]:
    """Moves to a cell that can be reached."""
    found = way(_with(rows, standing.boxes), standing.at, cell, BLOCKED)
    if found is None:
        raise ValueError(f"{cell} cannot be reached from {standing.at}")
    return found


def solution(rows: Rows, start: Standing, left: Estimate, most: int) -> list[str] | None:
    """Moves to the goal, few but not always the fewest; None where there are none.

    Looks at what seems nearest first. Raises TooFarError after `most` standings that differ by more than a
    walk of the player.
    """
    first = left(start.boxes)
    if first is None:
        return None
    came: dict[Standing, tuple[Standing, Shove] | None] = {start: None}
    seen: set[Standing] = set()
    queue: list[tuple[float, int, Standing]] = [(first, 0, start)]
    count = 0
    while queue:
        further, _, standing = heapq.heappop(queue)
        if further == 0:
            return _moves(rows, came, standing)
        reached = reach(rows, standing)
        # Standings between which the player can walk are one.
        same = Standing(standing.boxes, min(reached))
        if same in seen:
            continue
        seen.add(same)
        if len(seen) > most:
            raise TooFarError
        for shove in pushes(rows, standing, reached):
            estimate = None if shove.after in came else left(shove.after.boxes)
            if estimate is not None:
                came[shove.after] = (standing, shove)
                count += 1
                heapq.heappush(queue, (estimate, count, shove.after))
    return None


def pulled(
    rows: Rows, goals: Boxes, at: Cell, draw: Draw, left: Estimate, count: int
) -> tuple[Standing, list[str]] | None:
    """A start that `count` random pulls come to from the goals, and moves that solve it; None without one.

    Of the standings on the way it is the one with most pushes left. That it can be solved needs no search:
    each pull, undone, is a push.
    """
    standing = Standing(goals, at)
    done: list[tuple[Standing, Shove]] = []
    best, most = 0, 0.0
    for _ in range(count):
        ways = list(pulls(rows, standing, reach(rows, standing)))
        if not ways:
            break
        # The farther of two, so that boxes move away from the goals in time, and on ways of many kinds.
        shove = max((draw.choice(ways) for _ in range(2)), key=lambda one: left(one.after.boxes) or 0.0)
        done.append((standing, shove))
        standing = shove.after
        if (further := left(standing.boxes) or 0.0) > most:
            best, most = len(done), further
    if not best:
        return None
    start = done[best - 1][1].after
    moves: list[str] = []
    here = start
    for before, shove in reversed(done[:best]):
        # The player stands where the pull left him, and pushes the box to where it came from.
        moves += [*walked(rows, here, shove.after.at), BACK[shove.move]]
        here = Standing(before.boxes, shove.stand)
    return start, moves


def _moves(rows: Rows, came: dict[Standing, tuple[Standing, Shove] | None], end: Standing) -> list[str]:
    found: list[str] = []
    while (step := came[end]) is not None:
        end, shove = step
        found = [*walked(rows, end, shove.stand), shove.move, *found]
    return found


def _with(rows: Rows, boxes: Boxes) -> Rows:
    return drawn(rows, ((box, "$") for box in boxes))


def _is_free(rows: Rows, boxes: Boxes, cell: Cell) -> bool:
    return rows[cell[0]][cell[1]] not in BLOCKED and cell not in boxes


def _put(boxes: Boxes, box: Cell, cell: Cell) -> Boxes:
    return tuple(sorted((*(one for one in boxes if one != box), cell)))
