"""`pettingllms diff`: the text, the JSON and the exit code."""

import json
from pathlib import Path

import pytest

from pettingllms.cli import app


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(
        'lora_rank = 8\n[training]\nseed = 1\nval_freq = 5\n[env]\nname = "math_env"\n', encoding="utf-8"
    )
    Path("b.yaml").write_text(
        "lora_rank: 16\nenv:\n  name: math_env\n  max_turns: 4\ntraining:\n  seed: 1\n", encoding="utf-8"
    )
    Path("run").mkdir()
    Path("run/resolved.toml").write_text(Path("a.toml").read_text().replace("seed = 1", "seed = 2"))


def run(capsys, *arguments):
    code = app.run(["diff", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_differences_are_grouped_by_section(capsys):
    code, out, _ = run(capsys, "a.toml", "b.yaml")
    assert code == 1
    assert out == (
        "~ lora_rank = 8 → 16   # a.toml:1 → b.yaml:1\n\n"
        "[training]\n- val_freq = 5   # a.toml:4\n\n"
        "[env]\n+ max_turns = 4   # b.yaml:4\n\n"
        "1 changed, 1 added, 1 removed\n"
    )


def test_the_same_values(capsys):
    assert run(capsys, "a.toml", "a.toml") == (0, "a.toml and a.toml hold the same values\n", "")
    assert run(capsys, "a.toml", "a.toml", "--json") == (0, "[]\n", "")


def test_json(capsys):
    code, out, _ = run(capsys, "a.toml", "b.yaml", "--json")
    assert code == 1
    assert json.loads(out) == [
        {
            "kind": "changed",
            "path": "lora_rank",
            "old": 8,
            "old_place": "a.toml:1",
            "new": 16,
            "new_place": "b.yaml:1",
        },
        {"kind": "removed", "path": "training.val_freq", "old": 5, "old_place": "a.toml:4"},
        {"kind": "added", "path": "env.max_turns", "new": 4, "new_place": "b.yaml:4"},
    ]


def test_overrides_apply_to_the_second(capsys):
    _, out, _ = run(capsys, "a.toml", "a.toml", "-s", "training.seed=3")
    assert "~ seed = 1 → 3   # a.toml:3 → training.seed=3\n" in out
    Path("over.toml").write_text("[training]\nseed = 4\n", encoding="utf-8")
    _, out, _ = run(capsys, "a.toml", "a.toml", "--with", "over.toml")
    assert "~ seed = 1 → 4   # a.toml:3 → over.toml:2\n" in out


def test_secrets_are_not_shown(capsys):
    _, out, _ = run(capsys, "a.toml", "a.toml", "-s", "env.options.api_key=sk-very-secret")
    assert '+ options.api_key = "<redacted>"   # env.options.api_key=<redacted>\n' in out


def test_a_run_is_compared_by_what_it_resolved(capsys):
    assert "~ seed = 1 → 2   # a.toml:3 → run/resolved.toml:3\n" in run(capsys, "a.toml", "run")[1]
    code, _, err = run(capsys, "a.toml", "run", "-s", "training.seed=1")
    assert code == 2
    assert "run is a run; training.seed=1 cannot change it" in err


def test_shipped_presets_are_found_by_name(capsys):
    code, out, _ = run(capsys, "math_L2_lora", "math_L3_model", "--json")
    assert code == 1
    assert "specialization" in {found["path"] for found in json.loads(out)}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.toml", "none.toml"], 2, "no such file"),
        (["a.toml", "."], 2, ". is no run: it holds no resolved.toml"),
        (["a.toml", "b.yaml", "-s", "training.sed=1"], 1, "did you mean training.seed?"),
    ],
)
def test_what_cannot_be_compared(capsys, arguments, code, words):
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert words in err
