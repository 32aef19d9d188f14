"""The experiments for `math_env` and `mixed_env` for real: three steps on the embedded model, offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def run(name, folder):
    words = [sys.executable, "-m", "pettingllms", "train", str(EXPERIMENTS / name)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder / "outputs").glob("*/*")
    return found, [json.loads(line) for line in (found / "metrics.jsonl").read_text().splitlines()]


def turns(folder, split):
    for path in folder.glob(f"samples/{split}-*.jsonl"):
        for line in path.read_text().splitlines():
            episode = json.loads(line)
            yield from ((episode["task"], turn) for turn in episode["turns"])


def test_an_aggregator_learns_beside_those_whose_answers_it_sees(tmp_path):
    folder, records = run("math_aggregation.toml", tmp_path)
    steps = [record for record in records if "train/reward/aggregator" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert "train/loss/sampling_policy" in record and "train/loss/aggregating_policy" in record
        assert record["train/env/grading_timeout"] == 0.0
    shown = [turn["prompt"] for _, turn in turns(folder, "train") if turn["agent"] == "aggregator"]
    assert shown and any("Given answers: " in prompt.rpartition("What is")[2] for prompt in shown)


def test_one_agent_trains_on_sums_and_on_programs(tmp_path):
    folder, records = run("mixed.toml", tmp_path)
    steps = [record for record in records if "train/reward/single_agent" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for part in ("math", "code"):
        assert any(f"train/env/{part}/success_rate" in record for record in steps)
        assert any(f"val/env/{part}/success_rate" in record for record in records)
    played = {task.split("/")[1] for task, _ in turns(folder, "train")}
    assert played == {"math", "code"}
