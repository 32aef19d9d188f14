"""YAML texts that are refused: what is said, where, and that nothing else than a finding leaves."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.documents.read import parse_document
from pettingllms.documents.source import DocumentError
from pettingllms.documents.yaml_builder import MAX_EXPANDED, MAX_VALUES


def fault(text):
    with pytest.raises(DocumentError) as caught:
        parse_document(text, Path("x.yaml"))
    return caught.value.finding


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a:\n\tb: 1", 2, 1, "YAML is indented with spaces"),
        ("a:\n  b: 1\n \tc: 2", 3, 2, "YAML is indented with spaces"),
        ("a:\t1", 1, 3, "a tab stands here"),
        ("a:\n  b: 1\n c: 2", 3, 2, "the indentation fits no line above (expected <block end>, found a key)"),
        ("a:\n  - b\n c: 1", 3, 2, "(expected <block end>, found a key)"),
        ("a: 1\n- b", 2, 1, "(expected <block end>, found an item of a list)"),
        ("a: b: c", 1, 5, "mapping values are not allowed here"),
        ("a: 1\n  b: 2", 2, 4, "mapping values are not allowed here"),
        ("a: - b", 1, 4, "sequence entries are not allowed here"),
        ("a: ? b", 1, 4, "mapping keys are not allowed here"),
        ("a: 1\nb\nc: 2", 2, 1, "could not find expected ':' after this key"),
        ("a: 'x\nb: 1\n", 1, 4, "this ' is never closed"),
        ('a: "x\n---\n', 1, 4, 'this " is never closed'),
        ("a: [1,\nb", 1, 4, "this [ is never closed"),
        ("a: {b: 1", 1, 4, "this { is never closed"),
        ("a: [1, 2\nb: 3", 2, 2, "expected ',' or ']' for the [ of line 1"),
        ("a: {x: 1]", 1, 9, "expected ',' or '}' for the { of line 1"),
        ("a: {b:,c}", 1, 6, "a colon between brackets wants a space behind it"),
        ("a: ]", 1, 4, "a value is expected here, found ]"),
        ("a: 'b' c", 1, 8, "nothing may follow the value that ends here"),
        ("a: [b] c", 1, 8, "nothing may follow the value that ends here"),
        ("a: @b", 1, 4, "no value begins with @"),
        ("a: `b`", 1, 4, "no value begins with `"),
        ("a: %b", 1, 4, "no value begins with %"),
        ('a: "\\q"', 1, 6, "this is no escape of double-quoted text"),
        ('a: "\\x4"', 1, 7, "hexadecimal digits are missing"),
        ('a: "\\ud83d\\ude00"', 1, 4, "no character (U+D800 to U+DFFF)"),
        ("a: |x\n  y", 1, 4, "only + or - and a digit from 1 to 9 may follow |"),
        ("a: > # c\n  y\nz", 3, 1, "could not find expected ':'"),
        ("a: |\n \n   y", 3, 4, "a blank line above this text has spaces in it"),
        ("a: *b", 1, 4, "no anchor &b stands above this"),
        ("a: *b.c", 1, 4, "make the name of an anchor"),
        ("a: * b", 1, 4, "a name is expected after *"),
        ("a: &b\n  c: *b", 2, 6, "*b stands inside of &b"),
        ("a: !b 1", 1, 4, "the tag !b has no meaning on a plain value here"),
        ("a: !!python/object:x.y {}", 1, 4, "the tag !!python/object:x.y has no meaning on a mapping"),
        ("a: !!set {b}", 1, 4, "the tag !!set has no meaning"),
        ("a: !!timestamp 2024-10-15", 1, 4, "the tag !!timestamp has no meaning"),
        ("a: !!binary eA==", 1, 4, "the tag !!binary has no meaning"),
        ("a: !!int [1]", 1, 4, "the tag !!int has no meaning on a list"),
        ("a: ! 1", 1, 4, "the tag ! has no meaning"),
        ("a: !b!c 1", 1, 4, "this tag's prefix has no meaning"),
        ("a: !!int x", 1, 10, "this is not a whole number: x"),
        ("a: !!float ''", 1, 12, "this is not a number"),
        ("a: !!bool 1", 1, 11, "this is not true or false: 1"),
        ("a: !!null 1", 1, 11, "this is not null: 1"),
        ("a: 0x_", 1, 4, "this is not a whole number: 0x_"),
        ("a: [1, 9223372036854775808]", 1, 8, "this whole number does not fit in 64 bits"),
        ("a: " + "9" * 5000, 1, 4, "this whole number does not fit in 64 bits"),
        ("a: 1" + ":10" * 5000, 1, 4, "this whole number does not fit in 64 bits"),
        ("a: <<", 1, 4, "<< stands for no value here"),
        ("a: [=]", 1, 5, "= stands for no value here"),
        ("a:\n  <<: 1", 2, 7, "<< merges a mapping, or a list of mappings"),
        ("a: &a [1]\nb:\n  <<: *a", 1, 8, "<< merges a mapping, or a list of mappings"),
        ("a: 1\nb: 2\n'a': 3", 3, 1, "a is set twice, first on line 1"),
        ("x:\n  a: 1\n  b: {c: 1,\n    c: 2}", 4, 5, "x.b.c is set twice, first on line 3"),
        ("a:\n- b: 1\n- 'c.d':\n    e: 1\n    e: 2", 5, 5, 'a.1."c.d".e is set twice, first on line 4'),
        ("1: a", 1, 1, "keys are text, and 1 is a number"),
        ("a: {1e-6: a}", 1, 5, "keys are text, and 1e-6 is a number"),
        ("on: a", 1, 1, "keys are text, and on is a boolean"),
        ("null: a", 1, 1, "keys are text, and null is null"),
        (": a", 1, 1, "keys are text, and an empty key is null"),
        ("? [a]\n: b", 1, 3, "a key is text, no list or mapping"),
        ("a: {{b}}", 1, 5, "a key is text, no list or mapping"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins here"),
        ("a: 1\n...\nb: 2", 3, 1, "a second document begins here"),
        ("# c\n%YAML 1.2\n---\na: 1", 2, 1, "lines that begin with % are directives"),
        ("- 1\n- 2", 1, 1, "the file holds a list and no keys"),
        ("a b", 1, 1, "the file holds a single value and no keys"),
        ("a: 1\n# \x00", 2, 3, "a NUL byte may not stand in a text file"),
        ("a: \x85", 1, 4, "U+0085 ends a line in some YAML readers"),
        ("a: 'x\u2028y'", 1, 6, "U+2028 ends a line in some YAML readers"),
        ("a: 1\rb: 2", 1, 5, "U+000D ends a line in some YAML readers"),
        ("a: " + "[" * 10_000, 1, 68, "nested more than 64 levels deep"),
        ("- " * 10_000, 1, 131, "nested more than 64 levels deep"),
        ("".join(" " * depth + "a:\n" for depth in range(10_000)), 65, 65, "nested more than 64 levels deep"),
    ],
)
def test_a_fault_has_its_place_and_our_words(text, line, column, words):
    finding = fault(text)
    assert words in finding.message
    assert (finding.place.span.line, finding.place.span.column) == (line, column)
    assert finding.code == "PLM001"
    assert "\n" not in finding.message
    assert "while " not in finding.message


def test_the_help_of_a_key_that_is_no_text_quotes_it():
    assert fault("on: 1").help == 'quote it: "on"'


@pytest.mark.parametrize("text", ["", "\n", "# c\n", "---\n", "---\n...\n", "null\n", "\ufeff# c\n", "{}"])
def test_an_empty_file_is_an_empty_document(text):
    assert parse_document(text, Path("x.yaml")).data == {}


def test_64_levels_are_read():
    data = parse_document("a: " + "[" * 63 + "]" * 63, Path("x.yaml")).data
    for _ in range(63):
        data = data["a"] if isinstance(data, dict) else data[0]
    assert data == []


def test_aliases_that_nest_too_deep_are_refused():
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 70))
    assert fault(text).message == "aliases nest values more than 64 levels deep"


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: *a{n - 1}\n  x{n}: 1\n" for n in range(1, 3000)),
    ],
    ids=["lists", "merges"],
)
def test_expansion_is_bounded(text):
    assert fault(text).message == f"the aliases of this file stand for more than {MAX_EXPANDED:,} values"


def test_the_number_of_values_is_bounded():
    assert f"{MAX_VALUES:,} values" in fault("a: [" + "1," * MAX_VALUES + "]").message


def test_twenty_thousand_lines_and_a_line_of_a_megabyte_are_read():
    text = "".join(f"k{n}:\n  lr: 5e-6  # c\n  l: [1, x]\n  t: some text\n" for n in range(5000))
    document = parse_document(text, Path("x.yaml"))
    assert len(document.data) == 5000
    assert document.spans["k4999", "t"][1].line == 20_000
    assert len(parse_document("a: " + "x " * 500_000, Path("x.yaml")).data["a"]) == 999_999


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.text(alphabet="ab:-?[]{},'\"#|>&*!%@`\\ \n\r\t\x00\x85\u2028\ufeffé1~<=x", max_size=40))
def test_any_text_is_a_document_or_a_placed_fault(text):
    try:
        document = parse_document(text, Path("x.yaml"))
    except DocumentError as error:
        span = error.finding.place.span
        lines = text.removeprefix("\ufeff").split("\n")
        assert 1 <= span.line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 2
        return
    assert isinstance(document.data, dict)
