"""A study of the embedded model on its real engine, from four cells to the file of the best one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
QUICKSTART = Path(__file__).resolve().parents[2] / "experiments" / "quickstart.toml"
FOUR_CELLS = [
    "training.seed={ sweep = 'choice', values = [0, 1], default = 0 }",
    "training.total_training_steps=2",
    "training.train_batch_size=4",
    "training.val_freq=1",
    "env.options.validation_size=16",
    "env.options.test_size=16",
]


def pettingllms(folder, *words):
    command = [sys.executable, "-m", "pettingllms", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_four_cells_run_to_their_end_and_the_best_one_trains_as_it_is(tmp_path):
    study = json.loads(pettingllms(tmp_path, "sweep", "run", QUICKSTART, *FOUR_CELLS, "--json"))
    assert [row["status"] for row in study["trials"]] == ["complete"] * 4
    reached = [row["objective"] for row in study["trials"]]
    assert reached[study["best"]] == max(reached)
    pettingllms(tmp_path, "sweep", "best", tmp_path / "outputs" / "quickstart", "--as", "best.toml")
    pettingllms(tmp_path, "lint", "best.toml")
    assert "sweep" not in (tmp_path / "best.toml").read_text()
    pettingllms(tmp_path, "train", "best.toml")
    (own,) = (tmp_path / "outputs").glob("20*/*")
    # As every trial, a plain run repeats it: the same seed, the same tasks, the same weights.
    best = tmp_path / "outputs" / "quickstart" / f"trial_{study['best']:04d}"
    assert untimed(own) == untimed(best)
    print("val/success_rate of the four cells:", *reached)


def untimed(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timed = ("time/", "perf/")
    return [{k: v for k, v in json.loads(line).items() if not k.startswith(timed)} for line in lines]
