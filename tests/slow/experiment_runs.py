"""A shipped experiment trained for real by the command line, and what it leaves."""

import json
import subprocess
import sys
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def trained(name, folder):
    """Run `train` on an experiment in `folder`; its run folder and the records of its metrics."""
    words = [sys.executable, "-m", "pettingllms", "train", str(EXPERIMENTS / name)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder / "outputs").glob("*/*")
    return found, [json.loads(line) for line in (found / "metrics.jsonl").read_text().splitlines()]


def turns(folder, split):
    """(id of the task, turn) of every saved turn."""
    for path in sorted(folder.glob(f"samples/{split}-*.jsonl")):
        for line in path.read_text().splitlines():
            episode = json.loads(line)
            yield from ((episode["task"], turn) for turn in episode["turns"])


def samples(folder, split):
    """(agent, sample) of every saved sample."""
    for _, turn in turns(folder, split):
        yield from ((turn["agent"], sample) for sample in turn["samples"])
