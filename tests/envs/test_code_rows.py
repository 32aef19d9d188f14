import base64
import itertools
import json
import math
import pickle
import zlib
from contextlib import suppress

import pytest

from pettingllms.data.presets import PRESETS, preset_converter
from pettingllms.data.rows import BadRowError
from pettingllms.envs.code_rows import apps, code_contests, declared_tolerance, live_code_bench, own


def pairs_in(data):
    return [(one["input"], one["output"]) for one in data["tests"]]


def refused(convert, row, reason):
    with pytest.raises(BadRowError) as caught:
        convert(row)
    assert caught.value.reason == reason, caught.value
    return caught.value.text


def apps_row(**changes):
    packed = {"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
    row = {"problem_id": 7, "question": "Double it.", "solutions": json.dumps(["print(2*int(input()))", "x"])}
    return row | {"input_output": json.dumps(packed), "starter_code": ""} | changes


def test_apps_with_input_and_output():
    data = apps(apps_row())
    assert pairs_in(data) == [("1\n", "2\n"), ("2\n", "4\n")]
    assert data["golden"] == "print(2*int(input()))" and data["wrong"] == []
    assert (data["id"], data["question"], data["function"]) == ("7", "Double it.", None)


def test_apps_keeps_all_tests():
    many = {"inputs": [f"{n}\n" for n in range(40)], "outputs": ["1\n"] * 40}
    data = apps(apps_row(input_output=json.dumps(many), solutions=""))
    assert len(data["tests"]) == 40 and data["golden"] is None


def test_apps_with_a_function_to_call():
    packed = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]}
    data = apps(apps_row(input_output=json.dumps(packed), starter_code="def add(a, b):\n\t"))
    assert data["function"] == "add" and pairs_in(data) == [([1, 2], 3), ([3, 4], 7)]
    assert data["question"].endswith("Complete this:\ndef add(a, b):")
    packed["outputs"] = [[3], [7, 8]]
    data = apps(apps_row(input_output=json.dumps(packed)))
    assert pairs_in(data) == [([1, 2], [3]), ([3, 4], [7, 8])], "results that are lists stay lists"


def test_apps_with_lists_of_lines():
    packed = {"inputs": [["1", "2"]], "outputs": [["3"]]}
    assert pairs_in(apps(apps_row(input_output=json.dumps(packed)))) == [("1\n2", "3")]


def test_apps_leaves_out_hidden_tests_that_the_question_shows():
    examples = "-----Examples-----\nInput\n1\n\nOutput\n2\n\nInput\n5\n\nOutput\n10\n\n-----Note-----\n-"
    question = f"Double it.\n\n{examples}"
    data = apps(apps_row(question=question))
    assert [one["input"] for one in data["samples"]] == ["1", "5"]
    assert pairs_in(data) == [("2\n", "4\n")]
    packed = {"inputs": ["1\n"], "outputs": ["2\n"]}
    assert pairs_in(apps(apps_row(question=question, input_output=json.dumps(packed)))) == [("1\n", "2\n")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": None}, "missing_field"),
        ({"question": " "}, "missing_field"),
        ({"question": 3}, "wrong_type"),
        ({"input_output": ""}, "no_tests"),
        ({"input_output": "{}"}, "no_tests"),
        ({"input_output": "{"}, "bad_json"),
        ({"input_output": "[]"}, "wrong_type"),
        ({"input_output": '{"inputs": ["1"], "outputs": []}'}, "test_mismatch"),
        ({"input_output": '{"inputs": "1", "outputs": "1"}'}, "wrong_type"),
        ({"input_output": '{"inputs": [{"a": 1}], "outputs": ["1"]}'}, "wrong_type"),
        (
            {"input_output": '{"fn_name": "f", "inputs": [[' + "9" * 5000 + ']], "outputs": [[1]]}'},
            "bad_json",
        ),
        ({"solutions": "[1]"}, "wrong_type"),
        ({"solutions": "["}, "bad_json"),
        ({"solutions": 0}, "wrong_type"),
        ({"starter_code": 5}, "wrong_type"),
        ({"input_output": 0}, "wrong_type"),
        ({"input_output": '{"fn_name": 3, "inputs": [[1]], "outputs": [[1]]}'}, "wrong_type"),
    ],
)
def test_apps_refuses(changes, reason):
    refused(apps, apps_row(**changes), reason)


