"""How diagnostics are written."""

import json

from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.formats import FORMATTERS
from pettingllms.lint.formats.text import format_coloured

ONE = Diagnostic("PLM003", Severity.ERROR, "no key x", "a.toml", 3, 2, "t.x", None, 5, "\tabc = 1")


def test_text_shows_the_line_and_a_caret_under_tabs():
    text = FORMATTERS.load("text")([ONE])
    assert text == "error[PLM003]: no key x\n --> a.toml:3:2\n  |\n3 | \tabc = 1\n  | \t^^^\n\n"


def test_colour_changes_no_word():
    import re

    assert re.sub("\x1b\\[[0-9;]*m", "", format_coloured([ONE])) == FORMATTERS.load("text")([ONE])


def test_a_long_line_is_cut_around_the_fault():
    long = Diagnostic(
        "PLM003", Severity.ERROR, "m", "a", 1, 1001, "", None, 1002, "x" * 1000 + "y" + "z" * 1000
    )
    lines = FORMATTERS.load("text")([long]).split("\n")
    assert len(lines[3]) < 200
    assert lines[3][lines[4].index("^")] == "y"


def test_control_characters_do_not_reach_the_terminal():
    bad = Diagnostic("PLM001", Severity.ERROR, "m\x1b[2J", "a", 1, 1, "", None, 2, "\x1b[2J\x00")
    assert "\x1b" not in FORMATTERS.load("text")([bad])


def test_concise_is_one_line_each():
    assert FORMATTERS.load("concise")([ONE, ONE]) == "a.toml:3:2: error[PLM003] no key x\n" * 2


def test_json_is_one_list_of_objects_with_fixed_keys():
    (row,) = json.loads(FORMATTERS.load("json")([ONE]))
    assert row == {
        "code": "PLM003",
        "severity": "error",
        "message": "no key x",
        "file": "a.toml",
        "line": 3,
        "column": 2,
        "path": "t.x",
        "help": None,
    }
    assert json.loads(FORMATTERS.load("json")([])) == []
