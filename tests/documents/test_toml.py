"""TOML with positions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.documents.source import DocumentError, Span, dotted
from pettingllms.documents.toml import parse_toml, read_toml

CASES = Path(__file__).parents[1] / "cases"
TEXT = '''a.b = 1
"q\\u0041".'x y' = [1, # c
 "two", [3, {z=1, w.v=2}], 1979-05-27 07:32:00,
]
m = """a"b\\"""c""""
n = \'\'\'x\'\'\'
[t.u]
k = 1e-6 # c
[[arr.x]]
p=1
[arr.x.sub]
q=2
[[arr.x]]
p = [ ]
'''


def paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def fault(text):
    with pytest.raises(DocumentError) as caught:
        parse_toml(text, Path("x.toml"))
    return caught.value.finding


@pytest.mark.parametrize("text", [TEXT, *(p.read_text() for p in sorted(CASES.glob("valid/*.toml")))])
def test_every_value_of_the_tree_has_a_span_and_nothing_else(text):
    document = parse_toml(text, Path("x.toml"))
    assert set(document.spans) == set(paths(document.data))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("a", "b"), Span(1, 3, 1, 4), Span(1, 7, 1, 8)),
        (("qA", "x y"), Span(2, 11, 2, 16), Span(2, 19, 4, 2)),
        (("qA", "x y", 2, 1, "w", "v"), Span(3, 21, 3, 22), Span(3, 23, 3, 24)),
        (("m",), Span(5, 1, 5, 2), Span(5, 5, 5, 20)),
        (("t", "u", "k"), Span(8, 1, 8, 2), Span(8, 5, 8, 9)),
        (("arr", "x", 0, "sub", "q"), Span(12, 1, 12, 2), Span(12, 3, 12, 4)),
        (("arr", "x", 1, "p"), Span(14, 1, 14, 2), Span(14, 5, 14, 8)),
    ],
)
def test_spans_are_where_a_reader_sees_them(path, key, value):
    assert parse_toml(TEXT, Path("x.toml")).spans[path] == (key, value)


def test_windows_line_ends_give_the_same_positions():
    document = parse_toml("a = 1\r\n[t]\r\nb = 2\r\n", Path("x.toml"))
    assert document.spans["t", "b"] == (Span(3, 1, 3, 2), Span(3, 5, 3, 6))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a=1\na=2", 2, "a is set twice, first on line 1"),
        ("[a]\n[b]\n[a]\n", 3, "a is set twice, first on line 1"),
        ("a={b=1,b=2}", 1, "a.b is set twice"),
        ("a = ", 1, "at the end of the file"),
        ("[a", 1, "at the end of the file"),
        ("a=\x00", 1, "invalid value"),
        ("a=" + "[" * 5000, 1, "nested more than 64"),
        ("a=" + "[" * 100 + "]" * 100, 1, "nested more than 64"),
        (".".join("a" * 100) + "=1", 1, "nested more than 64"),
        ("a=" + "9" * 5000, 1, "more than 4300 digits"),
        ("a=[1, 0x" + "f" * 5000 + "]", 1, "a.1 does not fit in 64 bits"),
        ("a=1\rb=2", 1, "expected newline"),
    ],
)
def test_a_fault_of_syntax_has_its_line(text, line, words):
    finding = fault(text)
    assert words in finding.message
    assert finding.place.span.line == line
    assert finding.code == "PLM001"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a = cpu", 'text stands in quotes: "cpu"'),
        ("a = True", "write true"),
        ("a = None", "write { null = true }"),
    ],
)
def test_values_of_other_languages_get_advice(text, advice):
    assert fault(text).help == advice


@pytest.mark.parametrize(
    ("raw", "line", "column", "words"),
    [
        (b"a = 1\nb = '\xff'", 2, 6, "not UTF-8"),
        (b"\xef\xbb\xbfa = 1", 1, 1, "byte order mark"),
    ],
)
def test_bytes_that_are_not_plain_utf8_are_a_fault(tmp_path, raw, line, column, words):
    (tmp_path / "x.toml").write_bytes(raw)
    with pytest.raises(DocumentError, match=words) as caught:
        read_toml(tmp_path / "x.toml")
    span = caught.value.finding.place.span
    assert (span.line, span.column) == (line, column)


@pytest.mark.parametrize("name", ["missing.toml", "folder", "a.yaml", "nul\0.toml"])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DocumentError) as caught:
        read_toml(tmp_path / name)
    assert caught.value.finding.code == "PLM002"


def test_an_empty_file_is_an_empty_document(tmp_path):
    (tmp_path / "x.toml").touch()
    assert read_toml(tmp_path / "x.toml").data == {}


def test_odd_keys_are_quoted_in_a_path():
    assert dotted(("a", "b.c", 0)) == 'a."b.c".0'


@given(st.text(alphabet="ab=[]{}\",.'\n#\\ 1-:T\r\t\x00é"))
def test_any_text_is_a_document_or_a_fault(text):
    try:
        document = parse_toml(text, Path("x.toml"))
    except DocumentError:
        return
    assert set(document.spans) == set(paths(document.data))
