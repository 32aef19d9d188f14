"""The value of an expression: numbers, texts, conditions; what has no value is said in words."""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable
from typing import Any

from pettingllms.documents.source import KeyPath, dotted
from pettingllms.space.expressions import Expression
from pettingllms.space.parts import (
    Arithmetic,
    Comparison,
    Constant,
    EvaluationError,
    Items,
    Junction,
    Key,
    Negative,
    Not,
    Part,
    UnknownPathError,
)

Lookup = Callable[[KeyPath], Any]
"""Gives the value at a path of the experiment; raises KeyError where there is none."""

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(expression: Expression, lookup: Lookup) -> bool:
    """True where the condition is fulfilled.

    Raises EvaluationError where it has no value, or one that is neither true nor false, and
    UnknownPathError where it names a key that does not exist.
    """
    return _Evaluator(expression.text, lookup).condition(expression.root)


class _Evaluator:
    def __init__(self, text: str, lookup: Lookup) -> None:
        self.text, self.lookup = text, lookup

    def value(self, part: Part) -> Any:
        result: Any = None
        match part:
            case Constant(value=value):
                result = value
            case Key(path=path):
                result = self.at(part, path)
            case Items(items=items):
                result = [self.value(item) for item in items]
            case Negative(operand=operand):
                result = -self.number(operand)
            case Arithmetic(sign=sign, left=left, right=right):
                result = self.calculated(part, sign, self.number(left), self.number(right))
            case Not(operand=operand):
                result = not self.condition(operand)
            case Junction(word=word, operands=operands):
                conditions = (self.condition(operand) for operand in operands)
                result = all(conditions) if word == "and" else any(conditions)
            case Comparison(first=first, rest=rest):
                result = self.compared(first, rest)
        return result

    def at(self, part: Part, path: KeyPath) -> Any:
        try:
            return self.lookup(path)
        except KeyError:
            message = f"there is no key {dotted(path)}"
            raise UnknownPathError(path, message, part.start, part.end - part.start) from None

    def condition(self, part: Part) -> bool:
        value = self.value(part)
        if not isinstance(value, bool):
            raise self.fault(part, f"{self.name(part)} is {_kind(value)}, not true or false")
        return value

    def number(self, part: Part) -> int | float:
        value = self.value(part)
        if not _is_number(value):
            raise self.fault(part, f"{self.name(part)} is {_kind(value)}, not a number")
        number: int | float = value
        return number

    def calculated(self, part: Part, sign: str, left: int | float, right: int | float) -> int | float:
        if sign in "/%" and right == 0:
            raise self.fault(part, f"{self.name(part)} divides by zero")
        try:
            result: int | float = _ARITHMETIC[sign](left, right)
        except OverflowError:
            result = math.inf
        if isinstance(result, float) and not math.isfinite(result):
            raise self.fault(part, f"{self.name(part)} is too large")
        return result

    def compared(self, first: Part, rest: tuple[tuple[str, Part], ...]) -> bool:
        left, left_part = self.value(first), first
        for sign, part in rest:
            right = self.value(part)
            if not self.compare(sign, left_part, left, part, right):
                return False
            left, left_part = right, part
        return True

    def compare(self, sign: str, left_part: Part, left: Any, right_part: Part, right: Any) -> bool:
        if sign in ("==", "!="):
            return bool(left == right) is (sign == "==")
        if sign in ("in", "not in"):
            if not isinstance(right, list):
                raise self.fault(right_part, f"{self.name(right_part)} is {_kind(right)}, not a list")
            return (left in right) is (sign == "in")
        numbers = _is_number(left) and _is_number(right)
        if not numbers and not (isinstance(left, str) and isinstance(right, str)):
            what = f"{self.name(left_part)} is {_kind(left)}, and {self.name(right_part)} is {_kind(right)}"
            raise self.fault(left_part, f"{what}: {sign} compares two numbers or two texts", right_part)
        return _ORDER[sign](left, right)

    def name(self, part: Part) -> str:
        """The part as it is written. Values of keys are never shown: they may be secrets."""
        text = self.text[part.start : part.end]
        return text if len(text) <= 60 else text[:57] + "…"

    def fault(self, part: Part, message: str, last: Part | None = None) -> EvaluationError:
        return EvaluationError(message, part.start, (last or part).end - part.start)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    """What a value is, in words."""
    words = (
        (type(None), "null"),
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a table"),
        ((datetime.date, datetime.time), "a date"),
    )
    return next(word for kind, word in words if isinstance(value, kind))
