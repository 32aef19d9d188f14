"""F14: Ctrl-C and SIGTERM at random moments of a run, from its first import to its last checkpoint."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted_experiment import write_experiment
from test_two_processes import running
from tiny_model_fixture import tiny_model

__all__ = ["tiny_model"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are under /proc"),
]

POINTS = 20
SECONDS = 10.0
WORDS = [
    "models.model_0.ppo_trainer_config.actor_rollout_ref.rollout.name=hf",
    *(f"models.model_{n}.ppo_trainer_config.actor_rollout_ref.actor.entropy_coeff=0.1" for n in (0, 1)),
    "training.total_training_steps=6",
    "training.max_response_length=16",
]


def start(folder, model):
    folder.mkdir()
    command = [sys.executable, "-m", "pettingllms", "train", str(write_experiment(folder, model)), *WORDS]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model):
    """Seconds that the run takes when nobody stops it."""
    begin = time.monotonic()
    process = start(tmp_path_factory.mktemp("whole") / "run", tiny_model)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    return time.monotonic() - begin


@pytest.mark.parametrize("point", range(POINTS))
def test_a_stop_at_any_moment_is_clean_and_quick(tmp_path, tiny_model, whole, point):
    number = (signal.SIGINT, signal.SIGTERM)[point % 2]
    # The first second is that of the command itself, which nothing but Python's own handlers guards.
    moment = random.Random(point).uniform(2, max(whole - 1, 3))
    process = start(tmp_path / "run", tiny_model)
    time.sleep(moment)
    if process.poll() is not None:
        pytest.skip(f"it was done before {moment:.1f} s")
    begin = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    seconds = time.monotonic() - begin
    assert not running(tmp_path / "run"), "no process is left"
    if process.returncode == 0:
        return  # It had ended its work before it could be told.
    assert process.returncode == 128 + number, f"at {moment:.1f} of {whole:.1f} s: {out}{err}"
    assert seconds <= SECONDS, f"{seconds:.1f} s at {moment:.1f} of {whole:.1f} s"
    for run in (tmp_path / "run").glob("outputs/*/*"):
        whole_checkpoints(run)


def whole_checkpoints(run: Path):
    """Every checkpoint is whole, and where steps were made the newest is that of the last one logged."""
    saved = sorted((run / "checkpoints").glob("step_*"))
    assert not list((run / "checkpoints").glob(".*.partial"))
    for folder in saved:
        for name, entry in json.loads((folder / "manifest.json").read_text())["files"].items():
            assert (folder / name).stat().st_size == entry["bytes"]
    records = run / "metrics.jsonl"
    steps = (
        [json.loads(line)["step"] for line in records.read_text().splitlines()] if records.exists() else []
    )
    if steps:
        assert saved and int(saved[-1].name.removeprefix("step_")) >= steps[-1]
