"""`pettingllms eval`: what is refused before it plays, and its tables, with a player of a few lines."""

import json
import subprocess
import sys

import pytest
from evaluated_run import make_run, save_scripted

from pettingllms.cli.app import run
from pettingllms.cli.eval import chosen_ks
from pettingllms.errors import UsageError

PLAYS = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
asked = json.loads((folder / "play.json").read_text())
(folder / "samples").mkdir()
strong = bool(asked["policies"])
with (folder / "samples" / f"{asked['split']}-{asked['step']:06d}.jsonl").open("w") as file:
    for sample in range(asked["samples"]):
        for task in range(4):
            one = dict(reward=1.0, reason="correct", dropped=None, finish_reason="stop", token_ids=[1, 2])
            turns = [dict(agent="tool_generator", policy="tool policy", samples=[one])]
            place = sample * 4 + task
            record = dict(task=f"t{task}", place=place, success=strong or place == 0,
                          stop_reason="max_turns", turns=turns)
            file.write(json.dumps(record) + "\\n")
with (folder / "events.jsonl").open("a") as file:
    for event in (dict(event="started", pid=os.getpid(), total_steps=0), dict(event="status", text="playing"),
                  dict(event="phase", step=0, phase="test", done=8, total=8), dict(event="finished")):
        file.write(json.dumps(event) + "\\n")
"""

FAILS = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
text = json.dumps({"event": "error", "text": "the engine failed: why", "exit_code": 3})
(folder / "events.jsonl").write_text(text + "\\n")
print("last words")
sys.exit(3)
"""


@pytest.fixture
def trained(tmp_path, tiny_model):
    folder = make_run(tmp_path / "run", tiny_model)
    save_scripted(folder, 2)
    return folder


@pytest.fixture
def use_player(tmp_path, monkeypatch):
    """Run this source in the place of the playing process; the packages count as installed."""

    def use(source):
        (tmp_path / "player.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr("pettingllms.evaluation.evaluate.PLAYER", "player")
        monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: [])

    return use


@pytest.fixture
def evaluate(tmp_path):
    def command(*words):
        return run(["eval", *map(str, words), "--output", str(tmp_path / "out")])

    return command


def test_a_run_is_measured_and_shown(trained, use_player, evaluate, capsys):
    use_player(PLAYS)
    assert evaluate(trained) == 0
    shown = capsys.readouterr()
    # Wilson's interval of 4 of 4: 1 / (1 + 3.8415 / 4).
    assert "1.000" in shown.out and "0.510 to 1.000" in shown.out
    assert "pass@1" in shown.out and "correct 100.0%" in shown.out
    assert "step 2" in shown.err and "playing" in shown.err and "8 of 8 turns" in shown.err


def test_before_and_after_are_compared_on_the_same_tasks_and_seeds(
    trained, use_player, evaluate, tmp_path, capsys
):
    use_player(PLAYS)
    before = trained / "experiment.toml"
    words = (
        "--compare",
        before,
        "-n",
        2,
        "--temperature",
        1,
        "--ks",
        "1,2",
        "--swap",
        "tool_generator=reasoning_generator",
    )
    assert evaluate(trained, *words, "--json") == 0
    shown = capsys.readouterr()
    titles = [line for line in shown.err.splitlines() if line.startswith(str(trained))]
    assert titles == [
        f"{trained}, step 2, policies of tool_generator and reasoning_generator swapped",
        f"{before}, before training",
    ]
    result = json.loads(shown.out)
    assert result["difference"]["value"] == 0.875
    assert [row["pass"] for row in result["other"]["at_k"]] == [0.125, 0.25]
    assert (result["subject"]["step"], result["other"]["step"]) == (2, None)
    folder = tmp_path / "out" / "evaluations"
    (folder,) = folder.iterdir()
    assert json.loads((folder / "result.json").read_text()) == result
    plays = [json.loads((folder / side / "play.json").read_text()) for side in ("subject", "other")]
    assert plays[0]["seed"] == plays[1]["seed"]
    assert list(plays[0]["policies"]) == ["tool policy", "reason/policy"] and plays[1]["policies"] == {}
    # Only the first side is changed, but for the temperature.
    assert result["subject"]["changes"] == ["policies of tool_generator and reasoning_generator swapped"]
    assert result["other"]["changes"] == []
    assert set(result["other"]["temperatures"].values()) == {1.0}