def contest_row(**changes):
    row = {
        "name": "1_A. Sum",
        "description": "Print a+b with an absolute or relative error of at most 10^{-4}.",
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": ["1 2\n", "4 5\n"], "output": ["3\n", "9\n"]},
        "generated_tests": {"input": ["7 7\n"], "output": ["14\n"]},
        "solutions": {"language": [1, 3, 2], "solution": ["python 2", "python 3", "c++"]},
        "incorrect_solutions": {"language": [3, 2], "solution": ["wrong", "c++"]},
        "time_limit": {"seconds": 2, "nanos": 500_000_000},
    }
    return row | changes


def test_code_contests():
    data = code_contests(contest_row())
    assert pairs_in(data) == [("4 5\n", "9\n"), ("7 7\n", "14\n")], "public tests are shown, not hidden"
    assert data["samples"] == [{"input": "1 2\n", "output": "3\n"}]
    assert (data["golden"], data["wrong"]) == ("python 3", ["wrong"])
    assert (data["seconds"], data["tolerance"], data["id"]) == (2.5, 1e-4, "1_A. Sum")


def test_code_contests_without_hidden_tests_takes_the_public_ones():
    data = code_contests(
        contest_row(private_tests=None, generated_tests={"input": [], "output": []}, time_limit=None)
    )
    assert pairs_in(data) == [("1 2\n", "3\n")] and data["seconds"] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": None}, "missing_field"),
        ({"private_tests": {"input": ["1"], "output": []}}, "test_mismatch"),
        ({"private_tests": {"input": ["1"], "output": None}}, "wrong_type"),
        ({"private_tests": ["1"]}, "wrong_type"),
        ({"private_tests": None, "generated_tests": None, "public_tests": None}, "no_tests"),
        ({"solutions": [{"language": 3, "solution": "python 3"}]}, "wrong_type"),
        ({"solutions": {"language": 3, "solution": "python 3"}}, "wrong_type"),
        ({"solutions": {"language": ["PYTHON3"], "solution": ["python 3"]}}, "wrong_type"),
        ({"solutions": {"language": [3], "solution": []}}, "test_mismatch"),
        ({"incorrect_solutions": {"language": [3], "solution": [None]}}, "wrong_type"),
        ({"time_limit": 2}, "wrong_type"),
        ({"time_limit": {"seconds": -1}}, "wrong_type"),
        ({"time_limit": {"seconds": 1, "nanos": "x"}}, "wrong_type"),
        ({"time_limit": {"seconds": float("nan")}}, "wrong_type"),
    ],
)
def test_code_contests_refuses(changes, reason):
    refused(code_contests, contest_row(**changes), reason)


def packed(tests):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


PUBLIC = [{"input": "1\n", "output": "2", "testtype": "stdin"}]
PRIVATE = [{"input": "4\n", "output": "8", "testtype": "stdin"}]


def bench_row(**changes):
    row = {"question_id": "q1", "question_content": "Double it.", "starter_code": "", "metadata": "{}"}
    return row | {"public_test_cases": json.dumps(PUBLIC), "private_test_cases": packed(PRIVATE)} | changes


@pytest.mark.parametrize("private", [packed(PRIVATE), json.dumps(PRIVATE), PRIVATE])
def test_live_code_bench_is_judged_by_its_private_tests(private):
    data = live_code_bench(bench_row(private_test_cases=private))
    assert pairs_in(data) == [("4\n", "8")]
    assert data["samples"] == [{"input": "1\n", "output": "2"}] and data["golden"] is None


def test_live_code_bench_with_a_function():
    tests = [{"input": '[1, 2]\n"a"', "output": "[2]", "testtype": "functional"}]
    row = bench_row(
        metadata='{"func_name": "twice"}',
        private_test_cases=packed(tests),
        public_test_cases="[]",
        starter_code="class Solution:\n    def twice(self, a, b):\n",
    )
    data = live_code_bench(row)
    assert data["function"] == "twice" and pairs_in(data) == [([[1, 2], "a"], [2])]
    assert "class Solution" in data["question"]


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    "private",
    [
        "not base64!",
        base64.b64encode(b"no zlib").decode(),
        base64.b64encode(zlib.compress(b"no pickle")).decode(),
        base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode(),
        base64.b64encode(zlib.compress(pickle.dumps([1]))).decode(),
    ],
)
def test_private_tests_that_cannot_be_unpacked_refuse_the_row(private):
    refused(live_code_bench, bench_row(private_test_cases=private), "undecodable")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"private_test_cases": None}, "missing_field"),
        ({"public_test_cases": "{"}, "bad_json"),
        ({"private_test_cases": "[3]"}, "wrong_type"),
        ({"private_test_cases": '[{"input": "1"}]'}, "test_mismatch"),
        ({"private_test_cases": "[]", "public_test_cases": "[]"}, "no_tests"),
        ({"metadata": '{"func_name": "f"}'}, "wrong_type"),
        ({"metadata": "[1]"}, "wrong_type"),
        ({"starter_code": ["def f"]}, "wrong_type"),
    ],
)
def test_live_code_bench_refuses(changes, reason):
    row = bench_row(**changes)
    if changes.get("metadata"):
        row["private_test_cases"] = [{"input": 3, "output": "1"}]
    refused(live_code_bench, row, reason)


