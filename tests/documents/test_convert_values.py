"""Values that the two formats write differently, and those that one of them has no way to say."""

import math
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from omegaconf._utils import get_yaml_loader

from pettingllms.documents.convert import convert, prove
from pettingllms.documents.read import parse_document


def conversion_of(text, name):
    return convert(parse_document(text, Path(name)), "yaml" if name.endswith("toml") else "toml")


def to_toml(text):
    conversion = conversion_of(text, "x.yaml")
    assert prove(conversion) == []
    return conversion.text


def to_yaml(text):
    conversion = conversion_of(text, "x.toml")
    assert prove(conversion) == []
    return conversion.text


@pytest.mark.parametrize("number", ["5e-6", "1e5", "1_000", "0x1F", "0b101", "-7", "+3", "1.50", "6.02E+23"])
def test_number_keeps_its_spelling(number):
    assert to_toml(f"a: {number}\n") == f"a = {number}\n"
    assert to_yaml(f"a = {number}\n") == f"a: {number}\n"


@pytest.mark.parametrize(
    ("yaml_text", "toml_text"),
    [
        ("0.", "0.0"),
        (".5", "0.5"),
        ("017", "15"),
        ("1:30", "90"),
        (".inf", "inf"),
        ("-.INF", "-inf"),
        (".nan", "nan"),
    ],
)
def test_number_that_toml_writes_otherwise_is_normalised(yaml_text, toml_text):
    conversion = conversion_of(f"# one\na: {yaml_text}\n", "x.yaml")
    assert conversion.text == f"# one\na = {toml_text}\n"
    assert conversion.ledger.normalised == [(2, f"{yaml_text} is written {toml_text}")]


def test_number_that_yaml_writes_otherwise_is_normalised():
    assert to_yaml("a = 0o17\nb = 1e1_0\nc = +inf\n") == "a: 15\nb: 10000000000.0\nc: .inf\n"


def test_infinity_and_nan_stay_what_they_are():
    data = tomllib.loads(to_toml("a: -.inf\nb: .NaN\n"))
    assert data["a"] == -math.inf
    assert math.isnan(data["b"])


def test_null_is_a_table_in_toml_and_null_in_yaml():
    assert to_toml("a:\nb: ~\nc: [null, 1]\n") == (
        "a = { null = true }\nb = { null = true }\nc = [{ null = true }, 1]\n"
    )
    assert to_yaml("a = { null = true }\n\n[b]\nnull = true\n") == "a: null\nb: null\n"
    assert to_toml('a: {"null": true}\n') == "a = { null = true }\n"


def test_ledger_counts_what_was_kept():
    ledger = conversion_of("# c\na: ~\nb: ${x}  # d\nl: [1, '${oc.env:Y}']\n", "x.yaml").ledger
    assert (ledger.values, ledger.nulls, ledger.references, ledger.comments) == (4, 1, 2, 2)
    assert (ledger.normalised, ledger.refused) == ([], [])


TEXTS = [
    "on",
    "No",
    "null",
    "~",
    "1e-6",
    "017",
    "0x1F",
    "12:30:45",
    "=",
    "<<",
    "a:\\sb",
    "a\\s#b",
    "#a",
    "-\\sa",
    "-",
    "?",
    "!x",
    "&x",
    "*x",
    "%x",
    "@x",
    "`x",
    "'x'",
    '"x"',
    "{x}",
    "[x]",
    "x:",
    "---",
    "...",
    ".inf",
    "1_0",
    "\\s",
    "\\sa",
    "a\\s",
    "\\t",
    "a\\tb",
    "a\\nb",
    "\\n",
    "\\na\\n",
    "\\s\\sa\\nb\\n",
    "a\\n\\n",
    "\\0\\e",
    "\\d",
    "\\u",
    "é日本",
    "😀",
    "a\\\\b",
    "a\"b'c\\\\d",
    "'''",
    '"""',
    "a\\n\"\"\"\\n\\\\'''",
    "a\\r\\nb",
    "2024-10-15",
    "None",
    "${a.b}",
    "${a:b,\\sc}",
]
SIGNS = {
    "s": " ",
    "t": "\t",
    "n": "\n",
    "r": "\r",
    "0": "\0",
    "e": "\x1b",
    "d": "\x7f",
    "u": "\u2028",
    "\\": "\\",
}


@pytest.mark.parametrize("spelled", ["", *TEXTS])
def test_text_stays_text(spelled):
    text = re.sub(r"\\(.)", lambda found: SIGNS[found.group(1)], spelled)
    quoted = _quoted(text)
    expected = {"a": text, "l": [text], "m": [text], text: 1}
    written = to_yaml(f"a = {quoted}\nl = [{quoted}]\nm = [\n  {quoted},\n]\n{quoted} = 1\n")
    assert yaml.load(written, Loader=get_yaml_loader()) == expected
    assert tomllib.loads(to_toml(written)) == expected
    assert tomllib.loads(to_toml(f"a: {quoted}\nl: [{quoted}]\nm:\n- {quoted}\n{quoted}: 1\n")) == expected