def test_the_table_of_a_comparison_says_how_sure_it_is(trained, use_player, evaluate, capsys):
    use_player(PLAYS)
    assert evaluate(trained, "--compare", trained / "experiment.toml", "--tasks", 4) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("difference")]
    assert line.startswith("difference +0.750, 95% interval +0.250 to +1.000, p = 0.0")
    assert line.endswith(
        ": success rate of the first row minus that of the second (paired bootstrap over 4 tasks)"
    )


def test_a_player_that_fails_is_reported_with_its_log(trained, use_player, evaluate, capsys):
    use_player(FAILS)
    assert evaluate(trained) == 3
    shown = capsys.readouterr()
    assert "the engine failed: why" in shown.err and "last words" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--split", "train"], 2, "train"),
        (["--samples", "4"], 1, "would all be the same"),
        (["--samples", "0"], 2, "0"),
        (["--ks", "8"], 2, "k = 8, and each task is played 1 times"),
        (["--swap", "tool_generator"], 2, "two names are needed"),
        (["--swap", "tool_generator=nobody"], 2, "no agent or policy 'nobody'"),
        (["--single", "nobody"], 2, "no agent that takes turns 'nobody'"),
        (["--tasks", "99"], 2, "the test split has 4 tasks"),
        (["--step", "7"], 2, "no checkpoint of step 7"),
        (["--temperature", "-1"], 2, "engines take 0"),
        (["-s", "env.max_turns=0"], 1, "PLM006"),
        (["-s", "env.options.test_size=0"], 2, "no tasks"),
    ],
)
def test_bad_input_is_refused_before_anything_is_played(
    trained, evaluate, tmp_path, capsys, words, code, said
):
    assert evaluate(trained, *words) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "out").exists()


def test_other_tasks_are_not_compared(trained, tiny_model, evaluate, tmp_path, capsys):
    other = make_run(tmp_path / "other", tiny_model, "training.seed=1")
    save_scripted(other, 2)
    assert evaluate(trained, "--compare", other) == 2
    assert "different test tasks" in capsys.readouterr().err


def test_a_damaged_checkpoint_ends_with_3(trained, evaluate, capsys):
    folder = trained / "checkpoints" / "step_000002"
    (folder / "policies" / "0" / "adapter_model.safetensors").write_bytes(b"x")
    assert evaluate(folder) == 3
    assert "adapter_model.safetensors has 1 bytes" in capsys.readouterr().err
    assert evaluate(trained) == 3
    assert "holds no whole checkpoint" in capsys.readouterr().err


def test_missing_packages_are_named(trained, evaluate, monkeypatch, capsys):
    monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: ["torch"])
    assert evaluate(trained) == 1
    assert "needs torch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "samples", "ks"),
    [(None, 1, (1,)), (None, 8, (1, 2, 4, 8)), (None, 6, (1, 2, 4, 6)), ("8, 1", 8, (1, 8))],
)
def test_default_ks_are_powers_of_two(words, samples, ks):
    assert chosen_ks(words, samples) == ks


@pytest.mark.parametrize("words", ["0", "-1", "x", "", "1,9"])
def test_other_ks_are_refused(words):
    with pytest.raises(UsageError):
        chosen_ks(words, 8)


@pytest.mark.parametrize("verb", ["eval", "export"])
def test_help_imports_no_machine_learning_stack(verb):
    code = (
        f"import sys; from pettingllms.cli.app import run; run(['{verb}', '--help']);"
        "heavy = {'torch', 'vllm', 'transformers', 'peft', 'optuna', 'rich', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert f"Usage: pettingllms {verb}" in done.stdout
