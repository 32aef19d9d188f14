"""Fixes in texts: exactly the lines that they are about change, and nothing is lost."""

import random
import re
from difflib import ndiff
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.count_comments import toml_comments, yaml_comments
from pettingllms.documents.convert import convert
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import Change, DocumentError, Fix, Span
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.fixes import FixResult, fix_file, fixed_text, placed_fix

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/cases/invalid"
TOML, YAML = Path("x.toml"), Path("x.yaml")


def path(dotted):
    return tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))


def put(where, value):
    return Change("set", path(where), value)


def rename(where, key):
    return Change("rename", path(where), to=(*path(where)[:-1], key))


def move(where, to):
    return Change("move", path(where), to=path(to))


def remove(where):
    return Change("remove", path(where))


def applied(text, *changes, file=TOML, package=()):
    """The text after one fix for each change, and how many of them it took."""
    fixes = [Fix(str(number), (change,)) for number, change in enumerate(changes)]
    after, done = fixed_text(parse_document(text, file), fixes, package)
    return after, len(done)


def changed_lines(before, after):
    """The lines that went and came, in order, with their marks."""
    lines = ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\r\n") for line in lines if line[0] in "+-"]


TOML_TEXT = """\
#:schema x
# What opens the file.

steps = "8" # how many

# about the tasks
[env] # the task
turns = 0x10 # hexadecimal
# lists stay
names = [
  "a", # first
  "b",
]

  # indented
  [train]
  lr = 1e-6 # careful
  day = 2024-10-15 # a day
  inline = { one = 1, two = 2 } # both
  # the block
  # of two lines
  deep.x = 3 # dotted

[train.sub] # sub
y = '''
# no comment
'''
"""
YAML_TEXT = """\
# What opens the file.

steps: "8" # how many

# about the tasks
env: # the task
  turns: 0x10 # hexadecimal
  # lists stay
  names:
    - a # first
    - b

train:
  lr: 1e-6 # careful
  shown: &anchor yes # switched
  flow: {one: 1, two: 2} # both
  # the block
  # of two lines
  text: |
    # no comment
    line
  sub: # sub
    y: 017
"""

