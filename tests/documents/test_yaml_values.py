"""What YAML values mean: as OmegaConf's loader reads them, types included."""

import math
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf._utils import get_yaml_loader

from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import DocumentError

DATA = Path(__file__).parents[1] / "data"
FILES = sorted([*DATA.glob("upstream-configs/**/*.yaml"), *DATA.glob("fork-configs/**/*.yaml")])
LOADER = get_yaml_loader()
WORDS = ["yes", "No", "TRUE", "off", "null", "Null", "~", ".inf", "-.INF", ".NaN", "<<", "=", "1:59", "1:60"]
WORDS += ["0o7", "07", "0x_", "0b_", "1__0"]
DEEP = " " * 20
SCALARS = [
    "1",
    "1e-6",
    "yes",
    "~",
    "",
    "a b",
    "'q ''u'",
    '"\\u00e9\\n"',
    "http://x:8",
    "a#b",
    "${a.b,c}",
    "017",
]
SCALARS += [f"|\n{DEEP}t\n{DEEP} u\n", f">-\n{DEEP}f\n\n{DEEP}g\n", f"a\n{DEEP}b", f"'q\n{DEEP}r'", "!!str 1"]
many = settings(deadline=None, derandomize=True, max_examples=400)


def read(text):
    return parse_document(text, Path("x.yaml"))


def codes(text):
    return [note.code for note in read(text).notes]


