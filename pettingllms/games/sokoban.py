"""`sokoban`: push all boxes onto the goals of a store; they cannot be pulled."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Game, Instance
from pettingllms.games.grid import (
    MOVES,
    Cell,
    Rows,
    cells,
    drawn,
    is_open,
    moved,
    moves_of,
    symmetries,
)
from pettingllms.games.search import TooFarError, shortest
from pettingllms.games.sokoban_pushes import BACK, Boxes, Standing, pulled, solution

WALL = "#"
PROOF = 20_000
"""States of the search that proves a start solvable; starts that need more are drawn anew."""
SEARCHED = 50_000
"""States of the search for fewest moves."""
PUSHED = 1_000
"""Standings of boxes of the search that finds a deadlock; where it ends before, none is claimed."""
LARGE, MANY = 11, 50_000
"""From this size on, and where boxes can stand in more ways than this, stores are made by pulling: to find
the fewest moves takes too long."""
SHORTER = 200
"""The same of the search for fewer moves than random pulls made."""
PULLS = 4
"""Random pulls, for each box and each cell of a side."""


class SokobanOptions(ConfigModel):
    """Difficulty of `sokoban`."""

    boxes: int = Field(1, ge=1, le=6)
    """Boxes, and goals for them."""
    walls: float = Field(0.15, ge=0, le=0.5)
    """Share of the inner cells that are walls, on average; the outer ones always are."""
    least_pushes: int = Field(1, ge=1)
    """Fewest pushes that a start needs, boxes taken one by one."""


class StoreState(NamedTuple):
    """`rows`: walls and floor; `boxes` and `goals`: sorted cells."""

    rows: Rows
    at: Cell
    boxes: tuple[Cell, ...]
    goals: tuple[Cell, ...]


class Sokoban(Game[StoreState, str, SokobanOptions]):
    """Solved when a box stands on every goal."""

    Options = SokobanOptions
    sizes = range(5, 17)
    default_size = 6
    rules = (
        "Push every box onto a goal. `#` wall, `.` goal, `$` box, `@` you, `*` box on a goal, `+` you on "
        "a goal. Moves: U (up), D (down), L (left), R (right); walking into a box pushes it, where the "
        "cell behind it is free.\n"
        'Answer with all moves as a list, such as ["R", "D"].'
    )
    tiles = MappingProxyType(
        {
            "#": ("wall",),
            " ": (),
            ".": ("goal",),
            "$": ("box",),
            "@": ("player",),
            "*": ("goal", "box"),
            "+": ("goal", "player"),
        }
    )
    picture_rules = (
        "The image shows a store from above: dark cells are walls, green squares goals, smaller brown "
        "squares boxes, and the blue disc is you. Push every box onto a goal. Moves: U (up), D (down), L "
        "(left), R (right); walking into a box pushes it, where the cell behind it is free.\n"
        'Answer with all moves as a list, such as ["R", "D"].'
    )

    def generate(self, draw: Draw, size: int) -> StoreState | None:
        """The start of `instance`."""
        found = self.instance(draw, size)
        return None if found is None else found.state

    def instance(self, draw: Draw, size: int) -> Instance | None:
        """Random walls; random boxes, goals and player of which a search proves that there is a solution, or
        in large stores and with many boxes, random pulls from the goals.
        """
        inner = [cell for cell in cells(size) if 0 < cell[0] < size - 1 and 0 < cell[1] < size - 1]
        walls = {cell for cell in inner if draw.share() < self.options.walls}
        floor = [cell for cell in draw.shuffled(inner) if cell not in walls]
        count = self.options.boxes
        if len(floor) < 2 * count + 1:
            return None
        blank = [WALL * size] * size
        rows = drawn(blank, ((cell, " ") for cell in floor))
        if size >= LARGE or (size - 2) ** (2 * count) > MANY:
            return self._pulled(draw, rows, tuple(sorted(floor[1 : 1 + count])), floor[0])
        boxes, goals = floor[1 : 1 + count], draw.shuffled(floor[1:])[:count]
        state = StoreState(rows, floor[0], tuple(sorted(boxes)), tuple(sorted(goals)))
        left = self.remaining(state)
        if left is None or left < self.options.least_pushes:
            return None
        try:
            found = shortest(state, self._successors, self.remaining, PROOF)
        except TooFarError:
            return None
        return None if found is None else Instance(state)

    def _pulled(self, draw: Draw, rows: Rows, goals: Boxes, at: Cell) -> Instance | None:
        left = partial(_left, rows, goals)
        made = pulled(rows, goals, at, draw, left, PULLS * len(goals) * len(rows))
        if made is None or (left(made[0].boxes) or 0.0) < self.options.least_pushes:
            return None
        (boxes, place), moves = made
        # Random pulls make detours; what a search finds is mostly shorter.
        with suppress(TooFarError):
            moves = min(moves, solution(rows, made[0], left, SHORTER) or moves, key=len)
        return Instance(StoreState(rows, place, boxes, goals), moves)

    def canonical(self, state: StoreState) -> Hashable:
        """The first of the map's eight symmetric forms."""
        return min(symmetries(self._map(state)))

    def solve(self, state: StoreState) -> list[str] | None:
        """Fewest moves. Raises TooFarError where none are found among 50,000 states."""
        return shortest(state, self._successors, self.remaining, SEARCHED)

    def _successors(self, state: StoreState) -> Iterator[tuple[str, StoreState]]:
        for move in MOVES:
            after = self.step(state, move)
            if after is not None:
                yield move, after

    def _map(self, state: StoreState) -> Rows:
        marks = [(goal, ".") for goal in state.goals]
        marks += [(box, "*" if box in state.goals else "$") for box in state.boxes]
        return drawn(state.rows, [*marks, (state.at, "+" if state.at in state.goals else "@")])

    def show(self, state: StoreState) -> str:
        """The map."""
        return "\n".join(self._map(state))

    def tiled(self, state: StoreState) -> Rows:
        """The map."""
        return self._map(state)

    def read(self, state: StoreState, items: Sequence[Any]) -> list[str] | None:  # noqa: ARG002
        """Letters."""
        return moves_of(items)

    def write(self, state: StoreState, actions: Sequence[str]) -> list[Any]:  # noqa: ARG002
        """Letters."""
        return list(actions)

    def step(self, state: StoreState, action: str) -> StoreState | None:
        """Walls stop a move, and so does a box that cannot be pushed."""
        cell = moved(state.at, action)
        if not is_open(state.rows, cell, WALL):
            return None
        if cell not in state.boxes:
            return state._replace(at=cell)
        behind = moved(cell, action)
        if behind in state.boxes or not is_open(state.rows, behind, WALL):
            return None
        boxes = tuple(sorted((*(box for box in state.boxes if box != cell), behind)))
        return state._replace(at=cell, boxes=boxes)

    def solved(self, state: StoreState) -> bool:
        """Every box on a goal."""
        return state.boxes == state.goals

    def lost(self, state: StoreState) -> bool:
        """A deadlock: no moves bring all boxes to goals any more."""
        left = partial(_left, state.rows, state.goals)
        try:
            return solution(state.rows, Standing(state.boxes, state.at), left, PUSHED) is None
        except TooFarError:
            return False

    def remaining(self, state: StoreState) -> float | None:
        """Pushes that the boxes need one by one, each alone in the store, for the best choice of goals.

        None where a box can never reach any goal that is left for it.
        """
        return _left(state.rows, state.goals, state.boxes)


