"""Loggers: what each writes, what a missing or failing one does."""

import importlib.util
import json
import math

import pytest

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import RefusedError
from pettingllms.loggers import LOGGERS, PACKAGES, build_loggers, missing_loggers
from pettingllms.loggers.base import Fanout

RECORD = {"step": 3, "train/success_rate": 0.625, "train/loss/policy_a": -0.03125}


class Broken:
    def __init__(self, fails_at=()):
        self.fails_at, self.closed = set(fails_at), False

    def log(self, record):
        if record["step"] in self.fails_at:
            raise ConnectionError("server gone")

    def close(self):
        raise OSError("cannot close")


class Kept:
    def __init__(self):
        self.records, self.closed = [], False

    def log(self, record):
        self.records.append(record)

    def close(self):
        self.closed = True


def test_a_failing_logger_is_reported_and_the_others_go_on():
    warnings, kept = [], Kept()
    fanout = Fanout({"wandb": Broken({12}), "jsonl": kept}, warnings.append)
    fanout.log({"step": 12})
    fanout.log({"step": 13})
    assert warnings == ["logger wandb failed at step 12; training continues (ConnectionError: server gone)"]
    assert [record["step"] for record in kept.records] == [12, 13]


def test_a_logger_that_keeps_failing_is_reported_once_until_it_recovers():
    warnings = []
    fanout = Fanout({"wandb": Broken({1, 2, 4})}, warnings.append)
    for step in (1, 2, 3, 4):
        fanout.log({"step": step})
    assert [text.split(";")[0] for text in warnings] == [
        "logger wandb failed at step 1",
        "logger wandb failed at step 4",
    ]


def test_closing_reaches_every_logger():
    warnings, kept = [], Kept()
    Fanout({"wandb": Broken(), "jsonl": kept}, warnings.append).close()
    assert kept.closed
    assert warnings == ["logger wandb failed while closing (OSError: cannot close)"]


def test_metrics_file_is_always_written_and_read_back_line_by_line(tmp_path):
    fanout = build_loggers(TrainingConfig(logger=[]), tmp_path, pytest.fail)
    fanout.log(RECORD)
    # Not closed yet: a follower sees whole lines while the trial runs.
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == RECORD
    fanout.log({"step": 4, "train/loss/policy_a": math.nan})
    fanout.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert math.isnan(json.loads(lines[1])["train/loss/policy_a"])


def test_console_prints_one_line_per_step(tmp_path, capsys):
    fanout = build_loggers(TrainingConfig(total_training_steps=6), tmp_path, pytest.fail)
    fanout.log(RECORD)
    fanout.close()
    assert capsys.readouterr().out == "step 3/6  train/success_rate 0.625  train/loss/policy_a -0.03125\n"


def test_a_missing_package_is_a_warning_with_its_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(PACKAGES, "wandb", "no_such_package_here")
    training, warnings = TrainingConfig(logger=["wandb", "console"]), []
    fanout = build_loggers(training, tmp_path, warnings.append)
    fanout.log(RECORD)
    fanout.close()
    assert warnings == list(missing_loggers(training).values())
    assert warnings == [
        "logger wandb is not installed and gets nothing; install it with: uv sync --extra loggers"
    ]
    assert (tmp_path / "metrics.jsonl").is_file()


def test_every_logger_of_the_schema_is_in_the_table():
    names = TrainingConfig.model_json_schema()["properties"]["logger"]["items"]["enum"]
    assert set(names) | {"jsonl"} == set(LOGGERS)


def test_tensorboard_file_holds_the_scalars(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    fanout = build_loggers(TrainingConfig(logger=["tensorboard"]), tmp_path, pytest.fail)
    fanout.log(RECORD)
    fanout.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    events = [Event.FromString(raw) for raw in RawEventFileLoader(str(file)).Load()]
    found = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    assert found == {(3, "train/success_rate"): 0.625, (3, "train/loss/policy_a"): -0.03125}


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_offline_run_is_written_into_the_run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    fanout = build_loggers(TrainingConfig(logger=["wandb"]), tmp_path, pytest.fail)
    fanout.log(RECORD)
    fanout.close()
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(run.glob("*.wandb"))


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_that_cannot_start_stops_the_run(tmp_path, monkeypatch):
    import wandb

    def refuse(**settings):
        raise wandb.Error("no login")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(RefusedError, match="logger wandb cannot start: no login") as refused:
        build_loggers(TrainingConfig(logger=["wandb"]), tmp_path, pytest.fail)
    assert "WANDB_MODE=offline" in refused.value.help