STEPS = {
    "set keeps the comment": (put("steps", 16), ['-steps = "8" # how many', "+steps = 16 # how many"]),
    "set takes the quotes off": (put("steps", 8), ['-steps = "8" # how many', "+steps = 8 # how many"]),
    "set quotes as spelled": (
        put("env.turns", "16"),
        ["-turns = 0x10 # hexadecimal", '+turns = "0x10" # hexadecimal'],
    ),
    "set quotes a day": (
        put("train.day", "2024-10-15"),
        ["-  day = 2024-10-15 # a day", '+  day = "2024-10-15" # a day'],
    ),
    "set another text": (
        put("env.turns", "many"),
        [
            "-turns = 0x10 # hexadecimal",
            '+turns = "many" # hexadecimal',
        ],
    ),
    "set makes a list": (put("train.lr", [1e-6]), ["-  lr = 1e-6 # careful", "+  lr = [1e-6] # careful"]),
    "set makes a list of a text": (
        put("steps", ["8"]),
        ['-steps = "8" # how many', '+steps = ["8"] # how many'],
    ),
    "set an item": (put("env.names.0", "c"), ['-  "a", # first', '+  "c", # first']),
    "set adds": (put("env.new", 1), ["+new = 1"]),
    "remove": (remove("train.lr"), ["-  lr = 1e-6 # careful"]),
    "remove an item": (remove("env.names.1"), ['-  "b",']),
    "rename": (rename("train.lr", "rate"), ["-  lr = 1e-6 # careful", "+  rate = 1e-6 # careful"]),
    "rename inside brackets": (
        rename("train.inline.one", "eins"),
        [
            "-  inline = { one = 1, two = 2 } # both",
            "+  inline = { eins = 1, two = 2 } # both",
        ],
    ),
    "rename a part of a dotted key": (
        rename("train.deep", "d p"),
        [
            "-  deep.x = 3 # dotted",
            '+  "d p".x = 3 # dotted',
        ],
    ),
    "rename a section": (
        rename("train", "run"),
        [
            "-  [train]",
            "+  [run]",
            "-[train.sub] # sub",
            "+[run.sub] # sub",
        ],
    ),
    "move to a section": (
        move("train.lr", "env.rate"),
        [
            "+rate = 1e-6 # careful",
            "-  lr = 1e-6 # careful",
        ],
    ),
    "move with comments": (
        move("env.names", "train.sub.names"),
        [
            "-# lists stay",
            "-names = [",
            '-  "a", # first',
            '-  "b",',
            "-]",
            "+# lists stay",
            "+names = [",
            '+  "a", # first',
            '+  "b",',
            "+]",
        ],
    ),
    "move to a new section": (
        move("env.turns", "other.part.turns"),
        [
            "-turns = 0x10 # hexadecimal",
            "+",
            "+[other.part]",
            "+turns = 0x10 # hexadecimal",
        ],
    ),
    "move a dotted key": (
        move("train.deep.x", "env.x"),
        [
            "+# the block",
            "+# of two lines",
            "+x = 3 # dotted",
            "-  # the block",
            "-  # of two lines",
            "-  deep.x = 3 # dotted",
        ],
    ),
    "move out of brackets": (
        move("train.inline.two", "env.two"),
        [
            "+two = 2",
            "-  inline = { one = 1, two = 2 } # both",
            "+  inline = { one = 1 } # both",
        ],
    ),
    "move into brackets": (move("env.turns", "train.inline.three"), None),
    "move a section": (move("train.sub", "env.sub"), ["-[train.sub] # sub", "+[env.sub] # sub"]),
    "move from the root": (
        move("steps", "env.steps"),
        [
            '-steps = "8" # how many',
            "-",
            '+steps = "8" # how many',
        ],
    ),
    "set in the way of a section": (put("steps.more", 1), None),
    "rename to what is there": (rename("train.lr", "day"), None),
    "rename of what is not there": (rename("train.lrr", "rate"), None),
    "move to what is there": (move("train.lr", "env.turns"), None),
    "move below itself": (move("train", "train.sub.train"), None),
    "move into a value": (move("train.lr", "steps.lr"), None),
    "remove of what is not there": (remove("train.none"), None),
    "set that would lose comments": (put("env.names", ["z"]), None),
}
YAML_STEPS = {
    "set takes the quotes off": (put("steps", 8), ['-steps: "8" # how many', "+steps: 8 # how many"]),
    "set quotes as spelled": (
        put("env.turns", "16"),
        ["-  turns: 0x10 # hexadecimal", '+  turns: "0x10" # hexadecimal'],
    ),
    "set quotes octal": (put("train.sub.y", "15"), ["-    y: 017", '+    y: "017"']),
    "set makes a list": (put("train.lr", [1e-6]), ["-  lr: 1e-6 # careful", "+  lr: [1e-6] # careful"]),
    "set an item": (put("env.names.0", "c"), ["-    - a # first", "+    - c # first"]),
    "remove": (remove("train.lr"), ["-  lr: 1e-6 # careful"]),
    "rename": (rename("train.lr", "rate"), ["-  lr: 1e-6 # careful", "+  rate: 1e-6 # careful"]),
    "rename inside brackets": (
        rename("train.flow.one", "eins"),
        [
            "-  flow: {one: 1, two: 2} # both",
            "+  flow: {eins: 1, two: 2} # both",
        ],
    ),
    "rename a section": (rename("train", "run"), ["-train:", "+run:"]),
    "move to a section": (move("train.lr", "env.rate"), ["+  rate: 1e-6 # careful", "-  lr: 1e-6 # careful"]),
    "move with comments": (
        move("env.names", "train.sub.names"),
        [
            "-  # lists stay",
            "-  names:",
            "-    - a # first",
            "-    - b",
            "+    # lists stay",
            "+    names:",
            "+      - a # first",
            "+      - b",
        ],
    ),
    "move a block of text": (
        move("train.text", "text"),
        [
            "-  # the block",
            "-  # of two lines",
            "-  text: |",
            "-    # no comment",
            "-    line",
            "+# the block",
            "+# of two lines",
            "+text: |",
            "+  # no comment",
            "+  line",
        ],
    ),
    "move to a new section": (
        move("env.turns", "other.part.turns"),
        [
            "-  turns: 0x10 # hexadecimal",
            "+",
            "+other:",
            "+  part:",
            "+    turns: 0x10 # hexadecimal",
        ],
    ),
    "move out of brackets": (
        move("train.flow.two", "env.two"),
        [
            "+  two: 2",
            "-  flow: {one: 1, two: 2} # both",
            "+  flow: {one: 1} # both",
        ],
    ),
    "move a section": (
        move("train.sub", "env.sub"),
        [
            "+  sub: # sub",
            "+    y: 017",
            "-  sub: # sub",
            "-    y: 017",
        ],
    ),
    "move the only key": (
        move("train.sub.y", "env.y"),
        [
            "+  y: 017",
            "-  sub: # sub",
            "-    y: 017",
            "+  sub: {} # sub",
        ],
    ),
    "move into brackets with a comment": (move("env.turns", "train.flow.three"), None),
    "move to what is there": (move("train.lr", "env.turns"), None),
    "rename to what is there": (rename("train.lr", "shown"), None),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    ("file", "text", "change", "expected"),
    [
        *(pytest.param(TOML, TOML_TEXT, *step, id=f"toml {name}") for name, step in STEPS.items()),
        *(pytest.param(YAML, YAML_TEXT, *step, id=f"yaml {name}") for name, step in YAML_STEPS.items()),
    ],
)
def test_a_fix_changes_exactly_its_lines(file, text, change, expected, end):
    text = text.replace("\n", end)
    after, done = applied(text, change, file=file)
    lines = [line[0] + line[2:] for line in changed_lines(text, after)]
    assert sorted(lines) == sorted(expected or [])
    assert done == (expected is not None)
    assert "\r" not in after.replace("\r\n", "") and after.count("\n") == after.count(end)
    count = toml_comments if file == TOML else yaml_comments
    if change.kind != "remove":
        assert count(after) == count(text)