def _left(rows: Rows, goals: Boxes, boxes: Boxes) -> float | None:
    """See `Sokoban.remaining`. Goal by goal, the cheapest way to bring each set of boxes to those before."""
    cheapest = {0: 0}
    for goal in goals:
        pushes, further = _pushes(rows, goal), dict[int, int]()
        for taken, cost in cheapest.items():
            for number, box in enumerate(boxes):
                if not taken >> number & 1 and (more := pushes.get(box)) is not None:
                    key = taken | 1 << number
                    further[key] = min(further.get(key, cost + more), cost + more)
        cheapest = further
    return float(*cheapest.values()) if cheapest else None


@lru_cache(maxsize=4096)
def _pushes(rows: Rows, goal: Cell) -> dict[Cell, int]:
    """Fewest pushes that bring a box from each cell to `goal`, in a store without other boxes.

    Found backwards, by pulling: before a push, box and player stand one cell back each.
    """
    found, queue = {goal: 0}, deque([goal])
    while queue:
        cell = queue.popleft()
        for move in MOVES:
            box = moved(cell, BACK[move])
            player = moved(box, BACK[move])
            if box not in found and is_open(rows, box, WALL) and is_open(rows, player, WALL):
                found[box] = found[cell] + 1
                queue.append(box)
    return found
