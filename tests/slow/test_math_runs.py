"""The experiments for `math_env` and `mixed_env` for real: three steps on the embedded model, offline."""

import pytest
from experiment_runs import trained, turns

pytestmark = pytest.mark.slow


def test_an_aggregator_learns_beside_those_whose_answers_it_sees(tmp_path):
    folder, records = trained("math_aggregation.toml", tmp_path)
    steps = [record for record in records if "train/reward/aggregator" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for record in steps:
        assert "train/loss/sampling_policy" in record and "train/loss/aggregating_policy" in record
        assert record["train/env/grading_timeout"] == 0.0
    shown = [turn["prompt"] for _, turn in turns(folder, "train") if turn["agent"] == "aggregator"]
    assert shown and any("Given answers: " in prompt.rpartition("What is")[2] for prompt in shown)


def test_one_agent_trains_on_sums_and_on_programs(tmp_path):
    folder, records = trained("mixed.toml", tmp_path)
    steps = [record for record in records if "train/reward/single_agent" in record]
    assert [record["step"] for record in steps] == [1, 2, 3]
    for part in ("math", "code"):
        assert any(f"train/env/{part}/success_rate" in record for record in steps)
        assert any(f"val/env/{part}/success_rate" in record for record in records)
    played = {task.split("/")[1] for task, _ in turns(folder, "train")}
    assert played == {"math", "code"}
