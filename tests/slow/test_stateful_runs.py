"""The experiment for `stateful_env` for real: three steps on the embedded model, offline."""

import pytest
from experiment_runs import samples, trained

pytestmark = pytest.mark.slow


def test_who_proposes_and_who_decides_earn_by_different_things(tmp_path):
    folder, records = trained("stateful_plan_path.toml", tmp_path)
    steps = [record for record in records if "train/reward/plan_agent" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert record["train/reward/tool_call_agent"] != record["train/reward/plan_agent"]
        assert record["train/env/lost"] == 0 <= record["train/env/refused_actions"]
    # Where all candidates of every group earn the same, there is nothing to learn from.
    for policy in ("tool_policy", "plan_policy"):
        assert any(f"train/loss/{policy}" in record for record in steps)
    reasons = {agent: set() for agent in ("tool_call_agent", "plan_agent")}
    for agent, sample in samples(folder, "train"):
        reasons[agent].add(sample["reason"])
    for found in reasons.values():
        assert "solved" in found and found & {"unsolved", "refused_actions"}
