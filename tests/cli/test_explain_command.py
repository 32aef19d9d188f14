"""`pettingllms explain`: the text and the JSON."""

import json
from pathlib import Path

import pytest

from pettingllms.cli import app


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL", "value-of-MODEL")
    Path("base.yaml").write_text("training:\n  seed: 4\n", encoding="utf-8")
    Path("x.toml").write_text(
        'defaults = ["base", "_self_"]\nlora_rank = { sweep = "choice", values = [8, 16], default = 8 }\n'
        'lora_alpha = "${mul:${lora_rank},2}"\n[base_models.policy_0]\npath = "${oc.env:MODEL}"\n'
        '[models.model_0]\npath = "${base_models.policy_0.path}"\n[training]\nseed = 5\n',
        encoding="utf-8",
    )


def run(capsys, *arguments):
    code = app.run(["explain", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_layers_of_one_value(capsys):
    code, out, _ = run(capsys, "x.toml", "training.seed", "training.seed=6")
    assert code == 0
    assert out.splitlines() == [
        "training.seed = 6",
        "  schema default   0",
        "  base.yaml:2      4  included by x.toml:1",
        "  x.toml:9         5",
        "  training.seed=6  6  this counts; override",
    ]


def test_references_and_the_sweep_behind_them(capsys):
    assert run(capsys, "x.toml", "lora_alpha")[1].splitlines() == [
        "lora_alpha = 16",
        "  schema default      32",
        '  x.toml:3            "${mul:${lora_rank},2}"                              this counts',
        "    ${lora_rank}      8                                                    → lora_rank at x.toml:2",
        '      swept (choice)  { sweep = "choice", values = [8, 16], default = 8 }  its default counts here',
    ]


def test_a_value_of_the_environment_stays_a_reference(capsys):
    for arguments in (["models.model_0.path"], ["models"], ["models", "--json"]):
        code, out, err = run(capsys, "x.toml", *arguments)
        assert code == 0
        assert "value-of-MODEL" not in out + err
        assert "${oc.env:MODEL}" in out


def test_a_section_is_one_line_per_leaf(capsys):
    assert run(capsys, "x.toml", "models")[1] == (
        'models.model_0.path = "${oc.env:MODEL}"   # x.toml:7, through ${base_models.policy_0.path}\n'
    )
    assert run(capsys, "x.toml", "training")[1] == "training.seed = 5   # x.toml:9\n"


def test_what_only_the_schema_sets(capsys):
    assert run(capsys, "x.toml", "training.val_freq")[1] == (
        "training.val_freq = 10   (nothing sets it: the schema's default)\n"
        "  schema default  10  this counts\n"
    )
    assert run(capsys, "x.toml", "env.benchmark")[1] == "env.benchmark = null   (nothing sets it)\n"


def test_json_has_every_step(capsys):
    code, out, _ = run(capsys, "x.toml", "training.seed", "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert (found["path"], found["value"], found["state"]) == ("training.seed", 5, "set")
    assert [(step["kind"], step["place"], step["value"], step["wins"]) for step in found["steps"]] == [
        ("default", None, 0, False),
        ("file", "base.yaml:2", 4, False),
        ("file", "x.toml:9", 5, True),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["x.toml", "training.sed"], 2, "did you mean training.seed?"),
        (["x.toml", "a b"], 2, "is not a path of keys"),
        (["x.toml", "training.seed", "training.sed=1"], 1, "did you mean training.seed?"),
        (["none.toml", "training.seed"], 2, "no such file"),
    ],
)
def test_what_cannot_be_explained(capsys, arguments, code, words):
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert words in err


def test_a_missing_part_is_said_first(capsys):
    Path("x.toml").write_text('defaults = ["bas"]\n', encoding="utf-8")
    code, out, err = run(capsys, "x.toml", "training.seed")
    assert (code, out) == (1, "")
    assert "there is no file bas" in err