def _quoted(text):
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


def test_text_of_several_lines_is_readable_in_both_formats():
    toml = 'a = """\nYou are\n  a "coder".\n"""\nb = \'\'\'\none\\\ntwo\'\'\'\n'
    yaml_text = 'a: |\n  You are\n    a "coder".\nb: |-\n  one\\\n  two\n'
    assert to_yaml(toml) == yaml_text
    assert to_toml(yaml_text) == toml


def test_keys_keep_their_order_within_plain_keys_and_within_tables():
    toml = to_toml("z: 1\nt: {x: 1}\nb:\n  k: 1\na: 2\nc:\n  k: 1\n")
    assert toml == "z = 1\nt = { x = 1 }\na = 2\n\n[b]\nk = 1\n\n[c]\nk = 1\n"


def test_lists_keep_their_shape():
    toml = "a = [1, 2]\nb = [\n  1,\n  2,\n]\n"
    toml += 'c = [\n  { "x@y" = "eval" },\n  "_self_",\n  { d = 1, e = 2 },\n]\n'
    yaml_text = "a: [1, 2]\nb:\n- 1\n- 2\nc:\n- x@y: eval\n- _self_\n- {d: 1, e: 2}\n"
    assert to_yaml(toml) == yaml_text
    assert to_toml(yaml_text) == toml


def test_list_of_mappings_becomes_a_list_of_tables():
    yaml_text = "l:\n- a: 1\n  b:\n    c: 2\n- a: 3\nm:\n  n: 1\n"
    toml = "[[l]]\na = 1\n\n[l.b]\nc = 2\n\n[[l]]\na = 3\n\n[m]\nn = 1\n"
    assert to_toml(yaml_text) == toml
    assert to_yaml(toml) == yaml_text


def test_sweep_is_one_line_whatever_its_shape_was():
    yaml_text = (
        "lr:\n  sweep: choice\n  values:\n  - 1e-6\n  - 5e-6\n  default: 1e-6\nsweep:\n  sampler: grid\n"
    )
    toml = 'lr = { sweep = "choice", values = [1e-6, 5e-6], default = 1e-6 }\n\n[sweep]\nsampler = "grid"\n'
    assert to_toml(yaml_text) == toml


def test_dotted_keys_become_tables():
    assert to_yaml("a.b.c = 1\nz = 2\n[a.d]\ne = 1\n") == "z: 2\na:\n  b:\n    c: 1\n  d:\n    e: 1\n"


def test_tables_out_of_order_are_brought_together():
    assert to_yaml("[a.b]\nx = 1\n[c]\ny = 1\n[a]\nz = 1\n") == "a:\n  z: 1\n  b:\n    x: 1\nc:\n  y: 1\n"


def test_aliases_merges_anchors_tags_and_markers_are_written_out_and_noted():
    text = "---\nbase: &b {x: 1e-6, y: [1]}\na:\n  <<: *b  # merged\n  y: 2\nc: *b\nd: !!str 5\n"
    conversion = conversion_of(text, "x.yaml")
    assert prove(conversion) == []
    assert tomllib.loads(conversion.text) == {
        "base": {"x": 1e-6, "y": [1]}, "a": {"x": 1e-6, "y": 2}, "c": {"x": 1e-6, "y": [1]}, "d": "5"
    }  # fmt: skip
    assert "# merged" in conversion.text
    assert [line for line, _ in conversion.ledger.normalised] == [1, 2, 4, 6, 7, 7]


def test_line_ends_and_byte_order_mark_stay():
    document = parse_document("a: |\r\n  x\r\n  y\r\n# c\r\nb: 1\r\n", Path("x.yaml"), bom=True)
    text = convert(document, "toml").text
    assert text == '\ufeffa = """\r\nx\r\ny\r\n"""\r\n# c\r\nb = 1\r\n'
    back = convert(parse_document(text[1:], Path("x.toml"), bom=True), "yaml").text
    assert back == "\ufeff" + document.text


@pytest.mark.parametrize("value", ["2024-10-15", "12:30:00", "2024-10-15T12:30:00Z"])
def test_date_is_refused_with_its_place(value):
    conversion = conversion_of(f"x = 1\n[a]\nb = [{value}]\n", "x.toml")
    assert conversion.text is None
    (finding,) = conversion.ledger.refused
    assert (finding.place.span.line, finding.place.span.column) == (3, 6)
    assert finding.message.startswith("a.b.0 is a ")
    assert finding.help == "write it as text, in quotes"


def test_key_that_would_become_the_first_one_and_make_a_sweep_keeps_its_place():
    assert (
        to_toml("a:\n  b:\n    c: 1\n  # about it\n  sweep: 2\n")
        == "# about it\na = { b = { c = 1 }, sweep = 2 }\n"
    )


def test_comment_that_yaml_would_break_is_refused_with_its_place():
    conversion = conversion_of("a = 1\nb = 2 # x\u2028y\n", "x.toml")
    (finding,) = conversion.ledger.refused
    assert (finding.place.span.line, finding.place.span.column) == (2, 10)
