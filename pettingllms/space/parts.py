"""What an expression is once it is read: a small tree; and the faults of one, with their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pettingllms.documents.source import KeyPath


class ExpressionError(ValueError):
    """A text is no expression, or has no value.

    `offset`: index of the first character concerned; `length`: how many there are.
    """

    def __init__(self, message: str, offset: int, length: int = 1, help_text: str | None = None) -> None:
        super().__init__(message)
        self.message, self.offset, self.length, self.help = message, offset, length, help_text


class EvaluationError(ExpressionError):
    """An expression has no value where it is asked for one."""


class UnknownPathError(EvaluationError):
    """An expression names a key that does not exist."""

    def __init__(self, path: KeyPath, message: str, offset: int, length: int) -> None:
        super().__init__(message, offset, length)
        self.path = path


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an expression; `start` and `end` are the indexes of its characters in the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Constant(Part):
    """A number, a text, true, false or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Key(Part):
    """The value at a path of the experiment."""

    path: KeyPath


@dataclass(frozen=True, slots=True)
class Items(Part):
    """A list."""

    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Negative(Part):
    """A number with its sign turned."""

    operand: Part


@dataclass(frozen=True, slots=True)
class Arithmetic(Part):
    """Two numbers and `+`, `-`, `*`, `/` or `%` between them."""

    sign: str
    left: Part
    right: Part


@dataclass(frozen=True, slots=True)
class Comparison(Part):
    """`first` and what follows it: each comparison is with the value before it, and all must hold."""

    first: Part
    rest: tuple[tuple[str, Part], ...]


@dataclass(frozen=True, slots=True)
class Not(Part):
    """The opposite of a condition."""

    operand: Part


@dataclass(frozen=True, slots=True)
class Junction(Part):
    """Conditions joined by `and` or `or`, looked at from the left until one decides."""

    word: str
    operands: tuple[Part, ...]
