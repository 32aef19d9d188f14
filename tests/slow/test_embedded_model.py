"""The embedded model for real: both ways of serving, repetition, interruption, death."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
QUICKSTART = Path(__file__).resolve().parents[2] / "experiments" / "quickstart.toml"
SMALL = [
    "training.total_training_steps=2",
    "training.train_batch_size=4",
    "training.train_sample_num=4",
    "env.options.validation_size=4",
    "env.options.test_size=0",
]


def start(folder, *overrides):
    words = [sys.executable, "-m", "pettingllms", "train", str(QUICKSTART), *SMALL, *overrides]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, *overrides):
    process = start(folder, *overrides)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return run_folder(folder)


def run_folder(folder):
    (found,) = (folder / "outputs").glob("*/*")
    return found


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timed = ("time/", "perf/")
    return [{k: v for k, v in json.loads(line).items() if not k.startswith(timed)} for line in lines]


@pytest.mark.parametrize("serving", ["merged", "adapter"])
def test_engine_and_trainer_agree(tmp_path, serving):
    homes = [
        f"models.model_{n}.ppo_trainer_config.actor_rollout_ref.rollout.lora_serving={serving}"
        for n in (0, 1)
    ]
    folder = run(tmp_path, *homes, "training.total_training_steps=3")
    gaps = [v for record in records(folder) for k, v in record.items() if k.startswith("train/engine_gap/")]
    assert len(gaps) >= 4
    assert max(gaps) < 2e-3


def test_same_seed_same_run(tmp_path):
    folders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        folders.append(run(tmp_path / name, f"training.seed={seed}"))
    samples = [{path.name: path.read_text() for path in (folder / "samples").iterdir()} for folder in folders]
    assert records(folders[0]) == records(folders[1]) and samples[0] == samples[1]
    assert records(folders[0]) != records(folders[2]) and samples[0] != samples[2]


def wait_for(folder, word, seconds=180):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = list((folder / "outputs").glob("*/*/events.jsonl"))
        if found and word in found[0].read_text():
            return
        time.sleep(0.2)
    raise AssertionError(f"{word!r} did not come")


def processes_of(folder):
    left = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            left += [path.parent.name] if str(folder).encode() in path.read_bytes() else []
        except OSError:
            continue
    return left


@pytest.mark.parametrize("phase", ["rollout", "train"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption_leaves_a_checkpoint_and_no_process(tmp_path, phase, number, status):
    process = start(tmp_path, "training.total_training_steps=50")
    wait_for(tmp_path, f'"step": 2, "phase": "{phase}"')
    begin = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert time.monotonic() - begin <= 10
    folder = run_folder(tmp_path)
    assert (folder / "checkpoints" / "step_000001" / "manifest.json").is_file()
    assert processes_of(tmp_path) == []


def test_killed_worker_is_reported(tmp_path):
    process = start(tmp_path)
    wait_for(tmp_path, '"phase": "rollout"')
    first = (run_folder(tmp_path) / "events.jsonl").read_text().splitlines()[0]
    os.kill(json.loads(first)["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "log.txt" in err
    assert processes_of(tmp_path) == []
