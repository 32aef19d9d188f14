"""`pettingllms schema`, and the way from a new experiment to its schema."""

import json

import pytest

from pettingllms.cli.app import run
from pettingllms.config.json_schema import SCHEMAS

NAMES = [f"{name}.schema.json" for name in SCHEMAS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_printed_by_its_name(name, capsys):
    assert run(["schema", name]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == SCHEMAS[name]()
    assert shown.err == ""


def test_without_a_name_it_is_that_of_experiments(capsys):
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:pettingllms:schema:experiment"


def test_an_unknown_name_lists_those_there_are(capsys):
    assert run(["schema", "trainer"]) == 2
    assert "'experiment', 'fragment', 'resolved'" in capsys.readouterr().err


def test_write_puts_all_of_them_into_a_folder_and_says_so(here, capsys, caplog):
    assert run(["schema", "--write", "schemas"]) == 0
    assert sorted(path.name for path in (here / "schemas").iterdir()) == sorted(NAMES)
    assert caplog.messages == [f"schemas/{name}: written" for name in NAMES]
    assert capsys.readouterr().out == ""
    assert run(["schema"]) == 0
    assert capsys.readouterr().out == (here / "schemas/experiment.schema.json").read_text()
    caplog.clear()
    assert run(["schema", "--write", "schemas"]) == 0
    assert caplog.messages == [f"schemas/{name}: up to date" for name in NAMES]


def test_write_with_a_name_writes_that_one(here):
    assert run(["schema", "fragment", "--write", "."]) == 0
    assert [path.name for path in here.iterdir()] == ["fragment.schema.json"]


def test_check_writes_nothing_and_tells_by_the_exit_code(here, caplog):
    run(["schema", "--write", "."])
    assert run(["schema", "--write", ".", "--check"]) == 0
    (here / "fragment.schema.json").write_text("{}\n")
    (here / "resolved.schema.json").unlink()
    caplog.clear()
    assert run(["schema", "--write", ".", "--check"]) == 1
    assert caplog.messages == [
        "experiment.schema.json: up to date",
        "fragment.schema.json: differs from this version's schema",
        "resolved.schema.json: missing",
    ]
    assert (here / "fragment.schema.json").read_text() == "{}\n"
    assert not (here / "resolved.schema.json").exists()
    assert run(["schema", "experiment", "--write", ".", "--check"]) == 0


@pytest.mark.parametrize(
    ("words", "error", "advice"),
    [
        (["--check"], "--check compares files", "name their folder: --write FOLDER --check"),
        (["--write", "file"], "file is no folder", "name a folder for the schemas"),
        (["--write", "no/such"], "no/such cannot be made: No such file", "name another folder"),
        (
            ["--write", "taken"],
            "taken/experiment.schema.json cannot be read: Is a directory",
            "name another folder",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(words, error, advice, here, capsys):
    (here / "file").write_text("")
    (here / "taken/experiment.schema.json").mkdir(parents=True)
    assert run(["schema", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {error}")
    assert f"help: {advice}" in shown.err


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("mine.toml", "#:schema ./schemas/experiment.schema.json"),
        ("deep/er/mine.toml", "#:schema ../../schemas/experiment.schema.json"),
        ("deep/mine.yaml", "# yaml-language-server: $schema=../schemas/experiment.schema.json"),
    ],
)
def test_a_new_experiment_names_the_schema_of_its_project(target, line, here):
    (here / "deep/er").mkdir(parents=True)
    run(["schema", "--write", "schemas"])
    assert run(["new", "math_L2_lora", target]) == 0
    first, second = (here / target).read_text().splitlines()[:2]
    assert first == line
    assert second.startswith("# Mathematics")


def test_a_schema_of_something_else_is_not_named(here):
    (here / "schemas").mkdir()
    (here / "schemas/experiment.schema.json").write_text('{"title": "Laboratory"}')
    assert run(["new", "math_L2_lora", "mine.toml"]) == 0
    assert "schema" not in (here / "mine.toml").read_text().splitlines()[0]
