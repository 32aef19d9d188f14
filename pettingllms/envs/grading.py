"""Grading of final answers: the last box, and exact equality of numbers."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_ANSWER_CHARACTERS = 200
"""Longer texts are no answers; it bounds the cost of parsing a hostile one."""

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


def last_box(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{…}` of `text`, or None.

    Braces are counted; a box that is never closed is no answer.
    """
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for position in range(begin, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return text[begin + 1 : position]
    return None


def number(text: str) -> Fraction | None:
    """The exact number that `text` writes (integer, decimal or fraction), or None.

    Commas between thousands, a leading `$` and a trailing full stop are ignored. Other commas make a list,
    which is no number: several answers are none.
    """
    plain = unicodedata.normalize("NFKC", text).strip().lstrip("$").rstrip(".")
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    if not plain or len(plain) > MAX_ANSWER_CHARACTERS or not set(plain) <= set("0123456789+-./ "):
        return None
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None


def same_answer(gold: str, answer: str) -> bool:
    """True when both texts are equal, or write the same number."""
    if gold.strip() == answer.strip():
        return True
    gold_number = number(gold)
    return gold_number is not None and gold_number == number(answer)