def test_a_comment_block_goes_with_its_key_to_its_place():
    head, block, rest = "# head\n\n[a]\nx = 1\n", "# about y\n#\n# more\n", "[ # open\n  1, # one\n] # end\n"
    section = "\n# about b\n[b]\nz = 1 # z\n"
    after, _ = applied(f"{head}{block}y = {rest}{section}", move("a.y", "b.w"))
    assert after == f"{head}{section}{block}w = {rest}"


def test_what_opens_a_file_stays_there():
    assert applied("# head\ny = 1\nx = 1\n", move("y", "b.y"))[0] == "# head\nx = 1\n\n[b]\ny = 1\n"
    assert applied("# head\ny: 1\nx: 1\n", move("y", "b.y"), file=YAML)[0] == "# head\nx: 1\nb:\n  y: 1\n"


def test_comments_of_another_indentation_stay():
    text = "a:\n  x: 1\n  # about a\ny: 1\nb:\n  z: 1\n"
    assert applied(text, move("y", "b.y"), file=YAML)[0] == "a:\n  x: 1\n  # about a\nb:\n  z: 1\n  y: 1\n"


def test_comments_below_a_section_go_with_it():
    text = "a:\n  s:\n    x: 1\n    # end of s\n  # about t\n  t: 1\nb:\n  z: 1\n"
    assert applied(text, move("a.s", "b.s"), file=YAML)[0] == (
        "a:\n  # about t\n  t: 1\nb:\n  z: 1\n  s:\n    x: 1\n    # end of s\n"
    )


@pytest.mark.parametrize("text", ["x = 1\n[a]\nk = 1", "[a]\nk = 1\n[b]\nz = 1\nx = 1"])
def test_a_missing_last_line_end_stays_missing(text):
    for to in ("a.x", "c.x"):
        where = "x" if text.startswith("x") else "b.x"
        after, done = applied(text, move(where, to))
        assert done == 1 and not after.endswith("\n")
    assert applied("x = 1", rename("x", "y"))[0] == "y = 1"
    assert applied("a = 1\nx = 1", remove("x"))[0] == "a = 1"
    assert applied("a: 1\nx: 1", remove("x"), file=YAML)[0] == "a: 1"


def test_a_byte_order_mark_is_told_of(tmp_path):
    file = tmp_path / "x.toml"
    file.write_bytes(b'\xef\xbb\xbfformat = "1"\r\n')
    result = fix_file(file, lambda text: check_experiment(file, text=text), unsafe=False)
    assert (result.bom, result.after) == (True, "format = 1\r\n")


ALIASES = "a: &x 1\nb: *x\nc:\n  <<: {d: 2}\n  e: 3\n"


@pytest.mark.parametrize(
    "change",
    [put("a", 2), move("a", "c.a"), rename("c.d", "f"), put("c.d", 5), move("c.d", "d"), remove("a")],
    ids=lambda change: f"{change.kind} {change.path}",
)
def test_a_shared_value_is_changed_nowhere_else(change):
    after, done = applied(ALIASES, change, file=YAML)
    data = parse_document(after, YAML).data
    if done:
        assert {k: v for k, v in data.items() if k not in ("a", "c", "d")} == {"b": 1}
    else:
        assert after == ALIASES


def test_no_comment_inside_of_a_list_is_lost():
    text = "b: # c\n  - x: 1 # d\n    y: 2\n  -\n    z: 3 # e\n"
    for change in (put("b.0", 1), put("b.1.z", {"u": 1}), put("b", 1), put("b.0.x", [1])):
        assert applied(text, change, file=YAML) == (text, 0)
    assert applied(text, put("b.0.x", 4), file=YAML) == (text.replace("x: 1", "x: 4"), 1)


def test_one_thing_is_fixed_once_and_later_fixes_wait():
    text = 'a = "1"\nb = "2"\n'
    assert applied(text, put("a", 1), put("a", 2), put("b", 2)) == ("a = 1\nb = 2\n", 2)
    assert applied(text, rename("a", "c"), rename("b", "c")) == ('c = "1"\nb = "2"\n', 1)
    assert applied("l = [1, 2, 3]\n", remove("l.0"), remove("l.1")) == ("l = [2, 3]\n", 1)
    assert applied("l = [1, 2, 3]\n", put("l.0", 7), put("l.1", 8)) == ("l = [7, 8, 3]\n", 2)


