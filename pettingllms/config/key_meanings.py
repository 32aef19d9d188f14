"""What a key that the schema does not have may mean: the rows of the tables of accepted keys."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class NoEffect(NamedTuple):
    """Nothing reads the key here, whatever it says. `why`: the reason, or where such a value belongs."""

    why: str = ""


class DoneOnlyAs(NamedTuple):
    """What `values` ask for is what this version does; any other value would change results and is refused.

    A null asks for nothing. `at_most`: numbers up to this one ask for nothing either.
    """

    values: tuple[Any, ...] = ()
    why: str = ""
    at_most: float | None = None

    def allows(self, value: Any) -> bool:
        """True where `value` asks for nothing else than what is done anyway."""
        if value is None or same(value, self.values):
            return True
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.at_most is not None and value <= self.at_most


class Unset(NamedTuple):
    """The schema has the key, and `values` are how verl says that it is not set. `why`: what then holds."""

    values: tuple[Any, ...]
    why: str


class BelongsTo(NamedTuple):
    """The key has no effect where it is, and has one at `to`, which is written as in a reference.

    `inert`: values that ask for nothing. `movable` is False where one value would become that of all.
    """

    to: str
    inert: tuple[Any, ...] = ()
    movable: bool = True


class SectionBelongsTo(NamedTuple):
    """All keys of the section are read at `to`, which is written as in a reference, and not here."""

    to: str


class OldName(NamedTuple):
    """The key is read as the key at `to`; `words` are values that have another name there."""

    to: str
    words: Mapping[Any, Any] = MappingProxyType({})


class OldWord(NamedTuple):
    """The schema has the key, and some of its values had another name."""

    words: Mapping[Any, Any]


class Untrained(NamedTuple):
    """A list of agents that are not trained, which each agent says itself."""


class Honoured(NamedTuple):
    """The schema has the key, which belongs elsewhere and is honoured here too."""


class SaysSo(NamedTuple):
    """The value says in words of another trainer what is so anyway; the key is left out without a word."""


Meaning = (
    NoEffect
    | DoneOnlyAs
    | Unset
    | BelongsTo
    | SectionBelongsTo
    | OldName
    | OldWord
    | Untrained
    | Honoured
    | SaysSo
)
Table = dict[str, "Meaning | Table"]
"""Keys of a section; `*` stands for every key that is not listed."""


def each(names: str, meaning: Meaning) -> Table:
    """A row of the same meaning for each of `names`."""
    return dict.fromkeys(names.split(), meaning)


def same(value: Any, known: tuple[Any, ...]) -> bool:
    """True where `value` is one of `known`; whole numbers equal those with a fraction, booleans neither."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in known)
