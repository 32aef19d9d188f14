"""`tower_of_hanoi`: bring all disks to one peg, never a larger one upon a smaller one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Game

PEGS = "ABC"
Move = tuple[int, int]
"""From which peg to which."""


class TowerOfHanoiOptions(ConfigModel):
    """Difficulty of `tower_of_hanoi`."""

    least_disks: int = Field(3, ge=1)
    """Fewest disks of an instance; `map_size` is the most. With few disks there are few instances."""


class HanoiState(NamedTuple):
    """`pegs`: where each disk is, the smallest first; `goal`: the peg that all belong on."""

    pegs: tuple[int, ...]
    goal: int


class TowerOfHanoi(Game[HanoiState, Move, TowerOfHanoiOptions]):
    """Three pegs; the disks start anywhere that is allowed."""

    Options = TowerOfHanoiOptions
    sizes = range(2, 9)
    default_size = 6
    rules = (
        "Bring all disks to the goal peg. A move takes the top disk of a peg to another peg; no disk may "
        "lie on a smaller one. Disk 1 is the smallest.\n"
        'Answer with all moves as a list of [from, to], such as [["A", "C"], ["A", "B"]].'
    )

    def generate(self, draw: Draw, size: int) -> HanoiState | None:
        """Any start but the goal itself: every way to lay disks on pegs is allowed in one order only."""
        count = draw.between(min(self.options.least_disks, size), size)
        state = HanoiState(tuple(draw.below(3) for _ in range(count)), draw.below(3))
        return None if self.solved(state) else state

    def canonical(self, state: HanoiState) -> Hashable:
        """Pegs are numbered in the order of goal, largest disk, and so on."""
        order = list(dict.fromkeys((state.goal, *reversed(state.pegs))))
        return tuple(order.index(peg) for peg in state.pegs)

    def solve(self, state: HanoiState) -> list[Move] | None:
        """The only shortest way: the largest disk that is wrong needs all smaller ones on the third peg."""
        pegs, found = list(state.pegs), list[Move]()

        def bring(disk: int, peg: int) -> None:
            if disk < 0:
                return
            if pegs[disk] != peg:
                bring(disk - 1, 3 - peg - pegs[disk])
                found.append((pegs[disk], peg))
                pegs[disk] = peg
            bring(disk - 1, peg)

        bring(len(pegs) - 1, state.goal)
        return found

    def show(self, state: HanoiState) -> str:
        """Each peg from the bottom to the top, and the goal."""
        lines = []
        for peg, name in enumerate(PEGS):
            disks = [str(disk + 1) for disk in reversed(range(len(state.pegs))) if state.pegs[disk] == peg]
            lines.append(f"{name}: {' '.join(disks) or 'empty'}")
        return (
            "\n".join(lines) + f"\nPegs are written from the bottom to the top. Goal peg: {PEGS[state.goal]}."
        )

    def read(self, state: HanoiState, items: Sequence[Any]) -> list[Move] | None:  # noqa: ARG002
        """Pairs of different pegs' names."""
        found = []
        for item in items:
            pair = isinstance(item, list) and len(item) == 2 and all(type(one) is str for one in item)
            if not pair or item[0] == item[1] or not {*item} <= set(PEGS):
                return None
            found.append((PEGS.index(item[0]), PEGS.index(item[1])))
        return found

    def write(self, state: HanoiState, actions: Sequence[Move]) -> list[Any]:  # noqa: ARG002
        """Pairs of names."""
        return [[PEGS[source], PEGS[target]] for source, target in actions]

    def step(self, state: HanoiState, action: Move) -> HanoiState | None:
        """Only the top disk of a peg moves, and only upon a larger one."""
        source, target = action
        disk = next((disk for disk, peg in enumerate(state.pegs) if peg in (source, target)), None)
        if source == target or disk is None or state.pegs[disk] != source:
            return None
        return state._replace(pegs=(*state.pegs[:disk], target, *state.pegs[disk + 1 :]))

    def solved(self, state: HanoiState) -> bool:
        """All disks on the goal peg."""
        return set(state.pegs) == {state.goal}

    def remaining(self, state: HanoiState) -> float | None:
        """Moves of the shortest way: 2**i for each disk i that is not where it has to be next."""
        goal, total = state.goal, 0
        for disk in reversed(range(len(state.pegs))):
            if state.pegs[disk] != goal:
                total += 2**disk
                goal = 3 - goal - state.pegs[disk]
        return float(total)