def test_a_fix_is_whole_or_none():
    document = parse_document("a = 1\nb = 2\n", TOML)
    good, bad = Fix("", (put("a", 3), rename("b", "c"))), Fix("", (put("a", 3), rename("b", "a")))
    assert fixed_text(document, [bad, good]) == ("a = 3\nc = 2\n", [good])


def stretch(text, words, value):
    start = text.index(words)
    line, column = text.count("\n", 0, start) + 1, start - (text.rfind("\n", 0, start) + 1) + 1
    end = (line + 1, 1) if words.endswith("\n") else (line, column + len(words))
    return Change("text", value=value, span=Span(line, column, *end))


def test_stretches_are_those_of_the_first_text():
    text = "a: yes # one\nb: [on, off]\nc: 017\nd: None\n"
    changes = [stretch(text, "yes", "true"), put("c", "15"), stretch(text, "on,", "true,"), rename("a", "e")]
    more = [stretch(text, "off", "false"), stretch(text, "017", "15"), stretch(text, "None", "null")]
    assert applied(text, *changes, *more, file=YAML) == (
        'a: true # one\nb: [on, false]\nc: "017"\nd: null\n',
        4,
    )


@pytest.mark.parametrize(
    "change",
    [
        stretch("a: yes # one\n", "yes # one", "yes"),
        stretch("a: yes # one\n", "yes", "true\nb: 1"),
        stretch("a: yes # one\n", "a", "b"),
        stretch("a: yes # one\n", "yes", "[true"),
    ],
)
def test_a_stretch_changes_its_value_and_nothing_else(change):
    assert applied("a: yes # one\n", change, file=YAML) == ("a: yes # one\n", 0)


def test_a_stretch_of_a_comment_may_go():
    text = 'a = "#1" # one # two\n# three\nb = 2\n'
    changes = [stretch(text, "# three\n", ""), stretch(text, " # two", "")]
    assert applied(text, *changes) == ('a = "#1" # one\nb = 2\n', 2)
    assert applied(text, stretch(text, '1" # one', '1"')) == (text, 0)


def test_paths_are_those_of_the_file_below_its_package():
    text, package = "[optim]\nlr = 1\n", ("models", "m")
    assert applied(text, put("models.m.optim.lr", 2), package=package) == ("[optim]\nlr = 2\n", 1)
    assert applied(text, put("models.n.optim.lr", 2), package=package) == (text, 0)
    outside = move("models.m.optim.lr", "models.lr")
    assert applied(text, outside, package=package) == (text, 0)


def test_references_and_swept_values_are_not_written_over():
    text = 'a = "${b}"\nc = { sweep = "choice", values = ["1"], default = "1" }\n'
    assert applied(text, put("a", 1), put("c", 1)) == (text, 0)
    assert applied(text, put("a", "${.b}"))[0].startswith('a = "${.b}"\n')


def found(text, where, fix, words, severity=Severity.ERROR, code="PLM102", file="x.toml"):
    """A diagnostic placed at `words` of `text`."""
    span = stretch(text, words, "").span
    return Diagnostic(code, severity, "", file, span.line, span.column, where, None, span.end_column, "", fix)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        ('"1"', [put("lr.values.0", 1), put("lr.default", 1)]),
        ('"2"', [put("lr.values.1", 1)]),
        ("{ sweep", None),
        ("9", None),
    ],
)
def test_a_swept_value_is_mended_where_it_is_listed(value, changes):
    text = 'lr = { sweep = "choice", values = ["1", "2"], default = "1" }\nother = 9\n'
    diagnostic = found(text, "lr", Fix("", (put("lr", 1),)), value)
    fix = placed_fix(parse_document(text, TOML), diagnostic)
    assert (fix and list(fix.changes)) == changes


def test_a_value_that_stands_elsewhere_is_left_alone():
    text = 'base = "8"\nsteps = "${base}"\n[copy]\n'
    document = parse_document(text, TOML)
    for where, words in (("steps", '"${base}"'), ("copy.base", '"8"'), ("base", '"${base}"')):
        fix = placed_fix(document, found(text, where, Fix("", (put(where, 8),)), words))
        assert fix is None or fixed_text(document, [fix]) == (text, [])


def test_a_value_under_an_old_key_waits_for_the_key():
    text = 'old = "8"\n'
    document = parse_document(text, TOML)
    fix = Fix("", (put("new", 8),))
    assert placed_fix(document, found(text, "old", fix, '"8"', code="PLM005")) is None
    assert placed_fix(document, found(text, "old", fix, '"8"', code="PLM306")) == fix


def test_a_value_swept_in_another_place_is_mended_there():
    text = '[sweep.space]\n"a.b" = { sweep = "choice", values = ["1", 2], default = 2 }\n[a]\nb = 2\n'
    fix = placed_fix(parse_document(text, TOML), found(text, "a.b", Fix("", (put("a.b", 1),)), '"1"'))
    assert [change.path for change in fix.changes] == [("sweep", "space", "a.b", "values", 0)]


