"""The experiment for `search_env` for real: three steps on the embedded model, offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments/search_two_agents.toml"
SEARCHER, REASONER = "web_search_agent", "search_reasoning_agent"


def test_a_searcher_and_a_reasoner_train_on_what_each_of_them_earns(tmp_path):
    words = [sys.executable, "-m", "pettingllms", "train", str(EXPERIMENT)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "outputs").glob("*/*")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if f"train/reward/{SEARCHER}" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert "train/loss/search_policy" in record and "train/loss/answer_policy" in record
        assert 0 <= record["train/env/recall"] <= 1 and record["train/cut_prompts"] == 0
        assert "train/failed_actions" not in record
    earned = {SEARCHER: [], REASONER: []}
    for path in folder.glob("samples/train-*.jsonl"):
        for line in path.read_text().splitlines():
            for turn in json.loads(line)["turns"]:
                earned[turn["agent"]] += [(one["reason"], one["local"]) for one in turn["samples"]]
    assert any(local > 0 for _, local in earned[SEARCHER]), "some searches find what is needed"
    assert {"correct", "wrong"} & {reason for reason, _ in earned[REASONER]}, "some replies are answers"
    assert all(local in (0, 1) for _, local in earned[REASONER])
