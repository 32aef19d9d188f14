"""TOML with positions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.documents.files import MAX_BYTES
from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import DocumentError, Span, dotted
from pettingllms.documents.toml import parse_toml

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
        ("a=\x00", 1, "a NUL byte may not stand in a text file"),
        ("a=1\n# \x1b[2J", 2, "the character U+001B may not stand"),
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


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".yml"])
@pytest.mark.parametrize(
    ("raw", "line", "column", "words"),
    [
        (b"# 1\n# \xc3\xa9\xff", 2, 4, "byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbf# \xff", 1, 3, "byte 0xff is not UTF-8"),
        (b"\xff\xfea\x00", 1, 1, "UTF-16, not UTF-8"),
        (b"# 1\n# \x00", 2, 3, "NUL byte"),
        (b"# 1\r\n# \x7f", 2, 3, "U+007F"),
    ],
)
def test_bytes_that_are_no_plain_text_are_a_fault_of_both_formats(tmp_path, suffix, raw, line, column, words):
    (tmp_path / f"x{suffix}").write_bytes(raw)
    with pytest.raises(DocumentError) as caught:
        read_document(tmp_path / f"x{suffix}")
    finding = caught.value.finding
    assert words in finding.message
    assert (finding.place.span.line, finding.place.span.column) == (line, column)
    assert finding.code == "PLM001"


@pytest.mark.parametrize(("name", "text"), [("x.toml", "a = 1\r\nb = 2\r\n"), ("x.YML", "a: 1\r\nb: 2\r\n")])
def test_a_byte_order_mark_and_windows_line_ends_are_accepted_and_remembered(tmp_path, name, text):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    document = read_document(tmp_path / name)
    assert (document.data, document.text, document.bom) == ({"a": 1, "b": 2}, text, True)
    assert document.spans["b",][0] == Span(2, 1, 2, 2)
    assert parse_document("\ufeff" + text, tmp_path / name) == document
    assert not parse_document(text, tmp_path / name).bom


def test_the_suffix_says_the_format():
    assert parse_document("a: 1", Path("x.yaml")).format == "yaml"
    assert parse_document("a = 1", Path("x.toml")).format == "toml"
    assert parse_document("a = 1", Path("<stdin>")).format == "toml"


@pytest.mark.parametrize("name", ["missing.toml", "missing.yaml", "folder", "nul\0.toml"])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DocumentError) as caught:
        read_document(tmp_path / name)
    assert caught.value.finding.code == "PLM002"


@pytest.mark.parametrize("name", ["x.toml", "x.yaml"])
def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path, monkeypatch, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(10_000_000)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read"))
    with pytest.raises(DocumentError, match=r"larger than 4 MiB \(10,000,000 bytes\)") as caught:
        read_document(tmp_path / name)
    assert caught.value.finding.code == "PLM002"


def test_a_file_of_just_the_largest_size_is_read(tmp_path):
    (tmp_path / "x.toml").write_text("a = 1\n#" + "x" * (MAX_BYTES - 7))
    assert read_document(tmp_path / "x.toml").data == {"a": 1}


def test_an_empty_file_is_an_empty_document(tmp_path):
    (tmp_path / "x.toml").touch()
    assert read_document(tmp_path / "x.toml").data == {}


def test_odd_keys_are_quoted_in_a_path():
    assert dotted(("a", "b.c", 0)) == 'a."b.c".0'


@given(st.text(alphabet="ab=[]{}\",.'\n#\\ 1-:T\r\t\x00é"))
def test_any_text_is_a_document_or_a_fault(text):
    try:
        document = parse_toml(text, Path("x.toml"))
    except DocumentError:
        return
    assert set(document.spans) == set(paths(document.data))
