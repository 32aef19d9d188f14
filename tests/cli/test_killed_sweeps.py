"""A study that was killed or stopped: what runs again is exactly what had not ended."""

import json
import signal
import subprocess
import sys
import time

import pytest
from swept_experiment import EXPERIMENT

pytest.importorskip("optuna")

# Trials of a few lines that say which cell they are, and hang where a file asks for that.
COMMAND = """
import sys
from pettingllms.cli.app import run
from pettingllms.sweep import engine_keeper, launcher, packages
engine_keeper.EngineKeeper.prepare = lambda *_: {}
packages.missing = lambda modules: []
launcher.launch_argv = lambda config, folder, port, cores: [sys.executable, "-S", WORKER, str(folder)]
sys.exit(run(sys.argv[1:]))
"""
WORKER = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
study = folder.parent
with (study.parent / "started").open("a") as file:
    file.write(folder.name + "\\n")
with (folder / "events.jsonl").open("a") as file:
    file.write(json.dumps({"time": 1.0, "event": "started", "pid": os.getpid(), "total_steps": 2}) + "\\n")
while (study.parent / f"hang-{folder.name}").exists():
    time.sleep(0.02)
with (folder / "metrics.jsonl").open("a") as file:
    file.write(json.dumps({"step": 2, "val/success_rate": 0.5}) + "\\n")
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "command.py").write_text(COMMAND.replace("WORKER", repr(str(tmp_path / "worker.py"))))
    values = ", ".join(str(2**n) for n in range(12))
    text = EXPERIMENT.replace("[8, 16]", f"[{values}]")
    (tmp_path / "demo.toml").write_text(text)
    (tmp_path / "outputs").mkdir()
    return tmp_path


def start(project, *words):
    command = [sys.executable, "command.py", "sweep", *words]
    return subprocess.Popen(
        command,
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def trials(project):
    path = project / "outputs" / "started"
    return path.read_text().split() if path.exists() else []


def wait_for(project, name, process):
    deadline = time.monotonic() + 60
    while name not in trials(project):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_exactly_the_cells_that_had_not_ended_run_again(project, number):
    hang = project / "outputs" / "hang-trial_0005"
    hang.touch()
    first = start(project, "run", "demo.toml", "--lease", "2")
    wait_for(project, "trial_0005", first)
    first.send_signal(number)
    _, told = first.communicate(timeout=60)
    assert first.returncode == (-9 if number == signal.SIGKILL else 143), told
    assert trials(project) == [f"trial_{n:04d}" for n in range(6)]
    hang.unlink()
    again = start(project, "run", "demo.toml", "--json", "--lease", "2")
    out, told = again.communicate(timeout=120)
    assert again.returncode == 0, told
    assert "study demo goes on: 5 of 12 trials have ended" in told
    result = json.loads(out)
    assert [row["attempts"] for row in result["trials"]] == [1] * 5 + [2] + [1] * 6
    assert {row["status"] for row in result["trials"]} == {"complete"}
    # Exactly seven more.
    assert trials(project)[6:] == [f"trial_{n:04d}" for n in range(5, 12)]
    assert sorted(path.name for path in (project / "outputs" / "demo").glob("trial_*")) == [
        f"trial_{n:04d}" for n in range(12)
    ]
    done = start(project, "run", "demo.toml", "--lease", "2")
    out, told = done.communicate(timeout=60)
    assert done.returncode == 0 and "study demo has ended" in told and "12 of 12 trials" in out
    assert len(trials(project)) == 13


@pytest.mark.slow
def test_workers_share_the_cells(project):
    first = start(project, "run", "demo.toml", "--json")
    wait_for(project, "trial_0000", first)
    other = start(project, "worker", "demo.toml", "--json")
    results = [json.loads(process.communicate(timeout=120)[0]) for process in (first, other)]
    assert [result["exit_code"] for result in results] == [0, 0]
    assert sorted(trials(project)) == [f"trial_{n:04d}" for n in range(12)]


def test_a_worker_without_a_study_is_told_how_one_is_started(project):
    done = start(project, "worker", "demo.toml")
    _, told = done.communicate(timeout=60)
    assert done.returncode == 2
    assert "sweep run" in told
    assert not trials(project)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--jobs", "0"], "--jobs 0"),
        (["--jobs", "2", "--storage", "sqlite:///s.db"], "--jobs 2 on SQLite"),
        (["--lease", "1"], "--lease 1"),
        (["--lease", "nan"], "--lease nan"),
        (["--lease", "inf"], "--lease inf"),
        (["--new-study", "--extend"], "--new-study starts another study"),
        (["--jobs", "100000"], "trials share none"),
    ],
)
def test_options_that_cannot_be_are_refused(words, told, tmp_path, capsys):
    from pettingllms.cli.app import run

    file = tmp_path / "demo.toml"
    file.write_text(EXPERIMENT)
    assert run(["sweep", "run", str(file), "--output", str(tmp_path / "out"), *words]) in (1, 2)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
