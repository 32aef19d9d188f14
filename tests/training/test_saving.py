"""When checkpoints are written, who waits for them, and what becomes of those that cannot be."""

import json
import threading
from types import SimpleNamespace

import pytest

from pettingllms.config.training import KeepBestConfig, TrainingConfig
from pettingllms.errors import CheckpointError
from pettingllms.runs.checkpoints import step_folder
from pettingllms.training import saving
from pettingllms.training.events import EventStream
from pettingllms.training.saving import CheckpointSaver


class Disk:
    """In the place of `write_checkpoint`: writes when it is let to, or fails."""

    def __init__(self, monkeypatch):
        self.free, self.full, self.written = threading.Event(), False, []
        self.free.set()
        monkeypatch.setattr(saving, "write_checkpoint", self.write)

    def write(self, checkpoint, policies, root, trial):
        assert self.free.wait(30)
        if self.full:
            raise CheckpointError(f"step {checkpoint.step} could not be written", help="free space")
        folder = step_folder(root, checkpoint.step)
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"metrics": checkpoint.metrics}))
        self.written.append(checkpoint.step)
        return folder


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def saver(tmp_path):
    (tmp_path / "trial.toml").write_text("")
    made = []

    def make(**settings):
        events = EventStream(tmp_path / "events.jsonl")
        made.append(CheckpointSaver(TrainingConfig(**settings), None, tmp_path, events))
        return made[-1]

    yield make
    for one in made:
        one.close()


def checkpoint(step, **metrics):
    return SimpleNamespace(step=step, metrics={name.replace("_", "/"): v for name, v in metrics.items()})


def events(tmp_path):
    path = tmp_path / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_in_the_background_the_run_goes_on_and_the_next_one_waits(saver, disk, tmp_path):
    keeper = saver()
    disk.free.clear()
    keeper.save(checkpoint(1))
    keeper.check()
    assert disk.written == [] and events(tmp_path) == []
    threading.Timer(0.2, disk.free.set).start()
    keeper.save(checkpoint(2))
    assert disk.written[:1] == [1], "one at a time"
    keeper.wait()
    assert disk.written == [1, 2]
    assert [event["event"] for event in events(tmp_path)] == ["checkpoint", "checkpoint"]


def test_otherwise_the_run_waits(saver, disk):
    keeper = saver(save_in_background=False)
    keeper.save(checkpoint(1))
    assert disk.written == [1]
    disk.full = True
    with pytest.raises(CheckpointError, match="step 2"):
        keeper.save(checkpoint(2))


@pytest.mark.parametrize("told_by", ["check", "wait", "save"])
def test_a_failure_in_the_background_is_raised_at_the_next_safe_point(saver, disk, told_by):
    keeper = saver()
    disk.full = True
    keeper.save(checkpoint(1))
    keeper._pending.exception(30)
    calls = {"check": keeper.check, "wait": keeper.wait, "save": lambda: keeper.save(checkpoint(2))}
    with pytest.raises(CheckpointError, match="step 1"):
        calls[told_by]()
    keeper.wait()


def test_a_run_may_go_on_without(saver, disk, tmp_path):
    keeper = saver(on_save_failure="continue")
    disk.full = True
    keeper.save(checkpoint(1))
    keeper.wait()
    disk.full = False
    keeper.save(checkpoint(2))
    keeper.wait()
    assert disk.written == [2]
    first, second = events(tmp_path)
    assert first["event"] == "warning" and "step 1 could not be written; the run goes on" in first["text"]
    assert second["event"] == "checkpoint"


def kept(tmp_path):
    return sorted(int(path.name[5:]) for path in (tmp_path / "checkpoints").iterdir())


def test_without_the_metric_the_newest_stay(saver, disk, tmp_path):
    keeper = saver(keep_checkpoints=1, save_in_background=False)
    for step, value in ((1, 0.5), (2, 0.75), (3, 0.25), (4, 0.5)):
        keeper.save(checkpoint(step, val_x=value))
    keeper.wait()
    assert kept(tmp_path) == [4]


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (KeepBestConfig(metric="val/x"), [2, 4]),
        (KeepBestConfig(metric="val/x", direction="minimize"), [3, 4]),
        (None, [4]),
    ],
)
def test_which_one_is_best_is_said_by_the_file(saver, disk, tmp_path, best, expected):
    keeper = saver(keep_checkpoints=1, save_in_background=False, keep_best=best)
    for step, value in ((1, 0.5), (2, 0.75), (3, 0.25), (4, 0.5)):
        keeper.save(checkpoint(step, val_x=value))
    keeper.wait()
    assert kept(tmp_path) == expected


def test_closing_finishes_what_is_being_written(saver, disk):
    keeper = saver()
    keeper.save(checkpoint(1))
    keeper.close()
    assert disk.written == [1]
