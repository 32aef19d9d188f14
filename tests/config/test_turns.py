"""Policies that take turns: whose turn a step is, and how many of them there are."""

import pytest

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.config.turns import last_turn, trained_policies, turns_of, whose_turn


def config_of(steps=10, every=None, trained=(True, True, True), policies=("a", "b", "c")):
    return ExperimentConfig.model_validate(
        {
            "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
            "base_models": {f"policy_{n}": {"path": "tiny", "name": name} for n, name in enumerate("abc")},
            "agent_policy_configs": {
                "num_agents": 3,
                "agent_configs": {
                    f"agent_{n}": {"name": f"agent{n}", "policy_name": policy, "trained": own}
                    for n, (policy, own) in enumerate(zip(policies, trained, strict=True))
                },
            },
            "multi_agent_interaction": {"turn_order": ["agent0", "agent1", "agent2"]},
            "training": {"device": "cpu", "total_training_steps": steps, "alternate_every": every},
        }
    )


def test_without_turns_every_step_is_everybodys():
    assert whose_turn(["a", "b"], 7, None) == ["a", "b"]


def test_each_policy_has_its_steps_then_the_next_one():
    turns = [whose_turn(["a", "b", "c"], step, 2) for step in range(1, 9)]
    assert turns == [["a"], ["a"], ["b"], ["b"], ["c"], ["c"], ["a"], ["a"]]
    assert whose_turn([], 1, 2) == []


def test_policies_of_frozen_agents_take_no_turn():
    assert trained_policies(config_of(trained=(True, False, True))) == ["a", "c"]
    # One trained agent is enough.
    shared = config_of(trained=(False, True, True), policies=("a", "a", "c"))
    assert trained_policies(shared) == ["a", "c"]


@pytest.mark.parametrize("steps", range(1, 25))
@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_turns_are_counted_as_they_are_taken(steps, every):
    config = config_of(steps, every)
    for policy in "abc":
        own = [n for n in range(1, steps + 1) if policy in whose_turn(["a", "b", "c"], n, every)]
        assert turns_of(config, policy) == len(own)
        assert last_turn(config, policy) == max(own, default=0)


def test_without_turns_the_last_step_is_everybodys():
    assert [last_turn(config_of(10), policy) for policy in "abc"] == [10, 10, 10]


def test_a_schedule_is_as_long_as_its_policy_has_turns():
    assert [plan.schedule_steps for plan in plan_policies(config_of(10, 4)).values()] == [4, 4, 2]
    assert [plan.schedule_steps for plan in plan_policies(config_of(10)).values()] == [10, 10, 10]
