"""A run that was stopped and goes on is the run that was never stopped: C45, C46; and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_worker import original_signal_handlers  # noqa: F401 - a fixture is used by name

from benchmarks import tally
from pettingllms.agents import AGENTS
from pettingllms.envs import ENVS
from pettingllms.errors import RefusedError
from pettingllms.training import assembly, worker
from pettingllms.training.stopping import StopFlag
from pettingllms.training.tasks import TaskSchedule
from pettingllms.types import Task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tally_model(tmp_path_factory):
    return tally.build_model(tmp_path_factory.mktemp("models") / "tally")


@pytest.fixture(autouse=True)
def tally_run(monkeypatch):
    """The game and its writers are known, and the engine is in this process."""
    monkeypatch.setitem(ENVS._rows, "tally", "benchmarks.tally:Tally")
    monkeypatch.setitem(AGENTS._rows, "writer", "benchmarks.tally:Writer")
    monkeypatch.setattr(assembly, "EngineProcess", tally.EngineInside)


@pytest.fixture(scope="session")
def whole(tally_model, tmp_path_factory):
    """Where the run that is never stopped lies, once a test has run it."""
    return tally.prepare(tmp_path_factory.mktemp("whole"), tally_model)


def run_whole(folder):
    if not (folder / "metrics.jsonl").exists():
        assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    return tally.results(folder)


def stop_in(monkeypatch, folder, step, phase):
    """Ask the run to stop as soon as it does this."""

    class Stops(StopFlag):
        def check(self):
            events = tally.records(folder, "events.jsonl")
            if any((one.get("step"), one.get("phase")) == (step, phase) for one in events):
                self._signal = 15
            super().check()

    monkeypatch.setattr(worker, "StopFlag", Stops)
    status = worker.main(folder)
    monkeypatch.setattr(worker, "StopFlag", StopFlag)
    return status


def different(folder, wanted):
    found = tally.results(folder)
    return [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]


# An epoch has two steps.
@pytest.mark.parametrize(
    ("step", "phase"),
    [(1, "rollout"), (4, "train"), (4, "val"), (5, "rollout"), (6, "test")],
    ids=["first step", "inside an epoch", "validation at an epoch's end", "a later epoch's begin", "test"],
)
def test_a_run_that_was_asked_to_stop_goes_on_as_if_it_had_not_been(
    tmp_path, tally_model, whole, monkeypatch, step, phase
):
    wanted = run_whole(whole)
    folder = tally.prepare(tmp_path / "run", tally_model)
    assert stop_in(monkeypatch, folder, step, phase) == 143
    assert [record["step"] for record in tally.records(folder)] == list(range(step))
    assert worker.main(folder) == 0
    assert different(folder, wanted) == []
    starts = [one for one in tally.records(folder, "events.jsonl") if one["event"] == "started"]
    assert [one.get("from_step") for one in starts] == [None, step - 1]


def test_without_a_checkpoint_the_run_begins_anew(tmp_path, tally_model, whole, monkeypatch):
    wanted = run_whole(whole)
    folder = tally.prepare(tmp_path / "run", tally_model)
    assert stop_in(monkeypatch, folder, 0, "val") == 143
    assert not (folder / "checkpoints").exists()
    (folder / "metrics.jsonl").write_text('{"step": 0}\n{"step": 1}\n{"ste')
    assert worker.main(folder) == 0
    assert different(folder, wanted) == []
    assert [e for e in warnings(folder) if "begins anew" in e]


def warnings(folder):
    return [one["text"] for one in tally.records(folder, "events.jsonl") if one["event"] == "warning"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from(
    tmp_path, tally_model, whole, monkeypatch
):
    wanted = run_whole(whole)
    folder = tally.prepare(tmp_path / "run", tally_model)
    stop_in(monkeypatch, folder, 5, "train")
    newest = folder / "checkpoints" / "step_000004"
    os.truncate(newest / "state.safetensors", (newest / "state.safetensors").stat().st_size - 1)
    (folder / "checkpoints" / ".step_000005.partial").mkdir()
    assert worker.main(folder) == 0
    assert different(folder, wanted) == []
    (text,) = [text for text in warnings(folder) if "damaged" in text]
    assert str(newest) in text and "state.safetensors has" in text
    left = sorted(path.name for path in (folder / "checkpoints").iterdir())
    # Step 2 had the best validation so far, and step 6 is not better.
    assert [name for name in left if "damaged" in name] == ["step_000004.damaged"]
    assert "step_000006" in left and ".step_000005.partial" not in left


def test_without_a_whole_checkpoint_nothing_is_taken_out(tmp_path, tally_model, monkeypatch, capsys):
    folder = tally.prepare(tmp_path / "run", tally_model)
    stop_in(monkeypatch, folder, 3, "train")
    for newest in (folder / "checkpoints").iterdir():
        (newest / "manifest.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in {".json", ".jsonl"}}
    capsys.readouterr()
    assert worker.main(folder) == 3
    said = capsys.readouterr().err
    assert "no checkpoint in" in said and "step_000002: manifest.json is missing" in said
    before.pop(folder / "events.jsonl")
    assert {path: path.read_bytes() for path in before} == before
    assert not list((folder / "checkpoints").glob("*.damaged"))


def test_records_are_kept_where_the_checkpoints_are_gone(tmp_path, tally_model, monkeypatch):
    folder = tally.prepare(tmp_path / "run", tally_model)
    stop_in(monkeypatch, folder, 3, "train")
    before = tally.records(folder)
    shutil.rmtree(folder / "checkpoints")
    exchange(folder, "total_training_steps = 6", "total_training_steps = 1")
    assert worker.main(folder) == 0
    assert [record["step"] for record in before] == [0, 1, 2]
    assert tally.records(folder / "before-1") == before
    assert (folder / "before-1" / "samples" / "train-000002.jsonl").is_file()
    assert [record["step"] for record in tally.records(folder)] == [0, 1]
    assert [text for text in warnings(folder) if f"records until now are in {folder / 'before-1'}" in text]


def exchange(folder, old, new):
    text = (folder / "trial.toml").read_text()
    assert old in text
    (folder / "trial.toml").write_text(text.replace(old, new))


def test_a_changed_file_is_refused_with_the_key_or_taken(tmp_path, tally_model, monkeypatch, capsys):
    folder = tally.prepare(tmp_path / "run", tally_model)
    stop_in(monkeypatch, folder, 3, "rollout")
    capsys.readouterr()
    exchange(folder, "train_batch_size = 2", "train_batch_size = 4")
    before = (folder / "metrics.jsonl").read_bytes()
    assert worker.main(folder) == 1
    said = capsys.readouterr().err
    assert "training.train_batch_size: 2 -> 4 (which tasks a step plays follows from it)" in said
    exchange(folder, "train_batch_size = 4", "train_batch_size = 2")
    exchange(folder, "total_training_steps = 6", "total_training_steps = 1")
    assert worker.main(folder) == 1
    assert "the run has done 2 steps, and training.total_training_steps is 1" in capsys.readouterr().err
    assert (folder / "metrics.jsonl").read_bytes() == before
    exchange(folder, "total_training_steps = 1", "total_training_steps = 3")
    assert worker.main(folder) == 0
    assert [record["step"] for record in tally.records(folder)] == [0, 1, 2, 3]
    told = [one.get("text", "") for one in tally.records(folder, "events.jsonl")]
    assert any("training.total_training_steps: 6 -> 3" in text for text in told)


def test_checkpoints_of_another_run_are_not_gone_on_from(tmp_path, tally_model, capsys):
    folder = tally.prepare(tmp_path / "run", tally_model)
    (folder / "checkpoints" / "step_000003").mkdir(parents=True)
    assert worker.main(folder) == 1
    assert "holds checkpoints of another run" in capsys.readouterr().err


def test_a_worker_does_not_touch_the_folder_of_another(tmp_path, tally_model, capsys):
    from pettingllms.runs.lock import WORKER_LOCK, FolderLock

    folder = tally.prepare(tmp_path / "run", tally_model)
    with FolderLock(folder, WORKER_LOCK):
        assert worker.main(folder) == RefusedError.exit_code
    assert f"in use by process {os.getpid()}" in capsys.readouterr().err
    assert not (folder / "events.jsonl").exists()


def test_another_base_model_behind_the_same_path_is_refused(tmp_path, tally_model, monkeypatch, capsys):
    model = shutil.copytree(tally_model, tmp_path / "model")
    folder = tally.prepare(tmp_path / "run", model)
    stop_in(monkeypatch, folder, 1, "rollout")
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert worker.main(folder) == 3
    assert "trained on another base model" in capsys.readouterr().err


def test_half_a_line_of_events_does_not_swallow_warnings(tmp_path, tally_model, monkeypatch):
    folder = tally.prepare(tmp_path / "run", tally_model)
    stop_in(monkeypatch, folder, 3, "rollout")
    newest = folder / "checkpoints" / "step_000002"
    (newest / "state.json").unlink()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "pha')
    exchange(folder, "total_training_steps = 6", "total_training_steps = 2")
    assert worker.main(folder) == 0
    assert [text for text in warnings(folder) if f"{newest} is damaged" in text and "state.json" in text]


def schedule():
    tasks = [Task(str(n), "train", {}) for n in range(7)]
    return TaskSchedule(tasks, batch_size=2, resample_freq=1, epoch_size=None, seed=3)


def test_the_tasks_of_a_step_follow_from_its_number_alone():
    # Whoever begins at any step needs no cursor: C45's data.
    in_order = [[task.id for task in schedule().batch(step)] for step in range(1, 13)]
    for step in (12, 7, 1, 3, 4):
        assert [task.id for task in schedule().batch(step)] == in_order[step - 1]


def test_two_epochs_lose_and_repeat_no_task_where_they_are_cut():
    # Seven tasks in batches of two: three steps an epoch, and one task is left for the next.
    for cut in range(1, 6):
        first, second = schedule(), schedule()
        plays = [(first if step <= cut else second).batch(step) for step in range(1, 7)]
        for epoch in (plays[:3], plays[3:]):
            played = [task.id for batch in epoch for task in batch]
            assert len(set(played)) == len(played) == 6
    orders = [[t.id for step in steps for t in schedule().batch(step)] for steps in ((1, 2, 3), (4, 5, 6))]
    assert orders[0] != orders[1]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been():
    # Two kills in each of five phases, each a process of its own.
    words = [sys.executable, "-m", "benchmarks.chaos_resume", "10", "--seed", "45"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("identical 10/10\n")


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_as_if_they_had_not_been():
    script = Path(__file__).parent / "two_ranks_resumed.py"
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    words = [sys.executable, str(script)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == [], "what differs"


def test_the_best_checkpoint_holds_the_validation_of_its_step(whole):
    run_whole(whole)
    records = {record["step"]: record for record in tally.measured(whole)}
    for folder in (whole / "checkpoints").iterdir():
        state = json.loads((folder / "state.json").read_text())
        record = records[state["step"]]
        assert state["metrics"] == {name: v for name, v in record.items() if name.startswith("val/")}
    values = {step: record["val/success_rate"] for step, record in records.items() if step in (2, 4, 6)}
    best = max(values, key=values.__getitem__)
    assert (whole / "checkpoints" / f"step_{best:06d}").is_dir()
