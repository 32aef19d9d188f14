"""The documented command line: `python -m pettingllms.trainer.train --config-name NAME a.b=c`."""

import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.errors import UsageError
from pettingllms.trainer.train import arguments_of

SHIPPED = Path(__file__).parents[2] / "pettingllms" / "config"


def test_a_name_and_overrides_become_a_trial():
    words = ["--config-name", "math_L3_model", "training.total_training_steps=500", "~training.seed"]
    assert arguments_of(words) == [
        "train", "math_L3_model", "--output", "outputs",
        "--", "training.total_training_steps=500", "~training.seed",
    ]  # fmt: skip


def test_overrides_may_stand_before_the_options():
    assert arguments_of(["a.b=1", "--config-name=x", "--output", "o"]) == [
        "train", "x", "--output", "o", "--", "a.b=1",
    ]  # fmt: skip


def test_a_folder_is_that_of_the_caller_else_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert arguments_of(["--config-path", "mine", "--config-name", "x"])[1] == str(Path("mine/x"))
    (_, file, *_) = arguments_of(["--config-path", "../config/math", "--config-name", "math_L3_model"])
    assert Path(file).resolve() == (SHIPPED / "math" / "math_L3_model").resolve()


def test_cfg_shows_instead_of_running():
    words = ["--config-name", "x", "--cfg", "job", "--resolve", "a=1"]
    assert arguments_of(words) == ["show", "x", "--resolved", "--as", "yaml", "--", "a=1"]


@pytest.mark.parametrize(
    ("words", "message", "help_words"),
    [
        (["a.b=1"], "--config-name is missing", "usage"),
        (["--config-name", "x", "-m", "a=1,2"], "-m is not available", "sweep run"),
        (["--config-name", "x", "hydra.run.dir=y"], "no Hydra run", "--output"),
        (["--config-name", "x", "--nonsense"], "--nonsense is not available", "usage"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_what_to_do(words, message, help_words):
    with pytest.raises(UsageError) as caught:
        arguments_of(words)
    assert message in str(caught.value)
    assert help_words in caught.value.help


def test_the_module_runs_as_documented(tmp_path):
    command = [sys.executable, "-m", "pettingllms.trainer.train", "--config-name", "math_L3_model"]
    words = ["training.total_training_steps=500", "multi_agent_interaction.turn_order=[agent2,agent1]"]
    shown = subprocess.run(
        [*command, "--cfg", "job", *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "total_training_steps: 500" in shown.stdout
    refused = subprocess.run(
        [*command, "training.total_trainin_steps=5"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert refused.returncode == 1
    assert "did you mean training.total_training_steps?" in refused.stderr
