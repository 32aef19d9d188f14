"""Files with rows: each row is read or said to be bad, whatever the bytes."""

import builtins
import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import write_lines

from pettingllms.data import reading
from pettingllms.data.reading import rows_in
from pettingllms.data.rows import BadRowError
from pettingllms.errors import RefusedError

GOOD = {"question": "What is 1 + 1?", "answer": 2}


def read(path, **limits):
    """Number of each row, and the row or the reason why it is bad."""
    return [
        (number, row.reason if isinstance(row, BadRowError) else row)
        for number, row in rows_in(path, **limits)
    ]


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        (b'{"question": ', "bad_json", "column 13"),
        (b"question: answer", "bad_json", "column 1"),
        (b"{} {}", "bad_json", "Extra data"),
        (b'{"a": NaN}', "bad_json", "no NaN"),
        (b'{"a": -Infinity}', "bad_json", "no -Infinity"),
        (b'{"a": "b\0c"}', "bad_json", "NUL"),
        (b"\0\0\0", "bad_json", "NUL"),
        (b'{"a": "tab\there"}', "bad_json", "control character"),
        (b'{"a": ' + b"9" * 5000 + b"}", "bad_json", "4300"),
        (b"[" * 100_000 + b"]" * 100_000, "bad_json", "recursion"),
        (b'{"a": "\xff"}', "non_utf8", "byte 8"),
        (b'{"a": "\xed\xa0\x80"}', "non_utf8", "byte 8"),
        ("{}".encode("utf-16"), "bad_json", "NUL"),
        (b"[1, 2]", "wrong_type", "a list"),
        (b'"text"', "wrong_type", "a text"),
        (b"null", "wrong_type", "null"),
        (b"true", "wrong_type", "true or false"),
        (b"1.5", "wrong_type", "a number"),
    ],
)
def test_a_bad_line_is_named_and_spoils_no_other(tmp_path, line, reason, words):
    path = write_lines(tmp_path / "rows.jsonl", [GOOD, line, GOOD])
    assert read(path) == [(1, GOOD), (2, reason), (3, GOOD)]
    assert words.lower() in list(rows_in(path))[1][1].text.lower()


def test_marks_line_ends_and_empty_lines_are_no_faults(tmp_path):
    line = json.dumps(GOOD).encode()
    path = tmp_path / "rows.jsonl"
    # A byte order mark at the start and where two files were joined, CRLF, blank lines, no last line end.
    path.write_bytes(
        b"\xef\xbb\xbf" + line + b"\r\n\r\n  \t\n\xef\xbb\xbf" + line + b"\n\xef\xbb\xbf\n" + line
    )
    assert read(path) == [(1, GOOD), (4, GOOD), (6, GOOD)]


def test_separators_inside_texts_end_no_line(tmp_path):
    row = {"question": "a\u2028b\u0085c\x0bd"}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read(path) == [(1, row)]


@pytest.mark.parametrize(("size", "fits"), [(64, True), (65, False)])
def test_the_limit_is_of_a_line_without_its_end(tmp_path, size, fits):
    line = b'{"a": "' + b"x" * (size - 9) + b'"}'
    assert len(line) == size
    path = write_lines(tmp_path / "rows.jsonl", [line, GOOD])
    (first, second) = read(path, limit=64)
    assert (first[1] != "too_long", second) == (fits, (2, GOOD))


def test_a_huge_line_takes_no_memory(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(json.dumps(GOOD).encode() + b"\n")
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\n" + json.dumps(GOOD).encode())
    tracemalloc.start()
    assert read(path, limit=2**20) == [(1, GOOD), (2, "too_long"), (3, GOOD)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b"\r", b'{"a": 1}\r', b"[]"]))))
def test_no_bytes_make_reading_fail_and_no_line_is_lost(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    content = b"\n".join(lines)
    path.write_bytes(content)
    wanted = [
        number
        for number, line in enumerate(content.split(b"\n"), 1)
        if line.removeprefix(b"\xef\xbb\xbf").strip()
    ]
    assert [number for number, _ in rows_in(path)] == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=5), st.booleans())
def test_what_was_written_is_read(tmp_path_factory, rows, as_list):
    path = tmp_path_factory.mktemp("round") / ("rows.json" if as_list else "rows.jsonl")
    path.write_text(json.dumps(rows, indent=1) if as_list else "\n".join(map(json.dumps, rows)))
    assert [row for _, row in rows_in(path)] == rows


def test_a_json_list_has_rows_with_numbers(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf \r\n" + json.dumps([GOOD, 7, GOOD]).encode())
    assert read(path) == [(1, GOOD), (2, "wrong_type"), (3, GOOD)]


def test_a_json_file_may_hold_lines(tmp_path):
    path = write_lines(tmp_path / "rows.json", [GOOD, "{", GOOD])
    assert read(path) == [(1, GOOD), (2, "bad_json"), (3, GOOD)]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'[{"a": 1},\n{"a": }]', "rows.json:2:7:"), (b'["\xff"]', "no JSON list"), (b"[NaN]", "no NaN")],
)
def test_a_broken_json_list_is_refused_with_its_place(tmp_path, content, words):
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=words) as caught:
        read(path)
    assert ".jsonl" in caught.value.help


def test_a_json_list_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LIST_BYTES", 10)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([GOOD]))
    with pytest.raises(RefusedError, match="one JSON list of"):
        read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="No such file"):
        read(tmp_path / "rows.jsonl")


def write_parquet(path, rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = sys.modules["pyarrow"]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_parquet_has_the_same_rows(tmp_path):
    rows = [{"question": f"q{n}", "answer": n, "more": {"list": [n, None]}} for n in range(200)]
    path = write_parquet(tmp_path / "rows.parquet", rows)
    assert read(path) == list(enumerate(rows, 1))


def test_text_in_parquet_that_is_no_utf8_spoils_its_own_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    texts = pyarrow.array([b"good", b"\xff\xfe", b"fine"], pyarrow.binary()).view(pyarrow.string())
    write_table(pyarrow.table({"question": texts}), tmp_path / "rows.parquet")
    wanted = [(1, {"question": "good"}), (2, "non_utf8"), (3, {"question": "fine"})]
    assert read(tmp_path / "rows.parquet") == wanted


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_broken_parquet_file_is_refused(tmp_path, content):
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=r"rows\.parquet cannot be read"):
        read(path)


def test_a_parquet_file_that_breaks_off_is_refused(tmp_path):
    path = write_parquet(tmp_path / "rows.parquet", [GOOD] * 1000)
    content = bytearray(path.read_bytes())
    content[20:60] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=r"rows\.parquet cannot be read"):
        read(path)


def test_without_pyarrow_it_is_said_what_to_install(tmp_path, monkeypatch):
    original = builtins.__import__

    def absent(name, *arguments):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *arguments)

    path = tmp_path / "rows.parquet"
    path.write_bytes(b"")
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(RefusedError, match="pyarrow is not installed") as caught:
        read(path)
    assert "pip install pyarrow" in caught.value.help
