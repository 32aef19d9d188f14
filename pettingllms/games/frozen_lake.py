"""`frozen_lake`: cross the ice from one corner to the other without falling into a hole."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Game
from pettingllms.games.grid import (
    MOVES,
    Cell,
    Rows,
    cells,
    distances,
    drawn,
    is_open,
    moved,
    moves_of,
    places,
    symmetries,
    way,
)

HOLE = "H"
ASIDE = {"U": "LR", "D": "LR", "L": "UD", "R": "UD"}
"""Where the ice may lead instead."""
SWEEPS = 500
"""Most rounds of value iteration."""


class FrozenLakeOptions(ConfigModel):
    """Difficulty of `frozen_lake`."""

    holes: float = Field(0.2, ge=0, le=0.6)
    """Share of the cells that are holes, on average."""
    slippery: bool = False
    """Whether a move goes aside, to the left or right of where it should go, in two of three cases."""


class LakeState(NamedTuple):
    """`rows`: `F` and `H`; `S` and `G` are put there when it is shown."""

    rows: Rows
    at: Cell
    goal: Cell


class FrozenLake(Game[LakeState, str, FrozenLakeOptions]):
    """Walk over frozen cells to the goal; a hole ends the play."""

    Options = FrozenLakeOptions
    sizes = range(2, 17)
    default_size = 4
    rules = (
        "Walk over the ice from S to G. F is frozen, H is a hole; whoever falls in has lost. Moves: U "
        "(up), D (down), L (left), R (right), one cell each.\n"
        'Answer with all moves as a list, such as ["R", "D"].'
    )

    def generate(self, draw: Draw, size: int) -> LakeState | None:
        """Random holes, drawn anew until there is a way around them, between any two opposite corners.

        Were the corners always the same ones, one list of moves would cross more than a quarter of all lakes.
        """
        last = size - 1
        start = draw.choice([(0, 0), (0, last), (last, 0), (last, last)])
        goal = last - start[0], last - start[1]
        holes = [cell for cell in cells(size) if draw.share() < self.options.holes]
        rows = drawn(["F" * size] * size, ((cell, HOLE) for cell in holes if cell not in (start, goal)))
        return LakeState(rows, start, goal) if goal in distances(rows, start, HOLE) else None

    def canonical(self, state: LakeState) -> Hashable:
        """The first of the map's eight symmetric forms."""
        return min(symmetries(drawn(state.rows, [(state.goal, "G"), (state.at, "S")])))

    def solve(self, state: LakeState) -> list[str] | None:
        """A shortest way around the holes, as if the ice were not slippery."""
        return None if self.lost(state) else way(state.rows, state.at, state.goal, HOLE)

    def show(self, state: LakeState) -> str:
        """The map, and both places as numbers."""
        rows = drawn(state.rows, [(state.goal, "G"), (state.at, "S")])
        slippery = "\nThe ice is slippery: two moves of three go aside." if self.options.slippery else ""
        return "\n".join([*rows, places(state.at, state.goal)]) + slippery

    def read(self, state: LakeState, items: Sequence[Any]) -> list[str] | None:  # noqa: ARG002
        """Letters."""
        return moves_of(items)

    def write(self, state: LakeState, actions: Sequence[str]) -> list[Any]:  # noqa: ARG002
        """Letters."""
        return list(actions)

    def step(self, state: LakeState, action: str) -> LakeState | None:
        """The edge stops a move; a hole does not, and whatever is done there changes nothing."""
        if self.lost(state):
            return state
        cell = moved(state.at, action)
        return state._replace(at=cell) if is_open(state.rows, cell, "") else None

    def solved(self, state: LakeState) -> bool:
        """Standing on the goal."""
        return state.at == state.goal

    def lost(self, state: LakeState) -> bool:
        """In a hole."""
        return not is_open(state.rows, state.at, HOLE)

    def remaining(self, state: LakeState) -> float | None:
        """Steps of a shortest way around the holes."""
        return None if self.lost(state) else distances(state.rows, state.goal, HOLE).get(state.at)

    def slip(self, state: LakeState, action: str, draw: Draw) -> str:  # noqa: ARG002 - the base class's
        """As likely as the move itself are the two beside it, where the ice is slippery."""
        return draw.choice(action + ASIDE[action]) if self.options.slippery else action

    def chance(self, state: LakeState) -> float | None:
        """Value iteration over a player who looks after each move (Sutton and Barto 2018, section 4.4)."""
        if not self.options.slippery:
            return None
        open_cells = distances(state.rows, state.at, "")
        value = {cell: float(cell == state.goal) for cell in open_cells}
        inner = [cell for cell in value if cell != state.goal and is_open(state.rows, cell, HOLE)]
        for _ in range(SWEEPS):
            before = dict(value)
            for cell in inner:
                value[cell] = max(
                    sum(before.get(moved(cell, one), before[cell]) for one in move + ASIDE[move]) / 3
                    for move in MOVES
                )
            if max((abs(value[cell] - before[cell]) for cell in inner), default=0.0) < 1e-9:
                break
        return value[state.at]
