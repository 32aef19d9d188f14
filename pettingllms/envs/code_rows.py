"""Rows of programming datasets as tasks of `code_env`: APPS, CodeContests, LiveCodeBench, a user's own.

Tests that the question shows are samples; the others are hidden, and only where there are none the samples
are used as such.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pettingllms.data.rows import ID, BadReason, BadRowError, json_at, kind, text_at, value_at
from pettingllms.data.unpickling import packed_text

PYTHON3 = 3
"""The language of a solution in CodeContests."""
WRONG = 5
"""Wrong programs of a row that are kept, the first ones."""
DEFAULT_TOLERANCE = 1e-6
LONGEST = 2**63
"""What no part of a time limit reaches."""

_DECLARED = re.compile(
    r"(?:absolute|relative)\s+(?:(?:or|and)\s+(?:absolute|relative)\s+)?(?:error|difference|precision)"
    r"|(?:error|precision)\s+(?:of|is|not\s+exceed|at\s+most|less\s+than)[^.]{0,20}10\s*\^",
    re.IGNORECASE,
)
_POWER = re.compile(r"10\s{0,3}\^?\s{0,3}\{?\s{0,3}[-\u2212\u2013]\s*(\d{1,2})")
_EXAMPLES = re.compile(r"-----(?:Sample|Examples?)[^\n]*-----\n(.*)", re.DOTALL)


def own(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in the form of `Task.data` itself, in which all but `question` and `tests` may be missing."""
    tests, samples = (_tests(row, field) for field in ("tests", "samples"))
    function = _function(row, "function")
    for field in ("tolerance", "seconds"):
        value = row.get(field)
        if value is not None and (type(value) not in (int, float) or not 0 < value < math.inf):
            raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {value!r:.80}, not a number above 0")
    return task_data(
        text_at(row, "question"),
        tests,
        samples,
        function=function,
        golden=_programs(row, "golden"),
        wrong=_programs(row, "wrong"),
        tolerance=row.get("tolerance"),
        seconds=row.get("seconds"),
        name=row.get(ID),
    )


def apps(row: Mapping[str, Any]) -> dict[str, Any]:
    """APPS: inputs and outputs in a JSON text, solutions in another; with `fn_name` a function is called."""
    question = text_at(row, "question")
    packed = _object_at(row, "input_output")
    function = _function(packed, "fn_name")
    tests = _paired(packed, "input_output", "inputs", "outputs") if packed else []
    if function is not None:
        # Most results are stored in a list of their own.
        alone = all(isinstance(one["output"], list) and len(one["output"]) == 1 for one in tests)
        tests = [one | {"output": one["output"][0]} for one in tests] if alone else tests
    else:
        tests = [{key: _joined(value) for key, value in one.items()} for one in tests]
    solutions = json_at(row, "solutions") if _is_given(row, "solutions") else []
    question += _starter(row)
    return task_data(
        question,
        tests,
        [] if function else _shown_tests(question),
        function=function,
        golden=_only_texts(solutions, "solutions"),
        tolerance=declared_tolerance(question),
        name=row.get("problem_id"),
    )


def code_contests(row: Mapping[str, Any]) -> dict[str, Any]:
    """CodeContests: tests in columns, solutions with their language, wrong solutions, a time limit."""
    question = text_at(row, "description")
    hidden = [one for field in ("private_tests", "generated_tests") for one in _columns(row, field)]
    limit = _object_at(row, "time_limit")
    return task_data(
        question,
        hidden,
        _columns(row, "public_tests"),
        golden=_in_python(row, "solutions"),
        wrong=_in_python(row, "incorrect_solutions"),
        tolerance=declared_tolerance(question),
        seconds=_duration(limit, "seconds") + _duration(limit, "nanos") / 1e9,
        name=row.get("name"),
    )


