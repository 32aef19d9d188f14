"""Studies of real trials: killed and gone on with, pruned, and a winner that trains as it is."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.one_agent import write_study

pytest.importorskip("accelerate")
pytest.importorskip("optuna")
pytestmark = pytest.mark.slow


@pytest.fixture
def experiment(tmp_path, tiny_model):
    def write(cells, steps, sweep=""):
        return write_study(tmp_path / "demo.toml", tiny_model, steps=steps, cells=cells, sweep=sweep)

    return write


@pytest.fixture
def started(tmp_path):
    """Starts `sweep run` in the folder of the test; what is left at its end is killed."""
    found = []

    def start(path):
        words = [sys.executable, "-m", "pettingllms", "sweep", "run", str(path), "--json", "--lease", "5"]
        with (tmp_path / "stderr.txt").open("ab") as log:
            found.append(subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True))
        return found[-1]

    yield start
    for process in found:
        process.kill()
        process.communicate()


def records(folder, name):
    path = folder / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def wait_for(condition, process, seconds=480):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_a_study_that_was_killed_goes_on_with_its_trial_from_the_checkpoint(tmp_path, experiment, started):
    path = experiment(2, 6)
    study = tmp_path / "outputs" / "demo"
    first = started(path)
    trial = study / "trial_0000"
    wait_for(lambda: any(r["event"] == "checkpoint" for r in records(trial, "events.jsonl")), first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = started(path)
    result = json.loads(again.communicate(timeout=480)[0])
    assert [(row["status"], row["attempts"]) for row in result["trials"]] == [
        ("complete", 2),
        ("complete", 1),
    ]
    begun = [
        record.get("from_step", 0)
        for record in records(trial, "events.jsonl")
        if record["event"] == "started"
    ]
    assert begun[0] == 0 and begun[-1] >= 1
    assert [record["step"] for record in records(trial, "metrics.jsonl")] == list(range(7))


def test_a_hopeless_trial_ends_with_its_process_tree_and_saves_its_steps(tmp_path, experiment, started):
    steps = 40
    # Nothing of this model is ever right enough.
    pruner = 'pruner = { kind = "threshold", lower = 0.99, warmup_steps = 2 }'
    path = experiment(2, steps, f'sampler = "random"\ntrials = 1\n{pruner}\n')
    trial = tmp_path / "outputs" / "demo" / "trial_0000"
    process = started(path)
    wait_for(lambda: (records(trial, "metrics.jsonl") or [{"step": 0}])[-1]["step"] >= 2, process)
    judged = time.monotonic()
    assert descendants(process.pid)
    while tree := descendants(process.pid):
        assert time.monotonic() < judged + 10, tree
        time.sleep(0.05)
    gone = time.monotonic() - judged
    result = json.loads(process.communicate(timeout=60)[0])
    (row,) = result["trials"]
    assert (row["status"], result["exit_code"]) == ("pruned", 0)
    done = records(trial, "metrics.jsonl")[-1]["step"]
    assert done < steps / 2
    print(f"process tree gone after {gone:.1f} s; {done} of {steps} steps done, {1 - done / steps:.0%} saved")


def descendants(ancestor):
    """The processes below `ancestor` that have not ended."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(stat.parent.name)] = int(parent)
    found, grown = {ancestor}, True
    while grown:
        new = {process for process, parent in parents.items() if parent in found} - found
        found, grown = found | new, bool(new)
    return found - {ancestor}
