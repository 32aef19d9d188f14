"""A whole run of two processes, started as a user would: it learns what one process learns."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scripted_experiment import write_experiment


def trained(folder, model, processes):
    """Run three tasks a step, so that one of two processes has fewer; returns the run folder."""
    folder.mkdir()
    file = write_experiment(folder, model)
    words = [
        "training.train_batch_size=3",
        "training.total_training_steps=1",
        "env.options.validation_size=3",
        "env.options.test_size=0",
        f"+launch.num_processes={processes}",
        "+launch.num_cpu_threads_per_process=1",
    ]
    command = [sys.executable, "-m", "pettingllms", "train", str(file), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    logs = "".join(path.read_text()[-2000:] for path in folder.glob("outputs/*/*/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    (run,) = (folder / "outputs").glob("*/*")
    return run


def samples(run):
    lines = (run / "samples" / "train-000001.jsonl").read_text().splitlines()
    return [s for line in lines for turn in json.loads(line)["turns"] for s in turn["samples"]]


def measured(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 1]
    return {name: value for name, value in records[1].items() if not name.startswith(("time/", "perf/"))}


@pytest.mark.slow
def test_two_processes_sample_and_learn_what_one_does(tmp_path, tiny_model):
    one, two = (trained(tmp_path / str(n), tiny_model, n) for n in (1, 2))
    alone, shared = samples(one), samples(two)
    assert [(s["token_ids"], s["seed"], s["reward"]) for s in alone] == [
        (s["token_ids"], s["seed"], s["reward"]) for s in shared
    ]
    assert len({sample["seed"] for sample in shared}) == len(shared) == 3 * 2 * 4
    first, second = measured(one), measured(two)
    assert first.keys() == second.keys()
    assert all(abs(first[name] - second[name]) < 1e-4 for name in first)
    for number in (0, 1):
        paths = [
            run / "checkpoints" / "step_000001" / "policies" / str(number) / "adapter_model.safetensors"
            for run in (one, two)
        ]
        wanted, got = (load_file(path) for path in paths)
        assert max((got[name] - tensor).abs().max() for name, tensor in wanted.items()) < torch.tensor(1e-6)
    assert (two / "engine-1.log").is_file(), "each process has an engine of its own"


def running(folder):
    """Processes that were started for runs in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found under /proc")
def test_a_stop_ends_all_processes_with_one_checkpoint(tmp_path, tiny_model):
    file = write_experiment(tmp_path, tiny_model)
    words = ["training.total_training_steps=500", "training.val_freq=500", "+launch.num_processes=2"]
    words += ["+launch.num_cpu_threads_per_process=1", "~training.save_freq", "env.options.test_size=0"]
    command = [sys.executable, "-m", "pettingllms", "train", str(file), *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("outputs/*/*/samples/train-000002.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    assert len(running(tmp_path)) >= 2, "the workers at least, by their run folder"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    (run,) = tmp_path.glob("outputs/*/*")
    (saved,) = (run / "checkpoints").iterdir()
    assert saved.name.startswith("step_")
    kinds = [json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines()]
    assert "interrupted" in kinds and "error" not in kinds
    assert not running(tmp_path)


LONG = ["training.total_training_steps=500", "training.val_freq=500", "~training.save_freq"]
TWO = ["env.options.test_size=0", "+launch.num_processes=2", "+launch.num_cpu_threads_per_process=1"]


def started(folder, model):
    """A long run of two processes, as a user starts it."""
    command = [
        sys.executable,
        "-m",
        "pettingllms",
        "train",
        str(write_experiment(folder, model)),
        *LONG,
        *TWO,
    ]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ends_soon(process, folder):
    """Wait for the end that is due within 30 s; returns what was said, and the run's log."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 3, out + err
    assert not running(folder)
    (run,) = folder.glob("outputs/*/*")
    return out + err, (run / "log.txt").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found under /proc")
def test_f10_a_process_that_is_killed_ends_the_others_and_is_named(tmp_path, tiny_model):
    process = started(tmp_path, tiny_model)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("outputs/*/*/samples/train-000002.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    (second,) = [
        number
        for number in running(tmp_path)
        if b"\0RANK=1\0" in Path(f"/proc/{number}/environ").read_bytes()
        and b"training.worker" in Path(f"/proc/{number}/cmdline").read_bytes()
    ]
    os.kill(second, signal.SIGKILL)
    said, log = ends_soon(process, tmp_path)
    assert "process 1 of the run was ended by SIGKILL" in said
    assert "process 0: another process of the run ended" in log
    assert f"Signal 9 (SIGKILL) received by PID {second}" in log


RAISES = """
import os
if os.environ.get("RANK") == "1":
    if os.environ["WHERE"] == "start":
        from pettingllms.envs.math import MathEnv as place
        name = "tasks"
    else:
        from pettingllms.training.update import Update as place
        name = "run"

    def broken_on_purpose(*arguments):
        raise ValueError("boom")

    setattr(place, name, broken_on_purpose)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found under /proc")
@pytest.mark.parametrize("where", ["start", "update"])
def test_f10_the_traceback_of_a_process_that_fails_reaches_the_user(tmp_path, tiny_model, monkeypatch, where):
    (tmp_path / "sitecustomize.py").write_text(RAISES)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("WHERE", where)
    process = started(tmp_path, tiny_model)
    deadline = time.monotonic() + 240
    while not any("boom" in path.read_text() for path in tmp_path.glob("outputs/*/*/log.txt")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    said, log = ends_soon(process, tmp_path)
    assert "process 1 of the run: ValueError: boom" in said
    assert "in broken_on_purpose" in log
