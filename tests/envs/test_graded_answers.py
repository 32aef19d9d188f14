"""The table of graded answers, hostile ones, and when the process that compares is used at all."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest

from pettingllms.envs import grading, grading_process
from pettingllms.envs.grading import Gold, Verdict, grade
from pettingllms.errors import InfrastructureError

TABLE = Path(__file__).with_name("graded_answers.txt")
RULES = {
    "simplified": lambda value: {"simplified": True},
    "ordered": lambda value: {"ordered": True},
    "tolerance": lambda value: {"tolerance": Fraction(value)},
    "unit": lambda value: {"unit": value},
}


def cases():
    rules = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(.*)\]", line):
            key, _, value = heading[1].partition("=")
            rules = RULES[key](value) if key in RULES else {}
        elif line and not line.startswith("#"):
            gold, answer, verdict = line.split(" ~ ")
            yield pytest.param({"answer": gold, **rules}, answer, verdict, id=f"{line}|{'|'.join(rules)}")


@pytest.mark.parametrize(("data", "answer", "verdict"), list(cases()))
def test_an_answer_is_graded_as_the_table_says(data, answer, verdict):
    assert grade(Gold.of(data), answer) == verdict


def test_the_table_is_long_and_has_all_verdicts():
    verdicts = [case.values[2] for case in cases()]
    assert len(verdicts) >= 200 and set(verdicts) == set(Verdict)


HOSTILE = {
    "a tower": "9^{9^{9}}",
    "a hidden tower": "9^{(9^{9})}",
    "one megabyte": "1" * 2**20,
    "a long list": ", ".join(map(str, range(400))),
    "nested braces": "{" * 99 + "3" + "}" * 99,
    "nested fractions": "\\frac{1}{" * 19 + "2" + "}" * 19,
    "braces without end": "{" * 150,
    "braces without begin": "}" * 150,
    "a sum without end": "\\sum_{k=1}^{99999999999} \\frac{1}{k^2+k!}",
    "a large root": "\\sqrt[9999]{" + "9" * 150 + "}",
    "a large binomial": "\\binom{99999999}{4999999}",
    "many signs": "-" * 190 + "3",
    "half a character": "\ud800",
    "a NUL": "\0",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_never_called_wrong_unless_it_was_compared(answer, monkeypatch):
    monkeypatch.setattr(grading, "SECONDS", 0.5)
    verdict = grade(Gold("0.5772"), answer)
    assert verdict is not Verdict.CORRECT
    if answer in (HOSTILE["a tower"], HOSTILE["one megabyte"], HOSTILE["a long list"]):
        assert verdict is Verdict.TIMEOUT
    if "without" in next(name for name, one in HOSTILE.items() if one is answer) and "braces" in answer:
        assert verdict is Verdict.UNPARSABLE


@pytest.fixture
def comparers(monkeypatch):
    found = grading_process.Comparers(1)
    monkeypatch.setitem(grading_process._comparers, "compare", found)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[("5", "5"), ("5", "6"), ("1/2", "0.5"), ("1,2", "2,1"), ("3", "3 or 4"), ("A", "(B)")],
        *[("3", "[1,9]"), ("(1,2)", "(1,3)"), ("50", "50\\%"), ("yes", "no"), ("3", "9^{9^{9}}")],
        *[("3", "1" * 2**20), ("3", "{{"), ("3", "")],
    ],
)
def test_what_is_quickly_seen_starts_no_process(comparers, gold, answer):
    grade(Gold(gold), answer)
    assert comparers.started == 0


def test_a_process_that_computes_on_is_killed_and_the_next_answer_is_compared(comparers, monkeypatch):
    monkeypatch.setattr(grading, "SECONDS", 0.5)
    monkeypatch.setattr(grading, "is_too_costly", lambda text: False)
    assert grade(Gold("3"), "9^{9^{9}}") is Verdict.TIMEOUT
    assert comparers.started == 1
    assert grade(Gold("3"), "9^{9^{9}}") is Verdict.TIMEOUT, "remembered"
    assert comparers.started == 1
    monkeypatch.setattr(grading, "SECONDS", 60)
    assert grade(Gold("2\\sqrt{2}"), "\\sqrt{8}") is Verdict.CORRECT
    assert comparers.started == 1, "what takes its place is a copy of what was started once"


def test_all_values_of_an_answer_share_the_time(comparers, monkeypatch):
    monkeypatch.setattr(grading, "SECONDS", 0.3)
    monkeypatch.setattr(grading, "is_too_costly", lambda text: False)
    towers = ", ".join(f"{n}^{{9^{{9}}}}" for n in (7, 8, 9))
    assert grade(Gold("1, 2, 3"), towers) is Verdict.TIMEOUT
    assert comparers.started == 1


def test_answers_are_compared_in_any_thread_and_a_killed_process_costs_no_verdict(comparers):
    golds = [f"x+{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda gold: grade(Gold(gold), gold[2:] + "+x"), golds))
    assert found == [Verdict.CORRECT] * 8 and comparers.started == 1
    one = comparers._idle.get()
    os.kill(one._worker, signal.SIGKILL)
    comparers._idle.put(one)
    assert grade(Gold("x+y+z"), "y+x+z") is Verdict.CORRECT
    assert comparers.started == 1
    os.killpg(one._process.pid, signal.SIGKILL)
    one._process.wait()
    assert grade(Gold("x+y+z"), "z+x+y") is Verdict.CORRECT
    assert comparers.started == 2


def test_an_answer_that_ends_two_processes_takes_too_long(comparers, monkeypatch):
    asked = []

    def killed(one, said, seconds):
        asked.append(said)
        os.kill(one._worker, signal.SIGKILL)
        one._await_worker()
        raise grading_process.LostAnswerError

    monkeypatch.setattr(grading_process.Comparer, "verdict", killed)
    assert grade(Gold("x+y"), "x+y+0") is Verdict.TIMEOUT
    assert len(asked) == 2 and comparers.started == 1


def test_nothing_is_left_of_a_comparer_that_is_closed(comparers):
    assert grade(Gold("x+y"), "y+x") is Verdict.CORRECT
    one = comparers._idle.get()
    group = one._process.pid
    one.close()
    for _ in range(200):
        with suppress(ProcessLookupError):
            os.killpg(group, 0)
            time.sleep(0.01)
            continue
        break
    else:
        raise AssertionError("the copy goes on")


def test_a_process_that_cannot_be_had_is_no_fault_of_the_answer(comparers, monkeypatch, tmp_path):
    broken = tmp_path / "server.py"
    broken.write_text("raise SystemExit('broken')")
    monkeypatch.setattr(grading_process, "_SERVER", broken)
    with pytest.raises(InfrastructureError, match="broken"):
        grade(Gold("x"), "y+1")
    assert grade(Gold("5"), "5") is Verdict.CORRECT
