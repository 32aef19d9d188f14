"""Where YAML keys and values stand, aliases and merge keys included."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import Span

DATA = Path(__file__).parents[1] / "data"
SET_TWICE = ("code_L0_prompt.yaml", "code_L1_lora.yaml")
"""Files of a fork that set a key twice, and are refused."""
FILES = [
    file
    for file in sorted(DATA.glob("*/**/*.yaml"))
    if "fork-a" not in str(file) or file.name not in SET_TWICE
]
TEXT = """\
# head
a:
  b: 1e-6  # c
  'c d': &n !!str  017
  e:

# between
"l":
- x: [1, "two",
    {z: é}]
  y: |  # c
    text

# more
- plain
  text
f: {}
g: *n
"""


def read(text):
    return parse_document(text, Path("x.yaml"))


def paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def cut(text, span):
    """The characters that `span` covers."""
    lines = text.split("\n")
    found = lines[span.line - 1 : span.end_line]
    found[-1] = found[-1][: span.end_column - 1]
    found[0] = found[0][span.column - 1 :]
    return "\n".join(found)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("a",), Span(2, 1, 2, 2), Span(3, 3, 5, 5)),
        (("a", "b"), Span(3, 3, 3, 4), Span(3, 6, 3, 10)),
        (("a", "c d"), Span(4, 3, 4, 8), Span(4, 20, 4, 23)),
        (("a", "e"), Span(5, 3, 5, 4), Span(5, 5, 5, 5)),
        (("l",), Span(8, 1, 8, 4), Span(9, 1, 16, 7)),
        (("l", 0), Span(9, 3, 12, 9), Span(9, 3, 12, 9)),
        (("l", 0, "x"), Span(9, 3, 9, 4), Span(9, 6, 10, 12)),
        (("l", 0, "x", 1), Span(9, 10, 9, 15), Span(9, 10, 9, 15)),
        (("l", 0, "x", 2, "z"), Span(10, 6, 10, 7), Span(10, 9, 10, 10)),
        (("l", 0, "y"), Span(11, 3, 11, 4), Span(11, 6, 12, 9)),
        (("l", 1), Span(15, 3, 16, 7), Span(15, 3, 16, 7)),
        (("f",), Span(17, 1, 17, 2), Span(17, 4, 17, 6)),
        (("g",), Span(18, 1, 18, 2), Span(18, 4, 18, 6)),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_spans_are_where_a_reader_sees_them(path, key, value, newline):
    assert read(TEXT.replace("\n", newline)).spans[path] == (key, value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DATA)))
def test_every_value_of_a_real_file_has_a_span_and_nothing_else(file):
    document = read_document(file)
    assert set(document.spans) == set(paths(document.data))
    for path, (key, value) in document.spans.items():
        if isinstance(path[-1], str):
            assert cut(document.text, key).strip("'\"") == path[-1]
        else:
            assert key == value


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 5),
    st.booleans(),
)
def test_the_span_of_a_number_is_its_characters(number, spaces, in_list):
    written = repr(number)
    gap = " " * spaces
    text = f"a:\n{gap}- &x  {written}{gap} # c\n" if in_list else f"é: {gap}{written}{gap} # c\n"
    document = read(text)
    path = ("a", 0) if in_list else ("é",)
    assert cut(text, document.spans[path][1]) == written


MERGED = """\
base: &base
  x: 1
  deep: {y: [2]}
other: &other {x: 3, z: 4}
one:
  <<: *base
  x: 5
two:
  <<: [*other, *base, {w: 6}]
three:
  copy: *base
"""


def test_aliases_and_merge_keys_are_expanded_and_earlier_ones_win():
    data = read(MERGED).data
    assert data["one"] == {"x": 5, "deep": {"y": [2]}}
    assert data["two"] == {"x": 3, "z": 4, "deep": {"y": [2]}, "w": 6}
    assert data["three"] == {"copy": data["base"]}
    assert data["three"]["copy"]["deep"] is not data["base"]["deep"]


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("one", "x"), "x", "5"),
        (("one", "deep"), "<<", "*base"),
        (("one", "deep", "y", 0), "*base", "*base"),
        (("two", "z"), "<<", "*other"),
        (("two", "deep", "y"), "*base", "*base"),
        (("two", "w"), "w", "6"),
        (("three", "copy"), "copy", "*base"),
        (("three", "copy", "x"), "*base", "*base"),
    ],
)
def test_expanded_values_point_to_the_alias(path, key, value):
    spans = read(MERGED).spans[path]
    assert (cut(MERGED, spans[0]), cut(MERGED, spans[1])) == (key, value)
    line = {"one": 6, "two": 9, "three": 11}[path[0]]
    assert spans[1].line == (7 if path == ("one", "x") else line)


def test_each_use_of_an_anchor_is_noted():
    notes = read(MERGED).notes
    assert {note.code for note in notes} == {"PLM603"}
    shown = [(note.place.span.line, cut(MERGED, note.place.span)) for note in notes]
    assert shown == [(6, "*base"), (9, "*other"), (9, "*base"), (9, "<<"), (11, "*base")]
    assert set(read(MERGED).spans) == set(paths(read(MERGED).data))


def test_merges_nest_and_repeat():
    text = "a: &a {x: 1}\nb: &b\n  <<: *a\n  y: 2\nc:\n  <<: *b\n  <<: {z: 3}\n"
    document = read(text)
    assert document.data["c"] == {"x": 1, "y": 2, "z": 3}
    assert cut(text, document.spans["c", "x"][1]) == "*b"


def test_an_anchor_may_be_set_anew_and_an_alias_may_be_a_key():
    assert read("a: &x k\nb: *x\nc: &x 1\nd: *x\n").data == {"a": "k", "b": "k", "c": 1, "d": 1}
    assert read("a: &x k\nb: {*x : 1}\n").data == {"a": "k", "b": {"k": 1}}
