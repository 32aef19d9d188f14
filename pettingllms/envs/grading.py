r"""Grading of final answers against a reference; `docs/environments-math.md` has the rules."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from pettingllms.envs.grading_process import compare
from pettingllms.envs.grading_text import final_answer, is_balanced, last_box, plain, unmarked
from pettingllms.envs.grading_values import (
    group_of,
    is_equation,
    number,
    same_number,
    unit_named,
    values_of,
    without_name,
    without_unit,
    written_number,
)
from pettingllms.envs.grading_verdict import Verdict

__all__ = ["Gold", "Verdict", "final_answer", "grade", "last_box", "number", "opinion_of", "same_answer"]

MAX_ANSWER_CHARACTERS = 200
"""Longer texts are compared as they are, and in no other way."""
SECONDS = 3.0
"""All that the comparison of one answer may take."""

_LETTER = re.compile(r"\(?([A-J])\)?[.):]?")
_NEVER_A_NUMBER = re.compile(r"\\(?:le|ge|neq|in|cup|cap|infty|mathbb|ldots|to|text)(?![a-zA-Z])|[<>:]")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")
SHORT_WORDS = ("yes", "no", "odd", "all")
"""Words that could be products of variables, and are none."""
_TOWER = re.compile(r"\^\s*[{(]?\s*[-+\d.!]+\s*[)}]?\s*\^|\^\s*[{(]\s*[-+\d.]+\s*\^")
_HUGE = re.compile(r"\^\s*[{(]?\s*[-+]?\d{5,}|\d{4,}\s*!|!\s*!|\^\s*[{(]?\s*\d+\s*!")


class Gold(NamedTuple):
    """A reference answer.

    `text`: as datasets write it. `ordered`: several values have to come in this order. `tolerance`:
    absolute, of numbers. `unit`: that of the question, which answers may have. `simplified`: where the
    answer is a number, it has to be written as one, so that an expression left to compute is wrong.
    """

    text: str
    ordered: bool = False
    tolerance: Fraction | None = None
    unit: str = ""
    simplified: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any], *, simplified: bool | None = None) -> Gold:
        """The reference of a task; `simplified` replaces what its data says, where it is not None."""
        tolerance = data.get("tolerance")
        return cls(
            data["answer"],
            ordered=bool(data.get("ordered")),
            tolerance=None if tolerance is None else Fraction(tolerance),
            unit=unit_named(unmarked(plain(data.get("unit") or ""))),
            simplified=bool(data.get("simplified")) if simplified is None else simplified,
        )


class _Comparison(NamedTuple):
    """How single values are compared: by the rules of `gold`, and at last by `slowly`."""

    gold: Gold
    slowly: Callable[[str, str], Verdict]


def grade(gold: Gold, answer: str) -> Verdict:
    """What `answer` is worth. Never more than `SECONDS` of computing.

    Raises InfrastructureError where the process that compares expressions cannot be had.
    """
    end = time.monotonic() + SECONDS

    def slowly(one: str, other: str) -> Verdict:
        nonlocal end
        left = end - time.monotonic()
        if left <= 0:
            return Verdict.TIMEOUT
        # To wait for a process, or for it to start, is not the answer's fault.
        verdict, waited = compare(_as_latex(one), _as_latex(other), left)
        end += waited
        return verdict

    return _graded(_Comparison(gold, slowly), answer)


def same_answer(one: str, other: str) -> bool:
    """Whether two answers are quickly seen to be the same; nobody waits for it."""
    return _graded(_Comparison(Gold(one), lambda *_: Verdict.WRONG), other) is Verdict.CORRECT


def opinion_of(answer: str | None) -> Hashable | None:
    """What an answer says: ways to write one number, or one text, are the same. None for a blank one."""
    if answer is None or not answer.strip():
        return None
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return answer.strip()
    found = written_number(without_unit(without_name(plain(answer))[0])[0])
    return unmarked(plain(answer)) if found is None else found.value


def _graded(comparison: _Comparison, answer: str) -> Verdict:
    gold = comparison.gold
    if answer.strip() == gold.text.strip():
        return Verdict.CORRECT
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return Verdict.TIMEOUT
    if not answer.strip() or not is_balanced(answer):
        return Verdict.UNPARSABLE
    wanted, given = plain(gold.text), plain(answer)
    if unmarked(wanted) == unmarked(given):
        return Verdict.CORRECT
    if is_too_costly(given):
        return Verdict.TIMEOUT
    return _all_values(comparison, wanted, given)


def is_too_costly(text: str) -> bool:
    """Whether `text` writes powers of powers or factorials so large that nobody should compute them."""
    return bool(_TOWER.search(text) or _HUGE.search(text))


def _all_values(comparison: _Comparison, wanted: str, given: str) -> Verdict:
    """All values of the reference and no other, in any order unless it matters."""
    golds, answers = values_of(wanted), values_of(given)
    ordered = comparison.gold.ordered
    if ordered and len(golds) > 1 and len(answers) == 1 and (group := group_of(answers[0])):
        answers = group.values
    if len(golds) != len(answers):
        return Verdict.WRONG
    if len(golds) == 1:
        return _one_value(comparison, golds[0], answers[0])
    names = [without_name(one)[1] for one in golds]
    if all(names) and len(set(names)) == len(names) and not any(without_name(one)[1] for one in answers):
        ordered = True
    if ordered:
        return _each(comparison, golds, answers)
    doubts: list[Verdict] = []
    for one in golds:
        for place, other in enumerate(answers):
            verdict = _one_value(comparison, one, other)
            if verdict is Verdict.CORRECT:
                del answers[place]
                break
            doubts.append(verdict)
        else:
            return Verdict.TIMEOUT if Verdict.TIMEOUT in doubts else Verdict.WRONG
    return Verdict.CORRECT


def _each(comparison: _Comparison, golds: Sequence[str], answers: Sequence[str]) -> Verdict:
    """Values one by one; a wrong one decides, then what could not be found out."""
    found = Verdict.CORRECT
    for one, other in zip(golds, answers, strict=True):
        verdict = _one_value(comparison, one, other)
        if verdict is Verdict.WRONG:
            return verdict
        found = verdict if verdict is not Verdict.CORRECT else found
    return found


def _one_value(comparison: _Comparison, wanted: str, given: str) -> Verdict:
    (wanted, unit), (given, own) = without_unit(wanted), without_unit(given)
    unit = unit or comparison.gold.unit
    if is_equation(wanted) or ("=" in wanted and is_equation(given)):
        return comparison.slowly(wanted, given) if "=" in given else Verdict.WRONG
    (wanted, name), (given, other_name) = without_name(wanted), without_name(given)
    if (unit and own and unit != own) or (name and other_name and name != other_name):
        return Verdict.WRONG
    if unmarked(wanted) == unmarked(given):
        return Verdict.CORRECT
    if (group := group_of(wanted)) and (other := group_of(given)):
        alike = (group.opening, group.closing) == (other.opening, other.closing)
        if not alike or len(group.values) != len(other.values):
            return Verdict.WRONG
        return _each(comparison, group.values, other.values)
    return _leaf(comparison, wanted, given)


def _leaf(comparison: _Comparison, wanted: str, given: str) -> Verdict:
    """Two values without unit, name and brackets: as numbers, letters, words, and at last as expressions."""
    gold, answer = written_number(wanted), written_number(given)
    simplified = comparison.gold.simplified and gold is not None
    if gold is not None and answer is not None and (answer.literal or not simplified):
        return _verdict(same_number(gold, answer, comparison.gold.tolerance))
    if simplified or (gold is not None and (group_of(given) or _NEVER_A_NUMBER.search(given))):
        return Verdict.WRONG
    words, others = unmarked(wanted), unmarked(given)
    if letter := _LETTER.fullmatch(words):
        found = _LETTER.fullmatch(others)
        return _verdict(found is not None and found[1] == letter[1])
    if _WORDS.fullmatch(words) and ("\\text" in wanted or len(words) > 3 or words.lower() in SHORT_WORDS):
        return _verdict(words.casefold() == others.casefold())
    if ":" in words or ":" in others:
        return Verdict.WRONG
    return comparison.slowly(wanted, given)


def _as_latex(text: str) -> str:
    """A text in its `plain` form as math-verify reads it."""
    found = written_number(text)
    if found is not None and found.places is None:
        # It takes 1e3 for 3e, and 3 1/2 for 2.
        return str(found.value)
    return text.replace("\\text{degrees}", "^\\circ").replace("\\text{%}", "\\%")


def _verdict(correct: bool) -> Verdict:
    return Verdict.CORRECT if correct else Verdict.WRONG
