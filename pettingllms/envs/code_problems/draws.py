"""Random inputs of problems: small parts that are put together."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import ascii_lowercase

Draw = Callable[[Random], str]
"""A random input, from the given source; it ends with a line break."""

WORDS = (
    *("apple", "bird", "cloud", "door", "eagle", "fire", "green", "house", "iron", "jump", "kite", "lamp"),
    *(
        "moon",
        "night",
        "ocean",
        "paper",
        "queen",
        "river",
        "stone",
        "tree",
        "under",
        "voice",
        "water",
        "yard",
    ),
)


def integer(low: int, high: int) -> Draw:
    """A whole number from `low` to `high`."""
    return lambda source: f"{source.randint(low, high)}\n"


def lines(*parts: Draw) -> Draw:
    """The parts one below the other."""
    return lambda source: "".join(part(source) for part in parts)


def row(shortest: int, longest: int, low: int, high: int) -> Draw:
    """Whole numbers on one line, as many as lie between `shortest` and `longest`."""

    def draw(source: Random) -> str:
        count = source.randint(shortest, longest)
        return " ".join(str(source.randint(low, high)) for _ in range(count)) + "\n"

    return draw


def word(shortest: int, longest: int, letters: str = ascii_lowercase) -> Draw:
    """A word of random letters."""
    return lambda source: "".join(source.choices(letters, k=source.randint(shortest, longest))) + "\n"


def sentence(shortest: int, longest: int) -> Draw:
    """Plain English words on one line; some may come twice."""
    return lambda source: " ".join(source.choices(WORDS, k=source.randint(shortest, longest))) + "\n"
