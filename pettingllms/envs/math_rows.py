r"""Converters of mathematical datasets: from their rows to a question and its answer.

The answer is a text: an integer, a decimal or a fraction where the dataset has one, else what it writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pettingllms.data.rows import ID, BadReason, BadRowError, kind, text_at, value_at

_BEFORE = re.compile(r"\ASolve the following math problem step by step\..*?\n\n", re.DOTALL)
_AFTER = re.compile(r"\n\nRemember to put your answer on its own line after .*\Z", re.DOTALL)


def own(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a user's own: `question`, `answer`, and where it has them `id`, `unit` and `tolerance`."""
    task = _task(text_at(row, "question"), value_at(row, "answer"), row.get(ID))
    if row.get("unit") is not None:
        task["unit"] = text_at(row, "unit")
    return task | _tolerance(row, "tolerance")


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


def olympiad_bench(row: Mapping[str, Any]) -> dict[str, Any]:
    """`final_answer` is a list; several values are all required, and those of a tuple in their order."""
    answers = value_at(row, "final_answer")
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        raise BadRowError(BadReason.WRONG_TYPE, f"final_answer is {kind(answers)}, not a list of texts")
    task = _task(text_at(row, "question"), ", ".join(one.strip().strip("$") for one in answers), row.get(ID))
    if str(row.get("answer_type") or "").lower() == "tuple" and not row.get("is_multiple_answer"):
        task["ordered"] = True
    if (row.get("unit") or "").strip():
        task["unit"] = row["unit"].strip()
    return task | _tolerance(row, "error")


def _tolerance(row: Mapping[str, Any], field: str) -> dict[str, str]:
    """How far a number may be from the answer, as a decimal or fraction; nothing where it is blank."""
    written = str(row.get(field) if row.get(field) is not None else "").strip()
    if not written:
        return {}
    try:
        tolerance = Fraction(written) if len(written) < 40 else Fraction(-1)
    except (ValueError, ZeroDivisionError):
        tolerance = Fraction(-1)
    if not 0 <= tolerance < 10**9:
        raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {written!r:.80}, not a number of 0 or more")
    return {"tolerance": str(tolerance)}


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
