"""The commands with the real accelerate launcher and the real worker, on a tiny model."""

import json
import subprocess
import sys

import pytest
from scripted_experiment import write_experiment

pytest.importorskip("accelerate")


def command(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "pettingllms", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_sweep_runs_each_cell_by_accelerate_and_names_the_best(tmp_path, tiny_model):
    pytest.importorskip("optuna")
    path = write_experiment(tmp_path, tiny_model)
    swept = 'actor.optim.lr = { sweep = "choice", values = [0.001, 0.01], default = 0.001 }'
    path.write_text(path.read_text().replace("actor.optim.lr = 0.001", swept))
    done = command(tmp_path, "sweep", "run", str(path), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [trial["status"] for trial in result["trials"]] == ["complete", "complete"]
    assert result["best"] is not None
    study = tmp_path / "outputs" / "experiment"
    folders = sorted(p.name for p in study.iterdir() if p.is_dir())
    assert folders == ["trial_0000", "trial_0001"]
    for name in folders:
        records = [json.loads(line) for line in (study / name / "metrics.jsonl").read_text().splitlines()]
        assert [record["step"] for record in records] == [0, 1, 2]
        assert (study / name / "experiment.toml").read_text() == path.read_text()


def test_worker_that_fails_is_reported_with_its_log(tmp_path, tiny_model):
    path = write_experiment(tmp_path, tiny_model)
    done = command(tmp_path, "train", str(path), "training.max_prompt_length=1")
    assert done.returncode == 3
    assert "max_prompt_length = 1" in done.stderr
    assert "log.txt" in done.stderr
    assert done.stdout == ""