def test_own_rows_need_a_question_and_tests_only():
    data = own({"question": "q", "tests": [{"input": "1", "output": "2"}]})
    assert data == {
        "question": "q",
        "tests": [{"input": "1", "output": "2"}],
        "samples": [],
        "function": None,
        "golden": None,
        "wrong": [],
        "tolerance": None,
        "seconds": None,
    }
    whole = {"id": 4, "function": "f", "golden": "g", "wrong": ["w"], "tolerance": 0.5, "seconds": 2}
    data = own({"question": "q", "tests": [{"input": [1], "output": [2]}]} | whole)
    assert data["id"] == "4" and data["golden"] == "g" and (data["tolerance"], data["seconds"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tests": []}, "no_tests"),
        ({"tests": None}, "no_tests"),
        ({"tests": "x"}, "bad_json"),
        ({"tests": {}}, "wrong_type"),
        ({"tests": [{"input": "1"}]}, "test_mismatch"),
        ({"tests": [{"output": "1"}]}, "test_mismatch"),
        ({"tests": [{"input": 1, "output": "1"}]}, "wrong_type"),
        ({"tests": [{"input": "1", "output": None}]}, "wrong_type"),
        ({"function": "f"}, "wrong_type"),
        ({"function": "a.b"}, "wrong_type"),
        ({"tolerance": -1}, "wrong_type"),
        ({"seconds": "3"}, "wrong_type"),
        ({"golden": 3}, "wrong_type"),
        ({"question": ""}, "missing_field"),
    ],
)
def test_own_rows_refuse(changes, reason):
    refused(own, {"question": "q", "tests": [{"input": "1", "output": "2"}]} | changes, reason)


@pytest.mark.parametrize(
    ("question", "tolerance"),
    [
        ("Print the sum.", None),
        ("An error of the program.", None),
        ("Your answer is right if its absolute or relative error does not exceed 10^{ - 9}.", 1e-9),
        ("if the relative error is at most 10^-4", 1e-4),
        ("an absolute error of 10\u2212 5 is allowed", 1e-5),
        ("Answers within the allowed absolute error count.", 1e-6),
    ],
)
def test_tolerance_is_what_the_question_declares(question, tolerance):
    assert declared_tolerance(question) == tolerance


ODD = (0, -1, 2.5, math.inf, True, "[", [1], [[]], [{}], {"a": 1}, {"input": 3, "output": 3}, b"x")


@pytest.mark.parametrize("convert", [apps, code_contests, live_code_bench, own])
def test_no_odd_field_speaks_in_the_words_of_python(convert):
    rows = {apps: apps_row(), code_contests: contest_row(), live_code_bench: bench_row()}
    row = rows.get(
        convert, {"question": "q", "tests": [{"input": "1", "output": "2"}], "golden": "", "id": 1}
    )
    for field, odd in itertools.product(row, ODD):
        # Anything but a BadRowError would be told as it is.
        with suppress(BadRowError):
            convert(row | {field: odd})


def test_a_reason_names_its_field():
    assert refused(apps, apps_row(starter_code=5), "wrong_type") == "starter_code is a number, not a text"
    row = contest_row(solutions=[{"language": 3}])
    assert refused(code_contests, row, "wrong_type") == "solutions is a list, not an object"
    row = contest_row(solutions={"language": 3, "solution": []})
    assert refused(code_contests, row, "wrong_type") == "solutions.language is a number, not a list"
    text = refused(code_contests, contest_row(time_limit={"seconds": -1}), "wrong_type")
    assert text == "time_limit.seconds is -1, not a number from 0"
    text = refused(live_code_bench, bench_row(public_test_cases="[3]"), "wrong_type")
    assert text == "public_test_cases: a test is a number, not an object"


def test_the_presets_find_their_converters():
    assert {preset_converter(preset) for preset in PRESETS.values() if preset.env == "code_env"} == {
        apps,
        code_contests,
        live_code_bench,
    }
