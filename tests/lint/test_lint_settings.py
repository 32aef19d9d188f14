"""`[tool.pettingllms.lint]`: found above a file, checked to the last word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.files.settings import LintSettings, settings_for


def written(folder, *lines, name="pyproject.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(["[tool.pettingllms.lint]", *lines, ""]))
    return folder


def read(folder, *lines):
    return settings_for(written(folder, *lines))


def test_without_a_file_nothing_is_set(tmp_path):
    settings = settings_for(tmp_path)
    assert settings == LintSettings(tmp_path)
    assert not settings.excludes(tmp_path / "a.toml")
    assert settings.ignored_codes(tmp_path / "a.toml") == ()


def test_every_key_is_read(tmp_path):
    settings = read(
        tmp_path,
        'select = ["PLM1", "plm0"]',
        'ignore = ["PLM103"]',
        'include = ["*.toml"]',
        'exclude = ["old/"]',
        'fail-on = "error"',
        'assume = "gpus=8"',
        'baseline = "ci/known.json"',
        "[tool.pettingllms.lint.per-file-ignores]",
        '"drafts/**" = ["PLM2"]',
    )
    assert (settings.folder, settings.file) == (tmp_path, tmp_path / "pyproject.toml")
    assert (settings.select, settings.ignore) == (("PLM1", "PLM0"), ("PLM103",))
    assert (settings.fail_on, settings.assume) == (Severity.ERROR, "gpus=8")
    assert settings.baseline == tmp_path / "ci/known.json"
    assert settings.ignored_codes(tmp_path / "drafts/x/a.toml") == ("PLM103", "PLM2")
    assert settings.ignored_codes(tmp_path / "a.toml") == ("PLM103",)
    assert settings.excludes(tmp_path / "old/a.toml")
    assert settings.excludes(tmp_path / "a.yaml")
    assert not settings.excludes(tmp_path / "a.toml")


def test_the_nearest_file_with_such_a_table_counts(tmp_path):
    written(tmp_path, 'fail-on = "error"')
    inner = written(tmp_path / "inner", 'fail-on = "info"')
    plain = tmp_path / "inner" / "plain"
    plain.mkdir()
    (plain / "pyproject.toml").write_text('[project]\nname = "pettingllms"\n')
    (tmp_path / "other").mkdir()
    assert settings_for(tmp_path).fail_on is Severity.ERROR
    assert settings_for(tmp_path / "other" / "deep").fail_on is Severity.ERROR
    assert settings_for(inner).fail_on is Severity.INFO
    assert settings_for(plain).file == inner / "pyproject.toml"


def test_the_current_folder_is_meant_by_a_dot(tmp_path, monkeypatch):
    written(tmp_path, 'fail-on = "error"', 'exclude = ["sub/*.toml"]')
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    settings = settings_for(Path())
    assert settings.folder == tmp_path
    assert settings.excludes(Path("a.toml"))
    assert not settings.excludes(Path("../a.toml"))
    assert not settings.excludes(Path("/elsewhere/sub/a.toml"))


def test_a_changed_file_is_read_again(tmp_path):
    assert read(tmp_path, 'fail-on = "error"').fail_on is Severity.ERROR
    assert read(tmp_path, 'fail-on = "warning"').fail_on is Severity.WARNING


def test_a_file_is_read_once_while_it_stays(tmp_path):
    assert read(tmp_path, 'fail-on = "error"') is settings_for(tmp_path / "sub")


@pytest.mark.parametrize("content", ["[tool.other]\n", "this is no TOML", "\xff"])
def test_a_file_that_does_not_speak_of_us_may_be_anything(tmp_path, content):
    (tmp_path / "pyproject.toml").write_text(content, encoding="latin-1")
    assert settings_for(tmp_path).file is None
    (tmp_path / "sub" / "pyproject.toml").mkdir(parents=True)
    assert settings_for(tmp_path / "sub").file is None


@pytest.mark.parametrize(
    ("line", "message", "advice"),
    [
        ("slect = []", "tool.pettingllms.lint.slect: there is no such setting", "did you mean select?"),
        ("zzz = 1", "zzz: there is no such setting", "known: select, ignore, include, exclude, per-file-"),
        ('select = "PLM1"', "select: must be a list of texts, not a text", None),
        ("select = [1]", "select: must be a list of texts; one item is a number", None),
        ('select = [""]', "select: must be a list of texts; one item is an empty one", None),
        ('select = ["PLM1O3"]', "select: no rule's code starts with 'PLM1O3'", "did you mean PLM103?"),
        ('ignore = ["X"]', "ignore: no rule's code starts with 'X'", "`pettingllms rule` lists them"),
        ("exclude = 1979-05-27", "exclude: must be a list of texts, not a date or time", None),
        ('exclude = ["!a"]', "exclude: '!a': a pattern cannot take files back in", "leave out the !"),
        ('exclude = ["../a"]', "exclude: '../a' fits no file below ", None),
        ('include = ["/"]', "include: '/' fits no file below ", None),
        ('include = ["[z-a]"]', "include: '[z-a]': what stands in the brackets is no set of", None),
        (
            'fail-on = "eror"',
            "fail-on: must be one of error, warning, info, not 'eror'",
            "did you mean error?",
        ),
        ("fail-on = true", "fail-on: must be a text, not a truth value", None),
        ("assume = { gpus = 8 }", "assume: must be a text, not a table", None),
        ('baseline = ""', "baseline: must be a text, not an empty one", None),
        (
            "per-file-ignores = []",
            "per-file-ignores: must be a table of patterns and codes, not a list",
            None,
        ),
        (
            'per-file-ignores = { "a/*" = ["PLM9999"] }',
            "per-file-ignores.\"a/*\": no rule's code starts with 'PLM9999'",
            None,
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path, line, message, advice):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, line)
    assert str(caught.value).startswith(f"{tmp_path / 'pyproject.toml'}: tool.pettingllms.lint.")
    assert message in str(caught.value)
    assert advice is None or advice in caught.value.help


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool.pettingllms.lint]\na =", "is not TOML: Invalid value"),
        ("[tool]\npettingllms = 1", "pettingllms must be a table, not a number"),
        ("[tool.pettingllms]\nlint = []", "lint must be a table, not a list"),
        ("[tool.pettingllms.lnt]", "there is no table tool.pettingllms.lnt"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(UsageError, match=message):
        settings_for(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("a.toml", ["a.toml", "x/a.toml", "x/a.toml/b"], ["aa.toml", "a.toml2", "x/ba.toml", "axtoml"]),
        ("/a.toml", ["a.toml"], ["x/a.toml"]),
        ("x/a.toml", ["x/a.toml"], ["y/x/a.toml"]),
        ("old", ["old", "old/a", "x/old/y/a"], ["older/a", "x/bold"]),
        ("old/", ["old/a", "x/old/a"], ["old", "x/old"]),
        ("x/old/", ["x/old/a"], ["x/old", "y/x/old/a"]),
        ("*.toml", ["a.toml", "x/.toml"], ["a.yaml"]),
        ("x/*.toml", ["x/a.toml"], ["x/y/a.toml"]),
        ("x/*", ["x/a", "x/y/a"], ["x"]),
        ("x/**", ["x/a", "x/y/a"], ["x", "y/x/a"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa"]),
        ("x/**/a", ["x/a", "x/y/a", "x/y/z/a"], ["xa", "a"]),
        ("**", ["a", "x/a"], []),
        ("a?.toml", ["ab.toml"], ["a.toml", "a/.toml"]),
        ("a[0-9].toml", ["a1.toml"], ["ax.toml"]),
        ("a[!0-9].toml", ["ax.toml"], ["a1.toml", "a/.toml"]),
        ("a[]^].toml", ["a].toml", "a^.toml"], ["ax.toml"]),
        ("a[.toml", ["a[.toml"], ["a.toml"]),
        ("./x/./a", ["x/a"], ["a"]),
        ("a+(b).toml", ["a+(b).toml"], ["aab.toml"]),
    ],
)
def test_patterns_are_those_of_gitignore(tmp_path, pattern, fitting, others):
    settings = read(tmp_path, f"exclude = ['{pattern}']")
    assert [name for name in fitting if not settings.excludes(tmp_path / name)] == []
    assert [name for name in others if settings.excludes(tmp_path / name)] == []


def test_codes_of_all_fitting_patterns_are_ignored_once(tmp_path):
    settings = read(tmp_path, 'per-file-ignores = { "*" = ["PLM1", "PLM2"], "a*" = ["PLM2", "PLM3"] }')
    assert settings.ignored_codes(tmp_path / "a.toml") == ("PLM1", "PLM2", "PLM3")
    assert settings.ignored_codes(tmp_path / "b.toml") == ("PLM1", "PLM2")
    assert settings.ignored_codes(Path(os.sep) / "a.toml") == ()


def test_looking_for_settings_loads_no_schema(tmp_path):
    written(tmp_path, 'exclude = ["old/"]')
    code = (
        "import sys, pathlib; from pettingllms.lint.files.settings import settings_for;"
        f"settings_for(pathlib.Path({str(tmp_path)!r}));"
        "print(sorted({'pydantic', 'ruamel.yaml', 'pettingllms.lint.rule'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
