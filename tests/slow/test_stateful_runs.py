"""The experiment for `stateful_env` for real: three steps on the embedded model, offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "stateful_plan_path.toml"


def test_who_proposes_and_who_decides_earn_by_different_things(tmp_path):
    words = [sys.executable, "-m", "pettingllms", "train", str(EXPERIMENT)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "outputs").glob("*/*")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if "train/reward/plan_agent" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert record["train/reward/tool_call_agent"] != record["train/reward/plan_agent"]
        assert "train/loss/tool_policy" in record and "train/loss/plan_policy" in record
        assert record["train/env/lost"] == 0 <= record["train/env/refused_actions"]
    reasons = {agent: set() for agent in ("tool_call_agent", "plan_agent")}
    for path in folder.glob("samples/train-*.jsonl"):
        for line in path.read_text().splitlines():
            for turn in json.loads(line)["turns"]:
                reasons[turn["agent"]] |= {sample["reason"] for sample in turn["samples"]}
    for found in reasons.values():
        assert "solved" in found and found & {"unsolved", "refused_actions"}