class Lint:
    """A check that finds each of some words, with a fix."""

    def __init__(self, words):
        self.words = words

    def __call__(self, text):
        diagnostics = [
            found(text, word, fix, word, *more) for word, (fix, *more) in self.words.items() if word in text
        ]
        return SimpleNamespace(diagnostics=diagnostics)


def fixed(text, words, **options):
    lint = Lint(words)
    return fix_file(TOML, lint, text=text, **{"unsafe": False, **options})


def test_a_fix_that_adds_errors_is_taken_back_and_the_others_stay():
    words = {
        "bad": (Fix("bad", (put("a", "w1w2"),)),),
        "ok": (Fix("ok", (put("b", "fine"),)),),
        "w1": (None,),
        "w2": (None,),
    }
    result = fixed('a = "bad"\nb = "ok"\n', words)
    assert result.after == 'a = "bad"\nb = "fine"\n'
    assert [mend.title for mend in result.applied] == ["ok"]
    assert [mend.title for mend in result.refused] == ["bad"]


def test_rounds_go_on_until_nothing_changes():
    words = {f"n{n}": (Fix(f"{n}", (put("a", f"n{n + 1}"),)),) for n in range(3)}
    result = fixed('a = "n0"\n', words)
    assert result.after == 'a = "n3"\n'
    assert [(mend.title, mend.line) for mend in result.applied] == [("0", 1), ("1", 1), ("2", 1)]


def test_rounds_end():
    words = {"one": (Fix("", (put("a", "two"),)),), "two": (Fix("", (put("a", "one"),)),)}
    assert len(fixed('a = "one"\n', words).applied) == 10


def test_only_what_is_safe_wanted_and_in_this_file_is_mended():
    other = (Fix("", (put("b", 1),)), Severity.ERROR, "PLM102", "y.toml")
    words = {"one": (Fix("", (put("a", 1),), safe=False),), "two": other}
    text = 'a = "one"\nb = "two"\n'
    assert fixed(text, words) == FixResult(text, text)
    assert fixed(text, words, unsafe=True).after == 'a = 1\nb = "two"\n'
    assert fixed(text, words, unsafe=True, wanted=lambda found: found.code == "PLM006").after == text


def test_errors_come_first():
    words = {
        "017": (Fix("plain", (stretch("a: 017\n", "017", "15"),)), Severity.WARNING),
        "17": (Fix("quoted", (put("a", "15"),)),),
    }
    lint = Lint(words)
    result = fix_file(YAML, lint, unsafe=False, text="a: 017\n")
    assert result.after == "a: 017\n"


def test_a_text_that_cannot_be_read_stays():
    result = fix_file(TOML, lambda text: check_experiment(TOML, text=text), unsafe=True, text="a = = 1\n")
    assert result == FixResult("a = = 1\n", "a = = 1\n")
    assert fix_file(Path("none.toml"), lambda text: Lint({}), unsafe=True) == FixResult("", "")


VALID = (ROOT / "tests/cases/valid/two_agents.toml").read_text()


def as_yaml(text):
    return convert(parse_document(text, TOML), "yaml").text


def mend(text, file, unsafe=False):
    return fix_file(file, lambda text: check_experiment(file, text=text), unsafe=unsafe, text=text)


