"""What a plain YAML scalar means: YAML 1.1, with the floats that OmegaConf adds and without its dates."""

from __future__ import annotations

import math
import re

_SIGNED = r"[-+]?"
_SIXTIES = r"(?::[0-5]?[0-9])+"
_KINDS = re.compile(
    "|".join(
        [
            "(?P<null>~|null|Null|NULL|)",
            "(?P<bool>yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)",
            "(?P<merge><<)",
            "(?P<value>=)",
            (
                rf"(?P<float>{_SIGNED}[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
                rf"|{_SIGNED}[0-9][0-9_]*{_SIXTIES}\.[0-9_]*"
                r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
                rf"|{_SIGNED}[0-9]+(?:_[0-9]+)*(?:\.[0-9_]*)?[eE][-+]?[0-9]+"
                rf"|{_SIGNED}\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
            ),
            rf"(?P<int>{_SIGNED}(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*(?:{_SIXTIES})?))",
        ]
    )
)
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_MAX_SIXTIES = 10
"""More groups of sixty than any whole number of 64 bits has."""
_MAX_DIGITS = 1000

Scalar = str | int | float | bool | None


class ScalarError(Exception):
    """A scalar is not what its tag, or its own form, says; the text says why."""


def kind_of(text: str) -> str:
    """Return what the plain scalar `text` is: null, bool, int, float, merge, value or str."""
    found = _KINDS.fullmatch(text)
    return "str" if found is None else found.lastgroup or "str"


def value_of(text: str, kind: str) -> Scalar:
    """Return the value of `text` read as a `kind`. Raises ScalarError."""
    if kind == "str":
        return text
    if kind == "null":
        if kind_of(text) == "null":
            return None
    elif kind == "bool":
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
    else:
        try:
            if kind == "float":
                return _fraction(text)
            if len(text) > _MAX_DIGITS or not -(2**63) <= (number := _whole(text)) < 2**63:
                raise ScalarError("this whole number does not fit in 64 bits")
            return number
        except (ValueError, IndexError, OverflowError):
            pass
    words = {"null": "null", "bool": "true or false", "int": "a whole number", "float": "a number"}
    raise ScalarError(f"this is not {words[kind]}")


def _unsigned(text: str) -> tuple[int, str]:
    digits = text.replace("_", "")
    return (-1 if digits[0] == "-" else 1), digits[1:] if digits[0] in "+-" else digits


def _whole(text: str) -> int:
    sign, digits = _unsigned(text)
    for prefix, base in (("0b", 2), ("0x", 16)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    if digits[0] == "0":
        return sign * int(digits, 8)
    if ":" in digits:
        return sign * int(_sixties([int(part) for part in digits.split(":")]))
    return sign * int(digits)


def _fraction(text: str) -> float:
    sign, digits = _unsigned(text.lower())
    if digits == ".inf":
        return sign * math.inf
    if digits == ".nan":
        return math.nan
    if ":" in digits:
        return sign * float(_sixties([float(part) for part in digits.split(":")]))
    return sign * float(digits)


def _sixties(parts: list[int] | list[float]) -> float:
    if len(parts) > _MAX_SIXTIES:
        raise OverflowError
    # From the last part on, as OmegaConf's loader adds them: the sum of floats depends on the order.
    total, base = parts[-1] * 0, 1
    for part in reversed(parts):
        total += part * base
        base *= 60
    return total


def surprise(text: str, kind: str, value: Scalar) -> tuple[str, str] | None:
    """What a reader may not expect of the plain scalar `text`: message and help, or None.

    Words that every YAML reader takes alike, and floats such as `1e-6`, surprise nobody.
    """
    quoted = f'"{text}"'
    if kind == "bool" and text.lower() not in ("true", "false"):
        word = "true" if value else "false"
        return f"{text} is read as {word}", f"write {word}, or {quoted} if text is meant"
    if kind == "int" and re.fullmatch(r"[-+]?0[0-7_]+", text) and value != 0:
        return f"{text} is octal and read as {value}", f"write {value}, or {quoted} if text is meant"
    if kind in ("int", "float") and ":" in text:
        return f"{text} is read as {value}, in sixties", f"write {quoted} if text is meant, else {value}"
    if kind == "str" and re.fullmatch(r"[-+]?0o[0-7_]+", text):
        octal = text.replace("o", "")
        return f"{text} is read as text", f"write {_whole(octal)}, or {quoted} if text is meant"
    return None


def plainly(kind: str, value: Scalar) -> str | None:
    """How to write `value`, read as a `kind`, so that it surprises nobody; None for a text."""
    if kind == "bool":
        return "true" if value else "false"
    return str(value) if kind in ("int", "float") else None
