"""When what a program gave is what was expected: texts line by line, numbers by value, values by type."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from typing import Any, Literal

CompareMode = Literal["lines", "tokens"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
"""In one way only, so that a long text that is none costs no more than its length."""
_CONTEXT = Context(prec=60)
"""Digits of a difference between two numbers; what is compared exactly is never rounded."""


_EXACT = Context(prec=100_000)


def same_output(
    expected: str, actual: str, *, tolerance: float | None = None, mode: CompareMode = "lines"
) -> bool:
    """Whether the text `actual` says the same as `expected`.

    `lines`: equal but for line ends, blanks at the end of lines and empty lines at the end; else as many
    lines, and in each the same tokens, where numbers are equal by value (`1.0` and `1`). `tokens`: equal
    once all white space is one blank. Letters differ by case. `tolerance`: how far numbers may be apart,
    absolutely or relative to the expected one, where the problem allows it; None: not at all.
    """
    if mode == "tokens":
        wanted, given = expected.split(), actual.split()
        return wanted == given or (tolerance is not None and _same_tokens(wanted, given, tolerance))
    expected_lines, actual_lines = _lines(expected), _lines(actual)
    if expected_lines == actual_lines:
        return True
    return len(expected_lines) == len(actual_lines) and all(
        _same_tokens(one.split(), other.split(), tolerance)
        for one, other in zip(expected_lines, actual_lines, strict=True)
    )


def same_value(expected: object, actual: object, *, tolerance: float | None = None) -> bool:
    """Whether a function's result `actual` is the value `expected`, which comes from JSON.

    Only plain values are compared, by their exact types: an object that calls itself equal to everything is
    equal to nothing. Tuples count as lists, and keys as the texts that JSON makes of them. Truth values are
    no numbers.
    """
    if type(expected) in (int, float) and type(actual) in (int, float):
        return expected == actual or (tolerance is not None and _near(expected, actual, tolerance))
    if type(expected) in (list, tuple) and type(actual) in (list, tuple):
        return len(expected) == len(actual) and all(  # type: ignore[arg-type]
            same_value(one, other, tolerance=tolerance)
            for one, other in zip(expected, actual, strict=True)  # type: ignore[call-overload]
        )
    if type(expected) is dict and type(actual) is dict:
        wanted, given = _by_text(expected), _by_text(actual)
        same_size = len(expected) == len(wanted) == len(given) == len(actual)
        return (
            same_size
            and wanted.keys() == given.keys()
            and all(same_value(value, given[key], tolerance=tolerance) for key, value in wanted.items())
        )
    plain = type(expected) in (str, bool, type(None))
    return plain and type(expected) is type(actual) and expected == actual


def constant_share(outputs: Iterable[Any]) -> float:
    """The share of tests that the best constant output passes, in (0, 1].

    `outputs`: what each test expects: texts, or values from JSON.
    """
    forms = Counter(
        _by_value(output) if isinstance(output, str) else json.dumps(output, sort_keys=True)
        for output in outputs
    )
    return max(forms.values()) / forms.total()


def input_tokens(given: Any) -> tuple[str, ...]:
    """What an input holds, the same for inputs that differ in spelling only.

    Of a text its words, without regard to white space; of the arguments of a function each as JSON. Numbers
    are by value, in every spelling that Python reads: `05`, `5.0` and `+5` are `5`.
    """
    if isinstance(given, str):
        return tuple(map(_read_number, given.split()))
    return tuple(json.dumps(_whole(one), sort_keys=True) for one in given)


def _read_number(token: str) -> str:
    # Decimal takes the digits of all scripts, and underscores between them, as int and float do.
    try:
        value = Decimal(token)
        return str(_EXACT.normalize(value)) if value else "0"
    except ArithmeticError:
        return token


def _whole(value: Any) -> Any:
    """A value from JSON with whole numbers as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {key: _whole(one) for key, one in value.items()} if isinstance(value, dict) else value


def _by_value(output: str) -> str:
    """The same for outputs that `same_output` takes for equal."""
    return "\n".join(" ".join(map(_plain, line.split())) for line in _lines(output))


def _plain(token: str) -> str:
    if not _NUMBER.fullmatch(token):
        return token
    value = Decimal(token)
    return str(_EXACT.normalize(value)) if value else "0"


def _lines(text: str) -> list[str]:
    """Lines without blanks at their ends, and without empty ones at the end."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_tokens(expected: list[str], actual: list[str], tolerance: float | None) -> bool:
    return len(expected) == len(actual) and all(
        one == other or _same_number(one, other, tolerance)
        for one, other in zip(expected, actual, strict=True)
    )


def _same_number(expected: str, actual: str, tolerance: float | None) -> bool:
    if not (_NUMBER.fullmatch(expected) and _NUMBER.fullmatch(actual)):
        return False
    wanted, given = Decimal(expected), Decimal(actual)
    return wanted == given or (tolerance is not None and _near(wanted, given, tolerance))


def _near(expected: Any, actual: Any, tolerance: float) -> bool:
    """Whether two numbers are as near as allowed, the looser of absolutely and relatively."""
    wanted, given, allowed = Decimal(expected), Decimal(actual), Decimal(repr(tolerance))
    if not (wanted.is_finite() and given.is_finite()):
        return False
    distance = _CONTEXT.abs(_CONTEXT.subtract(given, wanted))
    return distance <= max(allowed, _CONTEXT.multiply(allowed, abs(wanted)))


def _by_text(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {_key(key): item for key, item in value.items()}


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    try:
        return json.dumps(key)
    except (TypeError, ValueError, RecursionError):
        # No key of JSON: an integer of too many digits, or a tuple.
        return f"no key of JSON at {id(key)}"
