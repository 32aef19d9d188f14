"""The experiment for `search_env` for real: three steps on the embedded model, offline."""

import pytest
from experiment_runs import samples, trained

pytestmark = pytest.mark.slow
SEARCHER, REASONER = "web_search_agent", "search_reasoning_agent"


def test_a_searcher_and_a_reasoner_train_on_what_each_of_them_earns(tmp_path):
    folder, records = trained("search_two_agents.toml", tmp_path)
    steps = [record for record in records if f"train/reward/{SEARCHER}" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert "train/loss/search_policy" in record and "train/loss/answer_policy" in record
        assert 0 <= record["train/env/recall"] <= 1 and record["train/cut_prompts"] == 0
        assert "train/failed_actions" not in record
    earned = {SEARCHER: [], REASONER: []}
    for agent, sample in samples(folder, "train"):
        earned[agent].append((sample["reason"], sample["local"]))
    assert any(local > 0 for _, local in earned[SEARCHER]), "some searches find what is needed"
    assert {"correct", "wrong"} & {reason for reason, _ in earned[REASONER]}, "some replies are answers"
    assert all(local in (0, 1) for _, local in earned[REASONER])