# The line that is replaced, what stands there, what a fix makes of it; and whether only --unsafe does.
FINDINGS = {
    "whole number": ("val_freq = 10", 'val_freq = "10" # c', "val_freq = 10 # c", False),
    "number": ("sample_temperature = 1", 'sample_temperature = "1.5e0"', "sample_temperature = 1.5e0", False),
    "quoted fraction": ("val_freq = 10", 'val_freq = "10.0"', "val_freq = 10", False),
    "fraction": ("val_freq = 10", "val_freq = 10.0 # c", "val_freq = 10 # c", False),
    "boolean": ("options.digits = 2", "resolve = 'True'", "resolve = true", False),
    "number as text": (
        'device = "cpu"',
        "experiment_name = 1_000 # c",
        'experiment_name = "1_000" # c',
        False,
    ),
    "fraction as text": ('device = "cpu"', "experiment_name = 1.50", 'experiment_name = "1.50"', False),
    "boolean as text": ('device = "cpu"', "experiment_name = true", 'experiment_name = "true"', False),
    "day": ('device = "cpu"', "experiment_name = 2024-10-15", 'experiment_name = "2024-10-15"', False),
    "list": ('device = "cpu"', "logger = 'console' # c", "logger = ['console'] # c", False),
    "several in one text": ('device = "cpu"', 'logger = "console,wandb"', None, False),
    "word of a list": ('device = "cpu"', 'logger = "consol"', None, False),
    "item": ('device = "cpu"', 'logger = ["console", "wandbb"]', 'logger = ["console", "wandb"]', True),
    "choice": ('device = "cpu"', 'device = "cup" # c', 'device = "cpu" # c', True),
    "no choice": ('device = "cpu"', 'device = "tpu"', None, True),
    "leading zero": ("val_freq = 10", 'val_freq = "010"', None, True),
    "too large": ("val_freq = 10", f'val_freq = "{"9" * 30}"', None, True),
    "key": ("val_freq = 10", "val_frq = 10 # c", "val_freq = 10 # c", True),
    "key of two": ("val_freq = 10", "max_length = 10", None, True),
    "section": ("[training]", "[trainig] # c", "[training] # c", True),
    "swept first key": (
        "sample_temperature = 1",
        'sample_temperature = { swep = "choice", values = [1, 2], default = 1 }',
        'sample_temperature = { sweep = "choice", values = [1, 2], default = 1 }',
        True,
    ),
    "key of an axis": (
        "sample_temperature = 1",
        'sample_temperature = { sweep = "choice", value = [1, 2], default = 1 }',
        'sample_temperature = { sweep = "choice", values = [1, 2], default = 1 }',
        True,
    ),
    "one swept value": (
        "sample_temperature = 1",
        'sample_temperature = { sweep = "choice", values = 5e-1, default = 5e-1 }',
        'sample_temperature = { sweep = "choice", values = [5e-1], default = 5e-1 }',
        False,
    ),
    "swept values": (
        "sample_temperature = 1",
        'sample_temperature = { sweep = "choice", values = ["1", 2.0, "3.0"], default = "1" } # c',
        'sample_temperature = { sweep = "choice", values = [1, 2.0, 3.0], default = 1 } # c',
        False,
    ),
    "through a reference": (
        "val_freq = 10",
        'val_freq = "${training.experiment_name}"\nexperiment_name = "8"',
        None,
        True,
    ),
    "from the environment": ("val_freq = 10", 'val_freq = "${oc.env:FIX_ME}"', None, True),
    "option": ("options.digits = 2", "options.digits = '2'", "options.digits = 2", False),
}


@pytest.mark.parametrize(("line", "wrong", "right", "unsafe"), FINDINGS.values(), ids=FINDINGS)
def test_a_finding_is_mended(line, wrong, right, unsafe, monkeypatch):
    monkeypatch.setenv("FIX_ME", "8")
    text = VALID.replace(f"\n{line}\n", f"\n{wrong}\n")
    assert text != VALID
    expected = text if right is None else text.replace(f"\n{wrong}\n", f"\n{right}\n")
    assert mend(text, TOML, unsafe=True).after == expected
    assert mend(text, TOML).after == (text if unsafe else expected)


@pytest.mark.parametrize(("line", "wrong", "right", "unsafe"), FINDINGS.values(), ids=FINDINGS)
def test_a_finding_is_mended_in_yaml(line, wrong, right, unsafe, monkeypatch):
    monkeypatch.setenv("FIX_ME", "8")
    if "2024" in wrong:
        return  # a day is text in YAML
    wrong_text = VALID.replace(f"\n{line}\n", f"\n{wrong}\n")
    text = as_yaml(wrong_text)
    after = mend(text, YAML, unsafe=True).after
    assert mend(text, YAML).after == (text if unsafe else after)
    right_text = wrong_text if right is None else wrong_text.replace(f"\n{wrong}\n", f"\n{right}\n")
    assert parse_document(after, YAML).data == parse_document(as_yaml(right_text), YAML).data
    assert len(changed_lines(text, after)) == (0 if right is None else 2)


MOVES = {
    "to a new section": (
        "val_freq = 10\n",
        "val_freq = 10\n# about it\nentropy_coeff = 0.1 # c\n",
        [
            "-# about it",
            "-entropy_coeff = 0.1 # c",
            "+",
            "+[models.model_0.ppo_trainer_config.actor_rollout_ref.actor]",
            "+# about it",
            "+entropy_coeff = 0.1 # c",
        ],
    ),
    "from the root": ("format = 1\n", "format = 1\nnnodes = 1\n", None),
    "from the root to a free place": (
        "format = 1\n",
        "format = 1\nturn_unit = 'agent' # c\n",
        ["-turn_unit = 'agent' # c", "+turn_unit = 'agent' # c"],
    ),
    "with two homes": ("val_freq = 10\n", "val_freq = 10\npolicy_name = 'x'\n", None),
    "of the policy or of its critic": ("val_freq = 10\n", "val_freq = 10\nlr = 1e-6\n", None),
    "a section": (
        "[training]\n",
        "[filter_groups] # c\n# d\nmax_num_gen_batches = 2\n\n[training]\n",
        ["-[filter_groups] # c", "+[models.model_0.ppo_trainer_config.algorithm.filter_groups] # c"],
    ),
    "a value where a section belongs": ("val_freq = 10\n", "val_freq = 10\nfilter_groups = 3\n", None),
}


