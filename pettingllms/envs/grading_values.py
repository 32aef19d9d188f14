r"""What an answer consists of: exact numbers, units, several values, tuples and intervals."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from pettingllms.envs.grading_text import plain

LEAST_DIGITS = 6
"""Significant digits from which on a rounded decimal is as good as the number itself."""

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_SCIENTIFIC = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|\s*\\(?:times|cdot)\s*10\s*\^\s*\{?([+-]?\d{1,3})\}?)"
)
_FRACTION = re.compile(r"([+-]?)\s*(?:(\d+)\s*/\s*(\d+)|\\frac\s*\{\s*([+-]?\d+)\s*\}\s*\{\s*(\d+)\s*\})")
_MIXED = re.compile(r"([+-]?)(\d+)(?:\s+(\d+)/(\d+)|\s*\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\})")
_UNITS = {
    **dict.fromkeys(("cm", "centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("km", "kilometer", "kilometre"), "km"),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("kg", "kilogram"), "kg"),
    **dict.fromkeys(("foot", "feet", "ft"), "ft"),
    **dict.fromkeys(("inch", "inches"), "in"),
    **dict.fromkeys(("hour", "hr"), "h"),
    **dict.fromkeys(("minute", "min"), "min"),
    **dict.fromkeys(("second", "sec"), "s"),
    **{one: one for one in ("gram", "mile", "yard", "mph", "day", "week", "month", "year", "liter", "pound")},
    **{one: one for one in ("degree", "radian", "dollar", "cent", "euro", "unit", "point", "way", "people")},
    **{one: one for one in ("square", "cubic", "student")},
    "percent": "%",
}
"""Words that are units where they follow a number, and how each is known; a plural has an s more."""
_UNIT = rf"(?:{'|'.join(_UNITS)})s?"
_TRAILING_TEXT = re.compile(
    r"(.*[^\s])\s*\\text\s*\{([a-zA-Z%/.\s]*)\}\s*(?:\^\s*\{?(\d)\}?)?(?:\s*/\s*\\text\s*\{[a-zA-Z]*\})?"
)
_BARE_UNIT = re.compile(rf"(.*[\d}}])\s*\b({_UNIT}(?:\s+{_UNIT})?)(?:\s*\^\s*\{{?([23])\}}?)?")
_MODULO = re.compile(r"\s*\\(?:pmod|bmod|mod)\s*(?:\{[^{}]*\}|\w+)$")
_NAME = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?:_(?:\w|\{\w+\}))?(?:\([a-z]\))?")
_WORDS_BETWEEN = re.compile(r"\s(?:or|and)\s|\\text\s*\{\s*,?\s*(?:or|and)\s*\}|\\lor(?![a-zA-Z])")
_OPEN, _CLOSE = ("(", "[", "{", "\\{"), (")", "]", "}", "\\}")
_TOKEN = re.compile(r"\\[{}]|\\[a-zA-Z]+|.", re.DOTALL)


class Number(NamedTuple):
    """An exact number as it is written.

    `places`: digits after the point, None without a point. `digits`: significant ones of a decimal.
    `literal`: whether nothing is left to compute: no fraction that can be reduced.
    """

    value: Fraction
    places: int | None = None
    digits: int = 0
    literal: bool = True


class Group(NamedTuple):
    """Values between brackets: a tuple, a point or an interval."""

    opening: str
    values: list[str]
    closing: str


def number(text: str) -> Fraction | None:
    """The exact number that `text` writes (integer, decimal, fraction, mixed or scientific), or None.

    Commas between thousands, a `$` and a trailing full stop are ignored. Other commas make a list, which is
    no number: several answers are none.
    """
    found = written_number(plain(text)) if len(text) <= MAX_CHARACTERS else None
    return None if found is None else found.value


MAX_CHARACTERS = 200
"""Longer texts are no numbers."""


def written_number(text: str) -> Number | None:
    """The number that a text in its `plain` form writes, or None."""
    if not text or not text.isascii() or len(text) > MAX_CHARACTERS:
        return None
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        return next((read(match) for form, read in _FORMS if (match := form.fullmatch(text))), None)
    except (ValueError, ZeroDivisionError):
        return None


def _decimal(match: re.Match[str]) -> Number:
    whole, point, places = match.group().partition(".")
    digits = len(f"{whole}{places}".lstrip("+-").lstrip("0"))
    value = Fraction(match.group().rstrip("."))
    return Number(value, len(places) if point and places else None, digits)


def _scientific(match: re.Match[str]) -> Number:
    power = int(match[2] or match[3])
    return Number(Fraction(match[1].rstrip(".")) * Fraction(10) ** power, literal=match[2] is not None)


def _fraction(match: re.Match[str]) -> Number:
    over, under = (int(one) for one in match.groups()[1:] if one)
    value = Fraction(over, under) * (-1 if match[1] == "-" else 1)
    return Number(value, literal=value.denominator == under > 1)


def _mixed(match: re.Match[str]) -> Number:
    whole, over, under = (int(one) for one in match.groups()[1:] if one)
    return Number((whole + Fraction(over, under)) * (-1 if match[1] == "-" else 1))


_FORMS = ((_DECIMAL, _decimal), (_SCIENTIFIC, _scientific), (_FRACTION, _fraction), (_MIXED, _mixed))


def same_number(gold: Number, answer: Number, tolerance: Fraction | None = None) -> bool:
    """Whether `answer` has the value of `gold`.

    Exactly, within `tolerance` (absolute), or as a decimal of at least six significant digits that is the
    other one rounded or cut to as many places.
    """
    if gold.value == answer.value:
        return True
    if tolerance is not None:
        return abs(gold.value - answer.value) <= tolerance
    return any(
        _is_rounded(exact.value, decimal)
        for exact, decimal in ((gold, answer), (answer, gold))
        if decimal.places is not None and decimal.digits >= LEAST_DIGITS
    )


def _is_rounded(exact: Fraction, decimal: Number) -> bool:
    scale = 10 ** (decimal.places or 0)
    distance = (exact - decimal.value) * scale
    cut = int(exact * scale) == decimal.value * scale
    return bool(abs(distance) <= Fraction(1, 2) or cut)


def without_unit(text: str) -> tuple[str, str]:
    r"""A value and its unit, "" for none: what stands in `\text{…}` behind it, or a word that is one.

    A residue class counts as its residue: `7 \pmod{10}` has the unit `\pmod{10}`.
    """
    if match := _MODULO.search(text):
        return text[: match.start()].strip(), match.group().strip()
    for pattern in (_TRAILING_TEXT, _BARE_UNIT):
        match = pattern.fullmatch(text)
        if match and "\\text" not in match[1] and not {"or", "and"} & set(match[2].split()):
            return match[1].strip(), unit_named(match[2]) + (match[3] or "")
    return text, ""


def unit_named(words: str) -> str:
    """One name for each unit: `Centimeters` is `cm`."""
    found = " ".join(words.lower().replace(".", " ").split())
    return " ".join(_UNITS.get(one, _UNITS.get(one.removesuffix("s"), one)) for one in found.split())


def without_name(text: str) -> tuple[str, str]:
    """The last side of a chain of equations whose other sides are names or values, and the first name."""
    sides = _at_top(text, ("=",))
    if len(sides) == 1:
        return text, ""
    name = next((side for side in sides if _NAME.fullmatch(side)), "")
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):
        return sides[0], name
    return sides[-1], name


def is_equation(text: str) -> bool:
    """Whether `text` is an equation between two things of which neither is just a name."""
    sides = _at_top(text, ("=",))
    return len(sides) == 2 and not any(map(_NAME.fullmatch, sides))


def values_of(text: str) -> list[str]:
    r"""The values that `text` gives: those between commas, semicolons, `or` and `and`, and both of a `\pm`.

    Commas inside brackets separate nothing, and those between thousands neither. A set is its members.
    """
    text = text.strip()
    if _is_enclosed(text) and text.startswith("\\{"):
        text = text[2:-2].strip()
    parts = _at_top(_WORDS_BETWEEN.sub(" ; ", text), (",", ";"))
    found = []
    for part in parts:
        both = _at_top(part, ("\\pm",))
        if len(both) == 2:
            first, second = both
            plus, minus = (" + ", " - ") if first and not first.endswith("=") else (" ", " -")
            found += [f"{first}{plus}{second}".strip(), f"{first}{minus}{second}".strip()]
        else:
            found.append(part)
    return found


def group_of(text: str) -> Group | None:
    """The parts of a tuple, a point or an interval; None for anything else."""
    if not text.startswith(("(", "[")) or not text.endswith((")", "]")) or not _is_enclosed(text):
        return None
    inside = _at_top(text[1:-1], (",", ";"))
    return Group(text[0], inside, text[-1]) if len(inside) > 1 else None


def _is_enclosed(text: str) -> bool:
    """Whether the bracket that `text` begins with closes at its end."""
    depth, words = 0, [token.group() for token in _TOKEN.finditer(text)]
    if len(words) < 2 or words[0] not in _OPEN or words[-1] not in _CLOSE:
        return False
    for word in words[:-1]:
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth == 0:
            return False
    return depth == 1


def _at_top(text: str, separators: tuple[str, ...]) -> list[str]:
    """The parts of `text` between separators that stand outside of all brackets."""
    if "," in separators and _THOUSANDS.fullmatch(text):
        return [text]
    parts, depth, begin = [], 0, 0
    for token in _TOKEN.finditer(text):
        word = token.group()
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth == 0 and word in separators and not (word == "," and _is_thousands(text, token.start())):
            parts.append(text[begin : token.start()].strip())
            begin = token.end()
    return [*parts, text[begin:].strip()]


def _is_thousands(text: str, place: int) -> bool:
    """Whether the comma at `place` groups digits: one to three before it, exactly three behind."""
    before = re.search(r"(?<![\d.])\d{1,3}(?:,\d{3})*$", text[:place])
    return before is not None and re.match(r"\d{3}(?!\d)", text[place + 1 :]) is not None
