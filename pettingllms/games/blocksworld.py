"""`blocksworld`: restack blocks, one at a time, until they stand as they shall."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.games.base import Draw, Game
from pettingllms.games.search import shortest

NAMES = "ABCDEFGH"
TABLE = "table"
SEARCHED = 400_000
"""States of a search; eight blocks can stand in 394,353 ways."""

Stacks = tuple[tuple[str, ...], ...]
"""Stacks of blocks from the bottom to the top, sorted by their lowest block."""
Move = tuple[str, str]
"""A block, and the block or table that it is put on."""


class BlocksworldOptions(ConfigModel):
    """Difficulty of `blocksworld`."""

    most_stacks: int = Field(3, ge=1, le=4)
    """Most stacks that the blocks start in, and end in."""


class BlocksState(NamedTuple):
    """How the blocks stand, and how they shall."""

    stacks: Stacks
    goal: Stacks


class Blocksworld(Game[BlocksState, Move, BlocksworldOptions]):
    """The table has room for any number of stacks."""

    Options = BlocksworldOptions
    sizes = range(2, 9)
    default_size = 5
    rules = (
        "Restack the blocks as the goal says. A move takes the top block of a stack and puts it on the "
        "top block of another stack or on the table.\n"
        'Answer with all moves as a list, such as [{"move": ["B", "table"]}, {"move": ["A", "B"]}].'
    )

    def generate(self, draw: Draw, size: int) -> BlocksState | None:
        """Two random ways to stack the same blocks; any way can be reached from any other."""
        state = BlocksState(self._stacked(draw, size), self._stacked(draw, size))
        return None if self.solved(state) else state

    def _stacked(self, draw: Draw, size: int) -> Stacks:
        stacks = [list[str]() for _ in range(draw.between(1, min(self.options.most_stacks, size)))]
        for block in draw.shuffled(NAMES[:size]):
            draw.choice(stacks).append(block)
        return _sorted(stacks)

    def canonical(self, state: BlocksState) -> Hashable:
        """Blocks are renamed in the order of the goal's stacks, the first of all orders of these."""
        found = []
        for order in itertools.permutations(state.goal):
            names = {block: NAMES[number] for number, block in enumerate(itertools.chain(*order))}
            renamed = [[[names[one] for one in stack] for stack in stacks] for stacks in state]
            found.append(tuple(map(_sorted, renamed)))
        return min(found)

    def solve(self, state: BlocksState) -> list[Move] | None:
        """Fewest moves."""
        return shortest(state, _successors, self.remaining, SEARCHED)

    def show(self, state: BlocksState) -> str:
        """The stacks as they are and as they shall be."""
        stacks = f"{_shown(state.stacks)}\nGoal:\n{_shown(state.goal)}"
        return f"{stacks}\nStacks are written from the bottom to the top."

    def read(self, state: BlocksState, items: Sequence[Any]) -> list[Move] | None:
        """Mappings with the one key `move`: a block, and a block or the table."""
        blocks = {block for stack in state.stacks for block in stack}
        found = []
        for item in items:
            move = item.get("move") if isinstance(item, dict) and len(item) == 1 else None
            if not isinstance(move, list) or len(move) != 2 or any(type(one) is not str for one in move):
                return None
            if move[0] not in blocks or move[1] not in blocks | {TABLE}:
                return None
            found.append((move[0], move[1]))
        return found

    def write(self, state: BlocksState, actions: Sequence[Move]) -> list[Any]:  # noqa: ARG002
        """Mappings."""
        return [{"move": list(action)} for action in actions]

    def step(self, state: BlocksState, action: Move) -> BlocksState | None:
        """Only top blocks move, upon other top blocks or to the table, where they must not be already."""
        block, onto = action
        tops = {stack[-1]: stack for stack in state.stacks}
        source = tops.get(block)
        if source is None or block == onto or (onto != TABLE and onto not in tops):
            return None
        if onto == TABLE and len(source) == 1:
            return None
        stacks = [stack for stack in state.stacks if stack != source and stack[-1] != onto]
        stacks.append((*tops[onto], block) if onto != TABLE else (block,))
        if len(source) > 1:
            stacks.append(source[:-1])
        return state._replace(stacks=_sorted(stacks))

    def solved(self, state: BlocksState) -> bool:
        """Every block stands where it shall."""
        return state.stacks == state.goal

    def remaining(self, state: BlocksState) -> float | None:
        """Blocks that are not in their final position, with all below them in theirs, too."""
        return float(sum(map(len, state.stacks)) - sum(_settled(stack, state.goal) for stack in state.stacks))


def _successors(state: BlocksState) -> Iterator[tuple[Move, BlocksState]]:
    game = Blocksworld(BlocksworldOptions())
    tops = [stack[-1] for stack in state.stacks]
    for block in tops:
        for onto in (*tops, TABLE):
            after = game.step(state, (block, onto))
            if after is not None:
                yield (block, onto), after


def _settled(stack: Sequence[str], goal: Stacks) -> int:
    """How many blocks of `stack`, from the bottom on, are as in the goal."""
    wanted = next((other for other in goal if other[0] == stack[0]), ())
    pairs = zip(stack, wanted, strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _sorted(stacks: Sequence[Sequence[str]]) -> Stacks:
    return tuple(sorted(tuple(stack) for stack in stacks if stack))


def _shown(stacks: Stacks) -> str:
    return "\n".join(" ".join(stack) for stack in stacks)