def live_code_bench(row: Mapping[str, Any]) -> dict[str, Any]:
    """LiveCodeBench: public tests are samples, private ones are packed; no solution is known."""
    question = text_at(row, "question_content")
    private: Any = value_at(row, "private_test_cases")
    if isinstance(private, str):
        try:
            private = json.loads(private)
        except (ValueError, RecursionError):
            private = _json(packed_text(private), "private_test_cases")
    hidden = _tests({"private_test_cases": private}, "private_test_cases")
    samples = _tests({"public_test_cases": json_at(row, "public_test_cases")}, "public_test_cases")
    function = _function(_object_at(row, "metadata"), "func_name")
    if function is not None:
        hidden, samples = [_called(one) for one in hidden], [_called(one) for one in samples]
    question += _starter(row)
    return task_data(
        question,
        hidden,
        samples,
        function=function,
        tolerance=declared_tolerance(question),
        name=row.get("question_id"),
    )


def task_data(  # noqa: PLR0913 - one for each key
    question: str,
    tests: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    *,
    function: str | None = None,
    golden: Sequence[str] = (),
    wrong: Sequence[str] = (),
    tolerance: float | None = None,
    seconds: float | None = None,
    name: object = None,
) -> dict[str, Any]:
    """`Task.data` of `code_env`, without what is computed from it. Raises BadRowError without a test.

    `golden`: right programs, of which the first is taken. Tests that are among the samples are left out, as
    long as there are others.
    """
    shown = {_input_of(sample) for sample in samples}
    hidden = [test for test in tests if _input_of(test) not in shown] or list(tests) or list(samples)
    if not hidden:
        raise BadRowError(BadReason.NO_TESTS, "there is no test")
    for test in (*hidden, *samples):
        whole = isinstance(test["input"], list) if function else isinstance(test["input"], str)
        if not whole or (function is None and not isinstance(test["output"], str)):
            wanted = "arguments" if function else "texts"
            raise BadRowError(BadReason.WRONG_TYPE, f"a test is {test!r:.80}: it should hold {wanted}")
    return ({} if name is None else {ID: str(name) if type(name) is int else name}) | {
        "question": question,
        "tests": hidden,
        "samples": list(samples),
        "function": function,
        "golden": next(iter(golden), None),
        "wrong": list(wrong[:WRONG]),
        "tolerance": tolerance,
        "seconds": seconds or None,
    }


def declared_tolerance(question: str) -> float | None:
    """How far numbers may be apart, where the question speaks of an error; 1e-6 where it names none."""
    declared = _DECLARED.search(question)
    if declared is None:
        return None
    power = _POWER.search(question, declared.start())
    return 10.0 ** -int(power.group(1)) if power else DEFAULT_TOLERANCE


