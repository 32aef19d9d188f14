"""What a text with `${…}` is once it is read: a small tree of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that needs nothing else: plain text, or a typed argument and how it was written."""

    value: Any
    written: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """`${a.b}`: dots, brackets and keys in order; a key may itself be an expression. `text`: for messages."""

    parts: tuple[str | Expression, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """`${name:…}`: the parts of the name between its dots, and the arguments. `text`: for messages."""

    name: tuple[str | Expression, ...]
    arguments: tuple[Expression, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Pieces that make one text, even where there is only one piece."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list among the arguments."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table among the arguments."""

    pairs: tuple[tuple[Any, Expression], ...]


Expression: TypeAlias = Literal | Reference | Call | Joined | Items | Pairs
