"""Rows of a split: bad ones are counted by reason, with their places, up to a limit."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import sums, write_lines

from pettingllms.data.checked import checked_rows
from pettingllms.data.rows import BadReason, BadRowError, json_at, text_at, value_at
from pettingllms.envs.math_rows import own
from pettingllms.errors import RefusedError


def check(folder, rows, *, known=(), share=1.0, converter=own, **limits):
    path = write_lines(folder / "rows.jsonl", rows)
    return checked_rows(folder, [path.name], converter, set(known), share, **limits)


def question(text, **more):
    return {"question": text, "answer": 1, **more}


BAD = {
    "bad_json": ["{", b"\0"],
    "non_utf8": [b'{"question": "\xff"}', r'{"question": "\ud800", "answer": 1}'],
    "too_long": ['{"question": "' + "x" * 4000 + '"}'],
    "missing_field": [{"answer": 1}, {"question": None, "answer": 1}, {"question": "q1"}, question("   ")],
    "wrong_type": [
        *([], 7, question(["q"]), {"question": "q2", "answer": [1]}, {"question": "q3", "answer": True}),
        *(
            question("q4", id=[1]),
            question("q5", id=1.5),
            question("q6", id=" "),
            question("q7", id="x" * 201),
        ),
    ],
    "empty_gold": [{"question": "q8", "answer": "  "}],
    "duplicate": [question("first"), question(" FIRST\n"), question("q9", id="one"), question("ﬁrst")],
}


def test_every_kind_of_bad_row_is_counted_by_its_reason(tmp_path):
    rows = [question("first", id="one"), *(row for bad in BAD.values() for row in bad), question("last")]
    found = check(tmp_path, rows, limit=3000)
    assert found.bad == {reason: len(bad) for reason, bad in BAD.items()}
    assert [row.data["question"] for row in found.good] == ["first", "last"]
    assert found.total == len(rows) == len(found.good) + sum(found.bad.values())
    assert found.places[0].startswith(f"{tmp_path / 'rows.jsonl'}:2: bad_json: ")
    assert len(found.places) == 5


def test_bad_rows_have_the_numbers_of_their_lines_and_files(tmp_path):
    write_lines(tmp_path / "a/x.jsonl", [question("one"), "", "{"])
    write_lines(tmp_path / "b/x.jsonl", [question("ONE"), question("two")])
    found = checked_rows(tmp_path, ["a/x.jsonl", "b/x.jsonl"], own, set(), 1.0)
    assert [row.name for row in found.good] == ["a/x.jsonl:1", "b/x.jsonl:2"]
    assert [place.removeprefix(f"{tmp_path}/").split(": ")[:2] for place in found.places] == [
        ["a/x.jsonl:3", "bad_json"],
        ["b/x.jsonl:1", "duplicate"],
    ]
    assert found.places[1].endswith("a/x.jsonl:1 has the same question")


@pytest.mark.parametrize(("bad", "passes"), [(0, True), (1, True), (2, False)])
def test_more_bad_rows_than_allowed_are_refused(tmp_path, bad, passes):
    # 1 % of 100 rows is one row.
    rows = [*sums(100 - bad), *["{"] * bad]
    if passes:
        assert sum(check(tmp_path, rows, share=0.01).bad.values()) == bad
        return
    with pytest.raises(RefusedError, match=r"2 of 100 rows are bad, and at most 1\.00% may be") as caught:
        check(tmp_path, rows, share=0.01)
    assert "rows.jsonl:99: bad_json" in str(caught.value) and "rows.jsonl:100: bad_json" in str(caught.value)
    assert "env.options.max_bad_fraction" in caught.value.help


def test_the_first_five_places_are_shown_and_all_are_counted(tmp_path):
    with pytest.raises(RefusedError) as caught:
        check(tmp_path, [*["{"] * 9, *["7"] * 3, *sums(3)], share=0.01)
    lines = str(caught.value).splitlines()
    assert "(bad_json 9, wrong_type 3)" in lines[0]
    assert [line.split(":")[1] for line in lines[1:]] == ["1", "2", "3", "4", "5"]


def test_what_is_known_of_a_source_is_counted_and_not_held_against_it(tmp_path):
    rows = [*sums(2) * 50, "{"]
    found = check(tmp_path, rows, known={BadReason.DUPLICATE}, share=0.01)
    assert (found.bad, found.total) == ({"duplicate": 98, "bad_json": 1}, 101)
    with pytest.raises(RefusedError, match="1 of 101 rows") as caught:
        check(tmp_path, rows, known={BadReason.DUPLICATE}, share=0.0)
    # Places are of what counts.
    assert "rows.jsonl:101: bad_json" in str(caught.value) and "same question" not in str(caught.value)


def test_a_converter_that_trips_costs_its_row(tmp_path):
    def trips(row):
        return {"question": row["question"].strip()}

    found = check(tmp_path, [{"question": "fine"}, {"question": 7}, {"answer": 1}], converter=trips)
    assert found.bad == {"wrong_type": 2}
    assert "AttributeError" in found.places[0] and "KeyError" in found.places[1]


def test_deep_data_are_a_bad_row(tmp_path):
    # As deep as can be read, and deeper than can be written again.
    for depth in (900, 990, 995):
        deep = '{"question": "q", "answer": 1, "more": ' + "[" * depth + "]" * depth + "}"
        found = check(tmp_path, [deep], converter=lambda row: row)
        assert len(found.good) + found.bad.get("bad_json", 0) == 1


LINES = st.one_of(
    st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")),
    st.fixed_dictionaries(
        {},
        optional={
            "question": st.one_of(st.text(max_size=5), st.integers(), st.none()),
            "answer": st.one_of(st.text(max_size=3), st.integers(), st.floats(), st.lists(st.integers())),
            "id": st.one_of(st.text(max_size=3), st.integers(), st.booleans()),
        },
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_no_row_is_lost(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    found = check(folder, rows)
    lines = (folder / "rows.jsonl").read_bytes().split(b"\n")
    assert found.total == sum(bool(line.removeprefix(b"\xef\xbb\xbf").strip()) for line in lines)
    assert found.total == len(found.good) + sum(found.bad.values())
    assert set(found.bad) <= {str(reason) for reason in BadReason}
    names = [row.name for row in found.good]
    assert len(set(names)) == len(names)


def test_equal_data_have_equal_hashes_whatever_their_order(tmp_path):
    one = '{"question": "é", "answer": 2}'
    other = r'{"answer": 2, "question": "\u00e9"}'
    digests = {check(tmp_path, [line]).good[0].digest for line in (one, other)}
    assert len(digests) == 1
    assert check(tmp_path, [question("é")]).good[0].digest not in digests


@pytest.mark.parametrize(
    ("path", "found"),
    [("a", 1), ("b.0.c", "x"), ("b.1.c", "y"), ("d.e", "dotted"), ("b", [{"c": "x"}, {"c": "y"}])],
)
def test_fields_are_found_by_paths(path, found):
    row = {"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d.e": "dotted"}
    assert value_at(row, path) == found


@pytest.mark.parametrize("path", ["b", "a.b", "c.2", "c.-1", "c.x", "d", "", "a."])
def test_what_is_not_there_is_missing(path):
    with pytest.raises(BadRowError, match="missing_field"):
        value_at({"a": 1, "c": [1, 2], "d": None}, path)


def test_json_inside_a_text_is_read_or_bad():
    assert json_at({"a": "[1]", "b": [2]}, "a") == [1]
    assert json_at({"a": "[1]", "b": [2]}, "b") == [2]
    for text in ("{", "9" * 5000, "[" * 100_000):
        with pytest.raises(BadRowError, match="bad_json"):
            json_at({"a": text}, "a")
    with pytest.raises(BadRowError, match="wrong_type: a is a number"):
        text_at({"a": 1}, "a")


def test_reasons_are_counted_over_a_large_file(tmp_path):
    rows = [json.dumps(question(f"q{n}")) if n % 3 else "{" for n in range(9000)]
    assert Counter(check(tmp_path, rows).bad) == {"bad_json": 3000}


def test_what_a_look_at_the_tasks_finds_is_counted_with_the_rest(tmp_path):
    asked = []

    def verify(data):
        asked.append([one["question"] for one in data])
        return [
            BadRowError("golden_fails", "it prints 7") if one["question"] == "b" else None for one in data
        ]

    path = write_lines(tmp_path / "rows.jsonl", [question("a"), "{", question("b"), question("c")])
    found = checked_rows(tmp_path, [path.name], own, set(), 1.0, verify)
    assert asked == [["a", "b", "c"]]
    assert [row.data["question"] for row in found.good] == ["a", "c"]
    assert found.bad == {"bad_json": 1, "golden_fails": 1}
    assert found.places[1] == f"{path}:3: golden_fails: it prints 7"
    with pytest.raises(RefusedError, match="2 of 4 rows are bad"):
        checked_rows(tmp_path, [path.name], own, set(), 0.4, verify)
