"""When two tasks ask the same: texts compared without case, form of characters and white space."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.data.rows import ID, QUESTION


def question_of(data: Mapping[str, Any]) -> str:
    """The text by which a task is compared: its question, or where it has none everything but its id."""
    question = data.get(QUESTION)
    if isinstance(question, str):
        return question
    return canonical({key: value for key, value in data.items() if key != ID})


def texts_in(data: Any) -> Iterator[str]:
    """The texts in which tasks may share words: the question, or where there is none every text in `data`."""
    question = data.get(QUESTION) if isinstance(data, Mapping) else None
    if isinstance(data, str):
        yield data
    elif isinstance(question, str):
        yield question
    elif isinstance(data, Mapping | list | tuple):
        for value in data.values() if isinstance(data, Mapping) else data:
            yield from texts_in(value)


def normalised(text: str) -> str:
    """`text` in NFKC, in small letters, each stretch of white space one blank."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.lower().split())


def canonical(data: Any, *, strict: bool = False) -> str:
    """`data` as JSON that is the same for equal data.

    What JSON cannot say is written as text, or raises TypeError where that is `strict`.
    """
    other = None if strict else str
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=other)


def digest(text: str) -> str:
    """SHA-256 of a text, as hexadecimal digits. Raises UnicodeEncodeError for half a character."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