@pytest.mark.parametrize(("line", "wrong", "lines"), MOVES.values(), ids=MOVES)
def test_a_misplaced_key_is_moved(line, wrong, lines):
    text = VALID.replace(line, wrong)
    assert mend(text, TOML).after == text
    after = mend(text, TOML, unsafe=True).after
    assert sorted(line[0] + line[2:] for line in changed_lines(text, after)) == sorted(lines or [])
    yaml = as_yaml(text)
    moved_yaml = mend(yaml, YAML, unsafe=True).after
    assert parse_document(moved_yaml, YAML).data == parse_document(as_yaml(after), YAML).data
    assert yaml_comments(moved_yaml) == yaml_comments(yaml)


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("  val_freq: 10", "  val_freq: 012 # c", "  val_freq: 10 # c"),
        ("  val_freq: 10", "  if_greedy: Off # c", "  if_greedy: false # c"),
        ("  val_freq: 10", "  val_freq: 1:30", "  val_freq: 90"),
        ("  val_freq: 10", "  sample_temperature: 0:1.5", "  sample_temperature: 1.5"),
        ("  val_freq: 10", "  experiment_name: 012", '  experiment_name: "012"'),
        ("  val_freq: 10", "  experiment_name: yes", '  experiment_name: "yes"'),
        ("  val_freq: 10", "  experiment_name: 0o12", "  experiment_name: 0o12"),
        ("  val_freq: 10", "  experiment_name: !!int 12", "  experiment_name: !!int 12"),
    ],
)
def test_scalars_of_old_yaml_are_written_plainly(line, wrong, right):
    text = as_yaml(VALID).replace("  sample_temperature: 1\n", "").replace(f"{line}\n", f"{wrong}\n")
    text = text.replace("${training.sample_temperature}", "1")
    assert mend(text, YAML).after == text.replace(f"{wrong}\n", f"{right}\n")


def test_a_text_none_becomes_null_where_null_may_stand():
    text = as_yaml(VALID).replace("  val_freq: 10\n", "  epoch_size: None # c\n")
    right = text.replace("None", "null")
    assert (mend(text, YAML).after, mend(text, YAML, unsafe=True).after) == (text, right)
    wrong = as_yaml(VALID).replace("  device: cpu\n", "  experiment_name: None\n")
    assert mend(wrong, YAML, unsafe=True).after == wrong


def test_a_mounted_file_refers_to_its_own_key(tmp_path):
    (tmp_path / "main.toml").write_text(
        'defaults = [{ "/base@_global_" = "two" }, { "/part@models.model_0" = "own" }]\n'
    )
    (tmp_path / "base").mkdir()
    (tmp_path / "base/two.toml").write_text(VALID)
    (tmp_path / "part").mkdir()
    own = tmp_path / "part/own.yaml"
    text = (
        "ppo_trainer_config:\n  data:\n    max_prompt_length: 64\n  actor_rollout_ref:\n    rollout:\n"
        '      prompt_length: "${oc.select:ppo_trainer_config.data.max_prompt_length,64}" # c\n'
    )

    def check(text):
        own.write_text(text)
        return check_experiment(tmp_path / "main.toml")

    own.write_text(text)
    package = ("models", "model_0")
    assert fix_file(own, check, unsafe=False, package_of=lambda _: package).after == text
    after = fix_file(own, check, unsafe=True, package_of=lambda _: package).after
    assert changed_lines(text, after) == [
        '-       prompt_length: "${oc.select:ppo_trainer_config.data.max_prompt_length,64}" # c',
        '+       prompt_length: "${oc.select:...data.max_prompt_length,64}" # c',
    ]
    assert "PLM210" not in {found.code for found in check(after).diagnostics}


def test_no_fix_takes_the_key_of_a_reference_away():
    for value in ('"${training.val_frq}"', '"${oc.select:training.val_frq,3}"', '"${.val_frq}"'):
        text = VALID.replace("val_freq = 10\n", f"val_frq = 10\nresample_freq = {value}\n")
        result = mend(text, TOML, unsafe=True)
        assert (result.after, [mended.code for mended in result.refused]) == (text, ["PLM003"])
    text = VALID.replace("val_freq = 10\n", 'val_freq = "${training.val_frq}"\nval_frqs = 3\n')
    assert "val_frqs" in mend(text, TOML, unsafe=True).after


@pytest.mark.parametrize(
    "objectives", ['objectives = [{ metrc = "m" }] # c\n', '[[sweep.objectives]] # c\nmetrc = "m"\n']
)
def test_a_key_in_a_list_is_renamed(objectives):
    text = f"{VALID}\n[sweep]\n{objectives}"
    assert mend(text, TOML, unsafe=True).after == text.replace("metrc", "metric")