def same(one, other):
    """Equal, types and all; a NaN equals a NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def agrees(text):
    """True where both readers accept `text`; then they must read the same."""
    try:
        expected = yaml.load(text, Loader=LOADER) or {}
    except (yaml.YAMLError, ValueError, LookupError, OverflowError):
        return False
    try:
        data = read(text).data
    except DocumentError:
        return False
    assert same(data, expected), (data, expected)
    return True


@pytest.mark.parametrize(
    ("written", "value", "notes"),
    [
        ("1e-6", 1e-6, []),
        ("1e5", 100000.0, []),
        ("5e-6", 5e-6, []),
        ("1E+5", 100000.0, []),
        ("017", 15, ["PLM602"]),
        ("-017", -15, ["PLM602"]),
        ("0o17", "0o17", ["PLM602"]),
        ("08", "08", []),
        ("0", 0, []),
        ("0x1F", 31, []),
        ("0b101", 5, []),
        ("1_000", 1000, []),
        ("no", False, ["PLM602"]),
        ("on", True, ["PLM602"]),
        ("Yes", True, ["PLM602"]),
        ("OFF", False, ["PLM602"]),
        ("true", True, []),
        ("False", False, []),
        ("y", "y", []),
        ("12:30:45", 45045, ["PLM602"]),
        ("1:30.5", 90.5, ["PLM602"]),
        ("2024-10-15", "2024-10-15", []),
        ("2024-10-15 07:32:00", "2024-10-15 07:32:00", []),
        ("None", "None", ["PLM601"]),
        ("none", "none", []),
        ("nil", "nil", ["PLM601"]),
        ("'None'", "None", []),
        ("null", None, []),
        ("~", None, []),
        ("", None, []),
        (".inf", math.inf, []),
        ("-.INF", -math.inf, []),
        (".nan", math.nan, []),
        ("nan", "nan", []),
        (".5", 0.5, []),
        ("1.", 1.0, []),
        ("1.5e3", 1500.0, []),
        ("v1.5e3", "v1.5e3", []),
        ("'on'", "on", []),
        ('"017"', "017", []),
        ("|\n  on\n", "on\n", []),
        (">-\n  1\n", "1", []),
        ("!!str 1", "1", []),
        ("!!str", "", []),
        ("!!int '0x1F'", 31, []),
        ("!!float 1", 1.0, []),
        ("!!bool 'Yes'", True, []),
        ("!!null ~", None, []),
        ("!!seq [1]", [1], []),
        ("!!map {a: 1}", {"a": 1}, []),
        ("${a.b},x: y", None, None),
        ("${mul:${a},2}", "${mul:${a},2}", []),
        ("a#b", "a#b", []),
        ('"\\u00e9\\x41\\/\\n"', "éA/\n", []),
        ("'it''s'", "it's", []),
        ("[1, [two, {three: 3}], ]", [1, ["two", {"three": 3}]], []),
        ("{a: , b, 'c': 1, \"d\":2}", {"a": None, "b": None, "c": 1, "d": 2}, []),
        ("[a: 1, b]", [{"a": 1}, "b"], []),
        ("x\n  y\n\n  z", "x y\nz", []),
        ("-1", -1, []),
        ("+.5", "+.5", []),
        ("?x", "?x", []),
    ],
)
def test_a_value_is_read_as_omegaconf_reads_it(written, value, notes):
    text = f"k: {written}\n"
    if notes is None:
        with pytest.raises(DocumentError, match="mapping values are not allowed here"):
            read(text)
        return
    document = read(text)
    assert same(document.data, {"k": value})
    assert [note.code for note in document.notes] == notes
    assert agrees(text)


@pytest.mark.parametrize(
    ("written", "message", "advice"),
    [
        ("no", "no is read as false", 'write false, or "no" if text is meant'),
        ("017", "017 is octal and read as 15", 'write 15, or "017" if text is meant'),
        ("0o17", "0o17 is read as text", 'write 15, or "0o17" if text is meant'),
        (
            "12:30:45",
            "12:30:45 is read as 45045, in sixties",
            'write "12:30:45" if text is meant, else 45045',
        ),
        ("None", "None is read as text; did you mean null?", 'write null, or "None"'),
    ],
)
def test_a_surprise_says_what_was_read_and_what_to_write(written, message, advice):
    (note,) = read(f"a: 1\nk: [{written}]\n").notes
    assert (note.message, note.help) == (message, advice)
    assert str(note.place) == "x.yaml:2"
    assert (note.place.span.column, note.place.span.end_column) == (5, 5 + len(written))


def test_a_key_gets_no_note_on_null():
    assert codes("None: 1\nnil: 2\n") == []


@many
@given(st.text(alphabet="0123456789_.:eE+-xobnaif~NULul", max_size=8))
def test_any_plain_scalar_agrees_with_omegaconf(written):
    agrees(f"k: {written}\n")


@many
@given(
    st.one_of(
        st.integers().map(str),
        st.floats().map(repr),
        st.floats().map("{:e}".format),
        st.sampled_from(WORDS),
        st.text(string.printable, max_size=12),
    )
)
def test_any_written_word_agrees_with_omegaconf(written):
    agrees(f"k: {written}\nl: [{written}]\n")
    agrees(f"k:\n- {written}\n- !!str {written}\n- !!int {written}\n- !!float {written}\n")


flow = st.recursive(
    st.sampled_from(["1", "a b", "'x, y'", '"]"', "'${a}'", "null", "a-b", "http://x:8", "é"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"k{index}: {item}" for index, item in enumerate(items)) + "}"
        ),
    ),
    max_leaves=8,
)


@st.composite
def blocks(draw, indent=0, depth=0):
    """A block mapping or list, indented, that begins on a line of its own."""
    lines = []
    is_list = depth > 0 and draw(st.booleans())
    for index in range(draw(st.integers(1, 4))):
        start = "-" if is_list else draw(st.sampled_from([f"k{index}:", f"'k {index}':", f'"k{index}" :']))
        comment = draw(st.sampled_from(["", "", " # c"]))
        lines += draw(st.sampled_from([[], [], ["# c"], ["", " " * indent + "# d"], ["   "]]))
        if depth < 3 and draw(st.integers(0, 2)) == 0:
            inner = draw(blocks(indent + draw(st.integers(1, 4)), depth + 1))
            lines.append(" " * indent + start + comment + "\n" + inner)
        else:
            value = draw(st.one_of(flow, st.sampled_from(SCALARS)))
            # A comment inside of a value of several lines would be text, or end it.
            lines.append(" " * indent + f"{start} {value}" + ("" if "\n" in value else comment))
    return "\n".join(lines)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(blocks(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "---\n", "# c\n\n"]))
def test_any_document_agrees_with_omegaconf(text, newline, head):
    assert agrees((head + text + "\n").replace("\n", newline))


@settings(deadline=None, derandomize=True, max_examples=400)
@given(blocks(), st.data())
def test_a_damaged_document_is_read_alike_or_refused(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 2))
        text = (
            text[:at]
            + data.draw(st.sampled_from(list("ab:-?[]{},'\"#|>&*! \n\t%@`\\\x00\ufeff")))
            + text[at + cut :]
        )
    agrees(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DATA)))
def test_real_files_are_read_as_omegaconf_reads_them(file):
    refused = ("duplicate key", "is set twice, first on line")
    expected, data = outcome(omegaconf_reads, file), outcome(lambda file: read_document(file).data, file)
    assert same(data, expected) or (refused[0] in str(expected) and refused[1] in str(data))


def omegaconf_reads(file):
    return yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER) or {}


def outcome(reader, file):
    try:
        return reader(file)
    except (yaml.YAMLError, DocumentError) as error:
        return error


def test_there_are_real_files():
    assert len(FILES) >= 33
