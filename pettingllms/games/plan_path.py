"""`plan_path`: find a way through a square with walls."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Fault, Game
from pettingllms.games.grid import (
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

WALL = "#"


class PlanPathOptions(ConfigModel):
    """Difficulty of `plan_path`."""

    walls: float = Field(0.22, ge=0, le=0.6)
    """Share of the cells that are walls, on average."""
    least_distance: int = Field(1, ge=1)
    """Fewest steps from start to goal."""
    most_distance: int | None = Field(None, ge=1)
    """Most steps from start to goal. Default: whatever the map allows."""


class PathState(NamedTuple):
    """`rows`: `.` and `#`."""

    rows: Rows
    at: Cell
    goal: Cell


class PlanPath(Game[PathState, str, PlanPathOptions]):
    """Walk from where you are to the goal."""

    Options = PlanPathOptions
    sizes = range(2, 33)
    default_size = 10
    rules = (
        "Walk from S to G. `#` is a wall. Moves: U (up), D (down), L (left), R (right), one cell each.\n"
        'Answer with all moves as a list, such as ["R", "D"].'
    )
    tiles = MappingProxyType(
        {"#": ("wall",), ".": (), "G": ("goal",), "S": ("player",), "+": ("goal", "player")}
    )
    picture_rules = (
        "The image shows a map from above. Walk from the blue disc to the green square. Dark cells are "
        "walls. Moves: U (up), D (down), L (left), R (right), one cell each.\n"
        'Answer with all moves as a list, such as ["R", "D"].'
    )

    def fault(self, size: int) -> Fault | None:
        """Distances have to leave some."""
        fault = super().fault(size)
        least, most = self.options.least_distance, self.options.most_distance or size * size - 1
        if fault is None and least > most:
            path = ("plan_path", "least_distance")
            return Fault(path, f"no distance is at least {least} and at most {most}", "lower it")
        return fault

    def generate(self, draw: Draw, size: int) -> PathState | None:
        """Random walls and start; the goal is drawn by distance, so that all of them are as frequent."""
        options = self.options
        rows = tuple(
            "".join(WALL if draw.share() < options.walls else "." for _ in range(size)) for _ in range(size)
        )
        free = [cell for cell in cells(size) if is_open(rows, cell, WALL)]
        if not free:
            return None
        start = draw.choice(free)
        most = options.most_distance or size * size
        goals: dict[int, list[Cell]] = {}
        for cell, steps in sorted(distances(rows, start, WALL).items()):
            if options.least_distance <= steps <= most:
                goals.setdefault(steps, []).append(cell)
        if not goals:
            return None
        return PathState(rows, start, draw.choice(goals[draw.choice(sorted(goals))]))

    def canonical(self, state: PathState) -> Hashable:
        """The first of the map's eight symmetric forms."""
        return min(symmetries(drawn(state.rows, [(state.goal, "G"), (state.at, "S")])))

    def solve(self, state: PathState) -> list[str] | None:
        """A shortest way."""
        return way(state.rows, state.at, state.goal, WALL)

    def show(self, state: PathState) -> str:
        """The map, and both places as numbers."""
        rows = drawn(state.rows, [(state.goal, "G"), (state.at, "S")])
        return "\n".join([*rows, places(state.at, state.goal)])

    def tiled(self, state: PathState) -> Rows:
        """The map; `+`: standing on the goal."""
        at = "+" if state.at == state.goal else "S"
        return drawn(state.rows, [(state.goal, "G"), (state.at, at)])

    def read(self, state: PathState, items: Sequence[Any]) -> list[str] | None:  # noqa: ARG002
        """Letters."""
        return moves_of(items)

    def write(self, state: PathState, actions: Sequence[str]) -> list[Any]:  # noqa: ARG002
        """Letters."""
        return list(actions)

    def step(self, state: PathState, action: str) -> PathState | None:
        """Walls and the edge stop a move."""
        cell = moved(state.at, action)
        return state._replace(at=cell) if is_open(state.rows, cell, WALL) else None

    def solved(self, state: PathState) -> bool:
        """Standing on the goal."""
        return state.at == state.goal

    def remaining(self, state: PathState) -> float | None:
        """Steps of a shortest way; walls count, so it is not the distance by coordinates."""
        return distances(state.rows, state.goal, WALL).get(state.at)
