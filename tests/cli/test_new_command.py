import re

import pytest

from pettingllms.cli.app import run
from pettingllms.compose.compose import compose
from pettingllms.compose.references import resolve_references
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.presets import preset_files
from pettingllms.documents.read import read_document

PRESETS = preset_files()


def resolved(path):
    composition = compose(path, schema=ExperimentSchema())
    resolution = resolve_references(composition.tree.data)
    assert [*composition.findings, *resolution.findings] == []
    return resolution.data


def comments(text):
    """Every comment; no value of a preset holds a `#`."""
    return sorted(re.findall(r"#.*", text))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_has_one_line_for_each_preset(capsys):
    assert run(["new", "--list"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    assert lines[1] == (
        "math_L1_prompt            "
        "Mathematics with two agents on one shared policy: they differ by their prompts only"
    )
    assert printed.err == ""


@pytest.mark.parametrize("suffix", ["toml", "yaml", "yml"])
@pytest.mark.parametrize("name", PRESETS)
def test_copy_means_the_same_in_any_folder(name, suffix, here):
    (here / "deep").mkdir()
    copy = here / "deep" / f"mine.{suffix}"
    assert run(["new", name, str(copy)]) == 0
    assert resolved(copy) == resolved(PRESETS[name])
    text, original = copy.read_text(), PRESETS[name].read_text()
    schema_line = original.splitlines()[0]
    assert comments(text) == [line for line in comments(original) if line != schema_line]
    # What it includes is found by name, so that no path is left that holds in one folder only.
    assert schema_line.startswith("#:schema ") and ".." not in text


def test_toml_copy_differs_in_the_two_lines_that_name_places(here):
    assert run(["new", "code_L1_prompt", "mine.toml"]) == 0
    copy, original = (
        path.read_text().splitlines() for path in (here / "mine.toml", PRESETS["code_L1_prompt"])
    )
    changed = [(one, two) for one, two in zip(copy, original[1:], strict=True) if one != two]
    entry = '  {{ "{}ppo_trainer@models.model_0.ppo_trainer_config" = "eval" }},'
    assert changed == [(entry.format(""), entry.format("../"))]


def test_yaml_copy_has_the_documented_form(here):
    assert run(["new", "math_L1_prompt", "mine.yaml"]) == 0
    text = (here / "mine.yaml").read_text()
    entries = r"defaults:\n *- ppo_trainer@models\.model_0\.ppo_trainer_config: eval\n *- _self_\n"
    assert re.search(entries, text)
    assert read_document(here / "mine.yaml").data["env"]["max_turns"] == 4


@pytest.mark.parametrize(
    "name", ["math_L2_lora", "math/math_L2_lora", "math_L2_lora.yaml", "math/math_L2_lora.toml"]
)
def test_without_a_target_the_copy_has_the_name_of_the_preset(name, here, capsys, caplog):
    assert run(["new", name]) == 0
    assert [path.name for path in here.iterdir()] == ["math_L2_lora.toml"]
    assert capsys.readouterr().out == ""
    assert caplog.messages == [
        "math_L2_lora.toml: a copy of the preset math_L2_lora",
        "next: pettingllms lint math_L2_lora.toml, then pettingllms train math_L2_lora.toml",
    ]


def test_quiet_says_nothing(here, capsys, caplog):
    assert run(["-q", "new", "math_L2_lora"]) == 0
    assert (capsys.readouterr(), caplog.messages) == (("", ""), [])


def test_existing_file_is_replaced_only_by_force(here, capsys):
    target = here / "mine.toml"
    target.write_text("mine = 1\n")
    assert run(["new", "math_L1_prompt", "mine.toml"]) == 1
    assert capsys.readouterr().err == "error: mine.toml exists already\nhelp: write --force to replace it\n"
    assert target.read_text() == "mine = 1\n"
    assert run(["new", "math_L1_prompt", "mine.toml", "--force"]) == 0
    assert "math_L1_prompt" in target.read_text()
    assert [path.name for path in here.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("words", "error", "advice"),
    [
        (
            ["math_L4_model"],
            "there is no preset 'math_L4_model'",
            "did you mean math_L3_model? presets: math_L0_",
        ),
        (["qqq"], "there is no preset 'qqq'", "presets: math_L0_single_agent, math_L1_prompt, "),
        (
            ["ppo_trainer/eval"],
            "there is no preset 'ppo_trainer/eval'",
            "ppo_trainer/eval is a trainer fragment",
        ),
        ([], "no preset is named", "`pettingllms new --list` lists them"),
        (["math_L1_prompt", "mine.json"], "mine.json: the format is not clear", "name a .toml or .yaml file"),
        (["math_L1_prompt", "mine"], "mine: the format is not clear", "name a .toml or .yaml file"),
        (["math_L1_prompt", "folder.toml"], "folder.toml is a folder", "name a file in it"),
        (
            ["math_L1_prompt", "no/mine.toml"],
            "no/mine.toml cannot be written: there is no folder no",
            "create it",
        ),
    ],
)
def test_usage_errors_say_what_to_do_and_write_nothing(words, error, advice, here, capsys):
    (here / "folder.toml").mkdir()
    assert run(["new", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {error}\nhelp: {advice}")
    assert [path.name for path in here.iterdir()] == ["folder.toml"]
