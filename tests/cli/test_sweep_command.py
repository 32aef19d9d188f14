"""`pettingllms sweep`: the table and the best trial, failures on the way, and verbs that do not exist yet."""

import json
import sys

import pytest
from swept_experiment import EXPERIMENT

from pettingllms.cli.app import run

pytest.importorskip("optuna")

# The rank decides: 8 completes, 16 does what `other` says.
WORKER = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
rank = int((folder / "trial.toml").read_text().split("lora_rank = ")[1].split()[0])
with (folder / "events.jsonl").open("a") as file:
    file.write(json.dumps({"time": 1.0, "event": "started", "pid": os.getpid(), "total_steps": 2}) + "\\n")
value = 1 / rank
if rank == 16:
    OTHER
with (folder / "metrics.jsonl").open("a") as file:
    record = {"step": 2, "val/success_rate": value, "test/success_rate": 0.5}
    file.write(json.dumps(record) + "\\n")
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def use_worker(tmp_path, monkeypatch):
    def use(other="pass"):
        script = tmp_path / "worker.py"
        script.write_text(WORKER.replace("OTHER", other))
        monkeypatch.setattr(
            "pettingllms.sweep.launcher.launch_argv",
            lambda config, folder, port, cores: [sys.executable, "-S", str(script), str(folder)],
        )
        monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: [])
        monkeypatch.setattr("pettingllms.sweep.engine_keeper.EngineKeeper.prepare", lambda *_: {})

    return use


def study_of(output):
    (study,) = (path for path in output.iterdir() if path.is_dir())
    return study


def test_a_study_ends_with_its_table_and_the_best_trial(experiment, use_worker, tmp_path, capsys):
    use_worker()
    output = tmp_path / "out"
    assert run(["sweep", "run", str(experiment), "--output", str(output)]) == 0
    study = study_of(output)
    assert study.name == "demo"
    assert sorted(path.name for path in study.iterdir() if path.suffix != ".lock") == [
        "experiment.toml",
        "study.journal",
        "study.jsonl",
        "trial_0000",
        "trial_0001",
    ]
    shown = capsys.readouterr()
    assert "2 of 2 trials" in shown.out
    assert shown.out.splitlines()[-3:] == [
        "best: trial 0 with val/success_rate = 0.125",
        "  lora_rank = 8",
        f"  {study / 'trial_0000'}",
    ]
    assert "trial 1 (2 of 2)  lora_rank=16" in shown.err


def test_a_failed_trial_is_shown_at_once_and_the_study_goes_on(experiment, use_worker, tmp_path, capsys):
    use_worker('sys.exit("out of luck")')
    assert run(["sweep", "run", str(experiment), "--output", str(tmp_path / "out")]) == 3
    shown = capsys.readouterr()
    assert "trial 1 failed: the worker ended: out of luck" in shown.err
    assert str(study_of(tmp_path / "out") / "trial_0001" / "log.txt") in shown.err
    assert "best: trial 0" in shown.out


def test_an_objective_that_is_no_number_fails_its_trial(experiment, use_worker, tmp_path, capsys):
    use_worker('value = float("nan")')
    assert run(["sweep", "run", str(experiment), "--output", str(tmp_path / "out")]) == 3
    assert "trial 1 failed: the objective val/success_rate is nan" in capsys.readouterr().err


def test_json_is_one_object_and_nothing_else(experiment, use_worker, tmp_path, capsys):
    use_worker()
    assert run(["sweep", "run", str(experiment), "--json", "--output", str(tmp_path / "out")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["best"] == 0
    assert [trial["objective"] for trial in result["trials"]] == [0.125, 0.0625]


def test_an_override_on_an_axis_leaves_one_cell(experiment, use_worker, tmp_path, capsys):
    use_worker()
    words = ["lora_rank=8", "--json", "--output", str(tmp_path / "out")]
    assert run(["sweep", "run", str(experiment), *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["planned"], result["trials"][0]["values"]) == (1, {})


def test_an_error_in_one_cell_starts_no_trial(experiment, use_worker, tmp_path, capsys):
    use_worker()
    experiment.write_text(EXPERIMENT.replace("[8, 16]", "[16, 0]"))
    assert run(["sweep", "run", str(experiment), "--output", str(tmp_path / "out")]) == 1
    assert "in 1 of 2 cells" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
