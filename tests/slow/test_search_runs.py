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
        assert 0 <= record["train/env/recall"] <= 1 and record["train/cut_prompts"] == 0
        assert "train/failed_actions" not in record
    # Where all candidates of every group earn the same, there is nothing to learn from.
    for policy in ("search_policy", "answer_policy"):
        assert any(f"train/loss/{policy}" in record for record in steps)
    earned = {SEARCHER: [], REASONER: []}
    for agent, sample in samples(folder, "train"):
        earned[agent].append((sample["reason"], sample["local"]))
    assert any(local > 0 for _, local in earned[SEARCHER]), "some searches find what is needed"
    assert {"correct", "wrong"} & {reason for reason, _ in earned[REASONER]}, "some replies are answers"
    assert all(local in (0, 1) for _, local in earned[REASONER])