def test_included_files_are_left_alone(tmp_path):
    (tmp_path / "base.toml").write_text(VALID.replace("val_freq = 10", 'val_freq = "10"'))
    file = tmp_path / "main.toml"
    text = 'defaults = ["base", "_self_"]\n[training]\nseed = "4"\n'
    result = fix_file(file, lambda text: check_experiment(file, text=text), unsafe=True, text=text)
    assert result.after == text.replace('"4"', "4")


def test_an_item_that_is_swept_stays_in_its_list():
    swept = (
        'logger = { sweep = "choice", values = [["console"], ["wandbb", "console"]], default = ["console"] }'
    )
    text = VALID.replace('device = "cpu"', f'device = "cpu"\n{swept}')
    assert mend(text, TOML, unsafe=True).after == text.replace("wandbb", "wandb")


def mended_twice(file, text, unsafe):
    """The result of mending; that nothing is lost, nothing gets worse, and a second time does nothing."""

    def check(text):
        return check_experiment(file, text=text)

    result = fix_file(file, check, unsafe=unsafe, text=text)
    again = fix_file(file, check, unsafe=unsafe, text=result.after)
    assert again.after == result.after and again.applied == ()
    before, after = (check(side).diagnostics for side in (text, result.after))
    assert errors(after) <= errors(before)
    left = [d for d in after if d.file == str(file) and d.fix is not None and (unsafe or d.fix.safe)]
    assert len(left) >= len(result.refused) and (bool(left) == bool(result.refused))
    count = yaml_comments if file.suffix == ".yaml" else toml_comments
    if result.after != text:
        assert count(result.after) <= count(text)
        removed = [mended for mended in result.applied if re.match("remove (?!the quotes)", mended.title)]
        assert removed or count(result.after) == count(text)
    return result


def errors(diagnostics):
    return sum(found.severity is Severity.ERROR for found in diagnostics)


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
@pytest.mark.parametrize("file", sorted(CASES.glob("PLM*.[ty]*ml")), ids=lambda file: file.stem)
def test_mending_the_cases_twice_is_mending_them_once(file, unsafe, monkeypatch):
    monkeypatch.chdir(CASES)
    if file.is_file():
        mended_twice(Path(file.name), file.read_text(), unsafe)


PRESETS = sorted(ROOT.glob("pettingllms/config/*/*_L?_*.toml"))
KEY = re.compile(r"^([\w.]+)( = )(.*?)( #.*)?$")


def mutated(text, generator):
    """`text` with one line made wrong, as people do."""
    lines = text.split("\n")
    places = [n for n, line in enumerate(lines) if KEY.match(line) and not line.startswith(("format", "def"))]
    at = generator.choice(places)
    key, equals, value, comment = KEY.match(lines[at]).groups(default="")
    kind = generator.choice(["typo", "quoted", "unquoted", "moved", "fraction", "one", "word", "header"])
    position = generator.randrange(len(key))
    if kind == "typo":
        letter = key[position] if key[position] != "." else "_"
        key = key[:position] + generator.choice(["", letter * 2, "x"]) + key[position + 1 :]
        key = key.strip(".").replace("..", ".") or "x"
    elif kind == "quoted" and re.fullmatch(r"[\d.e-]+|true|false", value):
        value = f'"{value}"'
    elif kind == "unquoted" and value.startswith('"') and "$" not in value:
        value = generator.choice(["12", "1_0.50", "true", "2024-10-15"])
    elif kind == "fraction" and value.isdecimal():
        value = f"{value}.0"
    elif kind == "one" and value.startswith("[") and "," in value:
        value = value[1 : value.index(",")]
    elif kind == "word" and re.fullmatch(r'"[a-z]{4,}"', value):
        value = value[:2] + value[3] + value[2] + value[4:]
    lines[at] = f"{key}{equals}{value}{comment}"
    if kind == "moved":
        block = [lines.pop(at)]
        if generator.random() < 0.5:
            block.insert(0, "# about it")
        to = generator.choice([n for n, line in enumerate(lines) if line.startswith("[")])
        lines[to + 1 : to + 1] = block
    elif kind == "header":
        at = generator.choice([n for n, line in enumerate(lines) if line.startswith("[")])
        middle = len(lines[at]) // 2
        lines[at] = lines[at][:middle] + generator.choice(["", "x"]) + lines[at][middle + 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize("end", ["toml", "yaml"])
@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.stem)
def test_mending_mutated_presets_twice_is_mending_them_once(preset, end):
    applied = 0
    for seed in range(7):
        generator = random.Random(f"{preset.stem} {seed}")
        text = preset.read_text()
        for _ in range(generator.randint(1, 4)):
            text = mutated(text, generator)
        file = preset.with_suffix(f".{end}")
        try:
            document = parse_document(text, preset)
        except DocumentError:
            continue
        if end == "yaml":
            text = convert(document, "yaml").text
        if text is None:
            continue  # a date, which YAML does not have
        for unsafe in (False, True) if end == "toml" or seed < 2 else (False,):
            applied += len(mended_twice(file, text, unsafe).applied)
    assert applied > 0
