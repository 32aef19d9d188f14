"""The words of a text, as all local back ends index and look for them."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Stretches of letters and digits, in small letters and without accents, in order.

    What is left of a query holds no sign that any query language knows.
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return _WORD.findall(text.lower())