def _tests(row: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """A list of objects with `input` and `output`; none where the field is missing."""
    found = json_at(row, field) if row.get(field) is not None else []
    if not isinstance(found, list):
        raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {kind(found)}, not a list")
    for one in found:
        if not isinstance(one, Mapping):
            raise BadRowError(BadReason.WRONG_TYPE, f"{field}: a test is {kind(one)}, not an object")
        if "input" not in one or "output" not in one:
            lacking = "output" if "input" in one else "input"
            raise BadRowError(BadReason.TEST_MISMATCH, f"{field}: a test has no {lacking}")
    return [{"input": one["input"], "output": one["output"]} for one in found]


def _paired(found: Mapping[str, Any], field: str, inputs: str, outputs: str) -> list[dict[str, Any]]:
    """Tests stored as one list of inputs and one of outputs; `field`: where `found` was."""
    return [{"input": one, "output": other} for one, other in _side_by_side(found, field, (inputs, outputs))]


def _columns(row: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    found = _object_at(row, field)
    return _paired(found, field, "input", "output") if found else []


def _in_python(row: Mapping[str, Any], field: str) -> list[str]:
    """The programs of a column that are written in Python 3."""
    found = _object_at(row, field)
    pairs = list(_side_by_side(found, field, ("language", "solution"))) if found else []
    if other := [language for language, _ in pairs if type(language) is not int]:
        text = f"{field}.language holds {kind(other[0])}, not the number of a language"
        raise BadRowError(BadReason.WRONG_TYPE, text)
    return _only_texts([program for language, program in pairs if language == PYTHON3], f"{field}.solution")


def _side_by_side(
    found: Mapping[str, Any], field: str, columns: tuple[str, str]
) -> Iterator[tuple[Any, Any]]:
    """The items of two lists of one length."""
    lists: tuple[Any, Any] = (found.get(columns[0]), found.get(columns[1]))
    for column, items in zip(columns, lists, strict=True):
        if not isinstance(items, list):
            raise BadRowError(BadReason.WRONG_TYPE, f"{field}.{column} is {kind(items)}, not a list")
    first, second = lists
    if len(first) != len(second):
        text = f"{field} has {len(first)} times {columns[0]} and {len(second)} times {columns[1]}"
        raise BadRowError(BadReason.TEST_MISMATCH, text)
    return zip(first, second, strict=True)


def _is_given(row: Mapping[str, Any], field: str) -> bool:
    """Whether a field that may be missing is there: neither null nor an empty text."""
    return row.get(field) not in (None, "")


def _object_at(row: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """An object, or one in a JSON text; an empty one where the field is missing."""
    found = json_at(row, field) if _is_given(row, field) else {}
    if not isinstance(found, Mapping):
        raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {kind(found)}, not an object")
    return found


def _function(found: Mapping[str, Any], field: str) -> str | None:
    name = found.get(field)
    if name is None or (isinstance(name, str) and name.isidentifier()):
        return name
    raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {name!r:.80}, not the name of a function")


def _starter(row: Mapping[str, Any]) -> str:
    """What a question says of the code that is given; nothing where none is."""
    code = row.get("starter_code")
    if not isinstance(code, str | None):
        raise BadRowError(BadReason.WRONG_TYPE, f"starter_code is {kind(code)}, not a text")
    return f"\n\nComplete this:\n{code.strip()}" if code and code.strip() else ""


def _duration(limit: Mapping[str, Any], field: str) -> float:
    """A part of a time limit; 0 where it is missing."""
    value = limit.get(field) or 0
    if type(value) not in (int, float) or not 0 <= value < LONGEST:
        raise BadRowError(BadReason.WRONG_TYPE, f"time_limit.{field} is {value!r:.80}, not a number from 0")
    return float(value)


def _programs(row: Mapping[str, Any], field: str) -> list[str]:
    found = row.get(field)
    if found is None:
        return []
    return [found] if isinstance(found, str) else _only_texts(found, field)


def _only_texts(found: Any, field: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadRowError(BadReason.WRONG_TYPE, f"{field} is no list of texts")
    return found


def _joined(value: Any) -> Any:
    """Some inputs and outputs are lists of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


def _shown_tests(question: str) -> list[dict[str, Any]]:
    """The tests that stand in the text of a problem, where it has the usual section of examples."""
    section = _EXAMPLES.search(question)
    shown: list[dict[str, Any]] = []
    part: str = ""
    given: list[str] = []
    wanted: list[str] = []
    for line in [*section.group(1).split("\n"), ""] if section else ():
        if part == "output" and (line in ("", "Input") or line.startswith("-----")):
            shown.append({"input": "\n".join(given).rstrip("\n"), "output": "\n".join(wanted)})
            part = ""
        if line == "Input" and not part:
            part, given, wanted = "input", [], []
        elif line == "Output" and part == "input":
            part = "output"
        elif part == "input":
            given.append(line)
        elif part == "output":
            wanted.append(line)
    return shown


def _called(test: Mapping[str, Any]) -> dict[str, Any]:
    """A test whose input holds one argument in JSON on each line, and whose output is JSON."""
    if not isinstance(test["input"], str) or not isinstance(test["output"], str):
        raise BadRowError(BadReason.WRONG_TYPE, "a test of a function is no text")
    arguments = [_json(line, "an input") for line in test["input"].splitlines() if line.strip()]
    return {"input": arguments, "output": _json(test["output"], "an output")}


def _json(text: str, what: str) -> Any:
    return json_at({what: text}, what)


def _input_of(test: Mapping[str, Any]) -> str:
    given = test["input"]
    return " ".join(given.split()) if isinstance(given, str) else json.dumps(given)
