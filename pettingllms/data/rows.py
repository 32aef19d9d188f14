"""Rows of a dataset: what converters make of them, and what can be wrong with one.

A converter turns a row of a source into `Task.data`, or raises BadRowError. By convention `question` is the
text of the task, by which rows are compared, and `id`, where there is one, the row's own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

Converter = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From a row of a source to `Task.data`; raises BadRowError."""

Verifier = Callable[[Sequence[Mapping[str, Any]]], "Sequence[BadRowError | None]"]
"""Looks at the data of many tasks at once, and says for each what is wrong with it, or None."""

QUESTION, ID = "question", "id"
MAX_ID_CHARACTERS = 200


class BadReason(StrEnum):
    """Why a row is no task."""

    BAD_JSON = "bad_json"
    """The line is no JSON."""
    NON_UTF8 = "non_utf8"
    """The line is no UTF-8, or spells half a character."""
    TOO_LONG = "too_long"
    """The row is larger than what is read."""
    MISSING_FIELD = "missing_field"
    """A field is not there, or null."""
    WRONG_TYPE = "wrong_type"
    """A field, or the row itself, is of another type than it should be."""
    EMPTY_GOLD = "empty_gold"
    """There is no answer to compare with."""
    NO_TESTS = "no_tests"
    """There is no test to run."""
    TEST_MISMATCH = "test_mismatch"
    """Inputs and outputs of tests do not belong together."""
    UNDECODABLE = "undecodable"
    """Something packed inside the row cannot be unpacked, or is not trusted."""
    GOLDEN_FAILS = "golden_fails"
    """The solution that should be right fails the tests."""
    IN_BENCHMARK = "in_benchmark"
    """The row is one of those that the run is measured on."""
    LEAKED = "leaked"
    """A passage that comes with the question holds it together with its answer."""
    DUPLICATE = "duplicate"
    """An earlier row has the same id, or the same question."""


class BadRowError(Exception):
    """One row is no task. `reason`: a BadReason; `text`: what exactly, for people, in a few words."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason, self.text = BadReason(reason), text


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path such as `prompt.0.content`; a number is a place in a list.

    A key that holds dots itself is found as it is written. Raises BadRowError where nothing or null is there.
    """
    if (whole := row.get(path)) is not None:
        return whole
    found: Any = row
    for key in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal():
            found = found[int(key)] if int(key) < len(found) else None
        else:
            found = None
        if found is None:
            raise BadRowError(BadReason.MISSING_FIELD, f"there is no {path}")
    return found


def text_at(row: Mapping[str, Any], path: str) -> str:
    """The text at `path`. Raises BadRowError for anything else, a blank one included."""
    found = value_at(row, path)
    if not isinstance(found, str):
        raise BadRowError(BadReason.WRONG_TYPE, f"{path} is {kind(found)}, not a text")
    if not found.strip():
        raise BadRowError(BadReason.MISSING_FIELD, f"{path} is blank")
    return found


def json_at(row: Mapping[str, Any], path: str) -> Any:
    """What the JSON text at `path` says; a value that is no text is returned as it is.

    Numbers of more digits than Python converts, and other faults, are a BadRowError.
    """
    found = value_at(row, path)
    if not isinstance(found, str):
        return found
    try:
        return json.loads(found)
    except (ValueError, RecursionError) as cause:
        raise BadRowError(BadReason.BAD_JSON, f"{path}: {short(cause)}") from None


def kind(value: Any) -> str:
    """The type of a JSON value in words."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    found = names.get(type(value))
    return found or ("a list" if isinstance(value, list) else "an object")


def short(cause: object) -> str:
    """The words of an error on one line, cut where they are long."""
    line = " ".join(str(cause).split())
    return line if len(line) <= 120 else f"{line[:119]}…"
