"""The resolvers that need nothing but their arguments: `mul`, `add`, `div`, `min`, `max`, `len`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

LARGEST = 2**63 - 1


class ResolverError(Exception):
    """A resolver cannot work with its arguments; the message says why, `help` what to do."""

    def __init__(self, message: str, help_text: str | None = None) -> None:
        super().__init__(message)
        self.help = help_text


def _numbers(name: str, arguments: list[Any]) -> list[int | float]:
    for argument in arguments:
        if isinstance(argument, bool) or not isinstance(argument, int | float):
            help_text = (
                f"make it a number: ${{{name}:${{oc.decode:…}},…}}" if isinstance(argument, str) else None
            )
            raise ResolverError(f"{name} takes numbers, not {what(argument)}", help_text)
        _sound(name, argument)
    return arguments


def what(value: Any) -> str:
    """Name the kind of `value`, without the value itself, which may be secret."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", dict: "a section", list: "a list", int: "an integer", float: "a number"}
    return kinds.get(type(value), "such a value")


def _fold(name: str, step: Callable[[Any, Any], Any]) -> Callable[[list[Any]], int | float]:
    def fold(arguments: list[Any]) -> int | float:
        if len(arguments) < 2:
            raise ResolverError(f"{name} takes two or more numbers", f"write ${{{name}:${{a.b}},2}}")
        return _sound(name, functools.reduce(step, _numbers(name, arguments)))

    return fold


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> Callable[[list[Any]], int | float]:
    def extreme(arguments: list[Any]) -> int | float:
        if len(arguments) == 1 and isinstance(arguments[0], list):
            arguments = arguments[0]
        if not arguments:
            raise ResolverError(f"{name} takes numbers, or one list of them", f"write ${{{name}:${{a.b}},2}}")
        return _sound(name, choose(_numbers(name, arguments)))

    return extreme


def _div(arguments: list[Any]) -> int | float:
    """The quotient; an integer where two integers divide without a rest, else a number with a point."""
    if len(arguments) != 2:
        raise ResolverError("div takes two numbers", "write ${div:${a.b},2}")
    above, below = _numbers("div", arguments)
    if below == 0:
        raise ResolverError("div cannot divide by zero")
    if isinstance(above, int) and isinstance(below, int) and above % below == 0:
        return _sound("div", above // below)
    return above / below


def _len(arguments: list[Any]) -> int:
    if len(arguments) != 1 or not isinstance(arguments[0], str | list | dict):
        found = f", not {what(arguments[0])}" if len(arguments) == 1 else ""
        raise ResolverError(f"len takes one list, section or text{found}", "write ${len:${a.list}}")
    return len(arguments[0])


def _sound(name: str, number: int | float) -> int | float:
    if isinstance(number, int) and not -LARGEST - 1 <= number <= LARGEST:
        raise ResolverError(f"{name} meets an integer of more than 64 bits, which no file can hold")
    return number


PURE: dict[str, Callable[[list[Any]], Any]] = {
    "mul": _fold("mul", operator.mul),
    "add": _fold("add", operator.add),
    "div": _div,
    "min": _extreme("min", min),
    "max": _extreme("max", max),
    "len": _len,
}
