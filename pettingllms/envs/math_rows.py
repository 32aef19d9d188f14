r"""Converters of mathematical datasets: from their rows to a question and its answer.

The answer is a text: an integer, a decimal or a fraction where the dataset has one, else what it writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pettingllms.data.rows import ID, BadReason, BadRowError, kind, text_at, value_at

_BEFORE = re.compile(r"\ASolve the following math problem step by step\..*?\n\n", re.DOTALL)
_AFTER = re.compile(r"\n\nRemember to put your answer on its own line after .*\Z", re.DOTALL)


def own(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a user's own: `question`, `answer`, and `id` where it has one."""
    return _task(text_at(row, "question"), value_at(row, "answer"), row.get(ID))


def gsm8k(row: Mapping[str, Any]) -> dict[str, Any]:
    """The answer is what follows the last `####`, without the commas of thousands."""
    _, mark, answer = text_at(row, "answer").rpartition("####")
    if not mark:
        raise BadRowError(BadReason.EMPTY_GOLD, "nothing is marked by ####")
    return _task(text_at(row, "question"), answer.replace(",", ""))


def math500(row: Mapping[str, Any]) -> dict[str, Any]:
    """`problem` and `answer`; its `unique_id` is a path in the dataset that it was taken from."""
    return _task(text_at(row, "problem"), value_at(row, "answer"), row.get("unique_id"))


def polaris(row: Mapping[str, Any]) -> dict[str, Any]:
    """`problem` and `answer`."""
    return _task(text_at(row, "problem"), value_at(row, "answer"))


def dapo(row: Mapping[str, Any]) -> dict[str, Any]:
    """The first message without the instruction around it, which asks for another form of answer."""
    question = text_at(row, "prompt.0.content")
    question = _AFTER.sub("", _BEFORE.sub("", question))
    return _task(question, value_at(row, "reward_model.ground_truth"))


def aime(row: Mapping[str, Any]) -> dict[str, Any]:
    """A problem of AIME, whose sets spell the names of their fields in several ways."""
    lower = {key.lower(): value for key, value in row.items()}
    key = "problem" if "problem" in lower else "question"
    return _task(text_at(lower, key), value_at(lower, "answer"), lower.get(ID))


def _task(question: str, answer: Any, name: Any = None) -> dict[str, Any]:
    """Raises BadRowError where `answer` is no text or number, or where there is nothing in it."""
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise BadRowError(BadReason.WRONG_TYPE, f"the answer is {kind(answer)}, not a text or a number")
    if isinstance(answer, float):
        if not math.isfinite(answer):
            raise BadRowError(BadReason.WRONG_TYPE, f"the answer is {answer}, which is no number")
        # Digits only: graders read no exponents.
        answer = int(answer) if answer.is_integer() else format(Decimal(repr(answer)), "f")
    gold = str(answer).strip()
    if not gold:
        raise BadRowError(BadReason.EMPTY_GOLD, "the answer is blank")
    return {"question": question.strip(), "answer": gold} | ({} if name is None else {ID: name})
