"""The experiments for `code_env` for real: three steps on the embedded model, offline."""

import pytest
from experiment_runs import samples, trained

pytestmark = pytest.mark.slow


def test_a_single_agent_trains_on_programs(tmp_path):
    folder, records = trained("code_single_agent.toml", tmp_path)
    steps = [record for record in records if "train/reward/single_agent" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    assert any(sample["success"] for _, sample in samples(folder, "train")), "some problems are easy enough"


def test_a_writer_of_programs_and_one_of_tests_earn_by_different_things(tmp_path):
    folder, records = trained("code_cure.toml", tmp_path)
    steps = [record for record in records if "train/reward/test_generator" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert record["train/reward/code_generator"] != record["train/reward/test_generator"]
    # Where all candidates of every group earn the same, there is nothing to learn from.
    for policy in ("code_policy", "test_policy"):
        assert any(f"train/loss/{policy}" in record for record in steps)
    reasons = {agent: set() for agent in ("code_generator", "test_generator")}
    for agent, sample in samples(folder, "train"):
        reasons[agent].add(sample["reason"])
    assert "wrong" in reasons["code_generator"] and "passed" in reasons["code_generator"]
    assert reasons["test_generator"] & {"valid_tests", "some_invalid_tests"}
