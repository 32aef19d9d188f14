"""The contract of a game: states that never change, actions, and what is proved of an instance."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pettingllms.config.model import ConfigModel

S = TypeVar("S", bound=Hashable)
A = TypeVar("A", bound=Hashable)
O = TypeVar("O", bound=ConfigModel)  # noqa: E741 - the letter of the field for options
T = TypeVar("T")


class Draw:
    """Random choices that are the same under every version of Python.

    Of `random.Random` only the generator behind `random()` is pinned by its documentation; how `shuffle` and
    `choice` use it may change.
    """

    def __init__(self, seed: str) -> None:
        self._source = random.Random(seed)

    def share(self) -> float:
        """A number in [0, 1)."""
        return self._source.random()

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self._source.random() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(high - low + 1)

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """`items` in random order (Fisher and Yates)."""
        found = list(items)
        for last in range(len(found) - 1, 0, -1):
            other = self.below(last + 1)
            found[last], found[other] = found[other], found[last]
        return found


class Fault(NamedTuple):
    """An option that does not fit: its path in `env.options`, what is wrong in words, and what would fit."""

    path: tuple[str, ...]
    message: str
    help: str


class Instance(NamedTuple):
    """A start, and where making it gave one, a solution that need not be the shortest."""

    state: Any
    solution: list[Any] | None = None


class Game(ABC, Generic[S, A, O]):
    """One kind of puzzle.

    A state is a hashable value that nothing changes; it holds all that the puzzle is, its goal included. A
    game itself is only its options.
    """

    Options: ClassVar[type[ConfigModel]]
    """Types the section of `env.options` that is named after the game."""
    sizes: ClassVar[range]
    """Sizes (`map_size`) that can be played."""
    default_size: ClassVar[int]
    rules: ClassVar[str]
    """What an agent has to know to play, the form of an action included."""
    tiles: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """What lies on a cell, from the ground up, by the characters of `tiled`; empty: it cannot be drawn."""
    picture_rules: ClassVar[str] = ""
    """The rules for who is shown the state as an image."""

    def __init__(self, options: O) -> None:
        self.options = options

    def fault(self, size: int) -> Fault | None:
        """What keeps an instance of this size from being made; None where nothing does."""
        if size in self.sizes:
            return None
        known = (
            f"{self.sizes[0]} to {self.sizes[-1]}"
            if self.sizes.step == 1
            else " or ".join(map(str, self.sizes))
        )
        return Fault(("map_size",), f"the size is {size}", f"sizes: {known}")

    @abstractmethod
    def generate(self, draw: Draw, size: int) -> S | None:
        """A start that can be solved and is not solved; None where this draw gives none."""

    def instance(self, draw: Draw, size: int) -> Instance | None:
        """The same; with its solution where `solve` would take too long to find it. Default: without."""
        state = self.generate(draw, size)
        return None if state is None else Instance(state)

    @abstractmethod
    def canonical(self, state: S) -> Hashable:
        """The same for states that differ by a symmetry of the game only."""

    @abstractmethod
    def solve(self, state: S) -> list[A] | None:
        """Actions that solve it, as few as there can be; None where there are none."""

    @abstractmethod
    def show(self, state: S) -> str:
        """The state as an agent reads it."""

    def tiled(self, state: S) -> tuple[str, ...]:  # noqa: ARG002 - for games with tiles
        """The state as rows of characters, one for each cell of its image."""
        return ()

    @abstractmethod
    def read(self, state: S, items: Sequence[Any]) -> list[A] | None:
        """The actions that the items of a JSON list write; None where one is none of this game."""

    @abstractmethod
    def write(self, state: S, actions: Sequence[A]) -> list[Any]:
        """Actions as the items of a JSON list, which `read` reads."""

    @abstractmethod
    def step(self, state: S, action: A) -> S | None:
        """The state after `action`; None where the action is not allowed, which changes nothing."""

    @abstractmethod
    def solved(self, state: S) -> bool:
        """Whether the goal is reached exactly."""

    @abstractmethod
    def remaining(self, state: S) -> float | None:
        """How far the goal is, 0 where it is reached; None where it is out of reach."""

    def lost(self, state: S) -> bool:  # noqa: ARG002 - for games that can be lost
        """Whether no actions lead to the goal any more. Default: never."""
        return False

    def slip(self, state: S, action: A, draw: Draw) -> A:  # noqa: ARG002 - for games of chance
        """What happens instead of `action`. Default: `action`."""
        return action

    def chance(self, state: S) -> float | None:  # noqa: ARG002 - for games of chance
        """The probability that the best player reaches the goal; None in a game without chance."""
        return None


AnyGame = Game[Any, Any, Any]
