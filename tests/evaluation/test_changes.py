"""Ablations: who plays with which policy, who plays alone, and at which temperature."""

import pytest
from scripted_experiment import write_experiment

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.errors import RefusedError, UsageError
from pettingllms.evaluation.changes import (
    Changes,
    as_played,
    assigned,
    parse_swaps,
    require_varied,
    temperatures,
)
from pettingllms.lint.engine import check_experiment

TOOL, REASON = "tool_generator", "reasoning_generator"
THIRD = '+agent_policy_configs.agent_configs.agent_2={ name = "verifier", policy_name = "tool policy" }'
WITH_THIRD = (
    THIRD,
    "agent_policy_configs.num_agents=3",
    f"multi_agent_interaction.turn_order=[{TOOL},{REASON},verifier]",
)


@pytest.fixture
def experiment(tmp_path, tiny_model):
    def make(*overrides):
        return check_experiment(write_experiment(tmp_path, tiny_model), overrides).experiment

    return make


def typed(experiment, changes):
    return ExperimentConfig.model_validate(as_played(experiment.stored, experiment.config, changes))


def test_two_agents_exchange_policies(experiment):
    config = experiment().config
    assert assigned(config, Changes()) == {TOOL: "tool policy", REASON: "reason/policy"}
    assert assigned(config, Changes(((TOOL, REASON),))) == {TOOL: "reason/policy", REASON: "tool policy"}


def test_two_policies_exchange_all_their_agents(experiment):
    config = experiment(*WITH_THIRD, "env.max_turns=3").config
    assert assigned(config, Changes((("tool policy", "reason/policy"),))) == {
        TOOL: "reason/policy",
        REASON: "tool policy",
        "verifier": "reason/policy",
    }
    one_pair = Changes(((REASON, "verifier"),))
    assert assigned(config, one_pair) == {
        TOOL: "tool policy",
        REASON: "tool policy",
        "verifier": "reason/policy",
    }


def test_swaps_follow_each_other(experiment):
    config = experiment().config
    assert assigned(config, Changes(((TOOL, REASON), (TOOL, REASON)))) == assigned(config, Changes())


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((TOOL, "reasoning_generater"), "did you mean 'reasoning_generator'"),
        (("x", "y"), "no agent or policy 'x'"),
        ((TOOL, "reason/policy"), "one is an agent and the other a policy"),
        ((TOOL, "verifier"), "changes nothing"),
    ],
)
def test_a_swap_that_means_nothing_is_refused(experiment, pair, words):
    config = experiment(*WITH_THIRD, "env.max_turns=3").config
    with pytest.raises(UsageError) as caught:
        assigned(config, Changes((pair,)))
    assert words in f"{caught.value}; {caught.value.help}"


@pytest.mark.parametrize("word", ["a", "a=", "=b", "a=a", ""])
def test_a_swap_needs_two_names(word):
    with pytest.raises(UsageError, match="two names are needed"):
        parse_swaps([word])
    assert parse_swaps(["a = b", "c=d=e"]) == (("a", "b"), ("c", "d=e"))


def test_the_tree_that_is_played_holds_the_changes_and_nothing_else(experiment):
    loaded = experiment()
    before = str(loaded.stored)
    played = typed(loaded, Changes(((TOOL, REASON),), temperature=0.5))
    agents = played.agent_policy_configs.agent_configs
    assert [(one.name, one.policy_name, one.val_llm_config.temperature) for one in agents.values()] == [
        (TOOL, "reason/policy", 0.5),
        (REASON, "tool policy", 0.5),
    ]
    assert str(loaded.stored) == before
    assert typed(loaded, Changes()) == loaded.config


@pytest.mark.parametrize(("turns", "unit", "total"), [(5, "agent", 5), (2, "round", 4)])
def test_one_agent_alone_plays_as_many_turns_as_the_team(experiment, turns, unit, total):
    loaded = experiment(f"env.max_turns={turns}", f"env.turn_unit={unit}")
    played = typed(loaded, Changes(single=REASON))
    assert played.multi_agent_interaction.turn_order == [REASON]
    assert (played.env.max_turns, played.env.turn_unit) == (total, "agent")
    assert temperatures(loaded.config, Changes(single=REASON)) == {REASON: 0.0}


def test_an_unknown_agent_cannot_play_alone(experiment):
    loaded = experiment()
    with pytest.raises(UsageError, match="no agent that takes turns 'tool'"):
        as_played(loaded.stored, loaded.config, Changes(single="tool"))


def test_greedy_agents_are_not_played_more_than_once(experiment):
    greedy = experiment().config
    require_varied(greedy, Changes(), 1)
    require_varied(greedy, Changes(temperature=0.01), 8)
    with pytest.raises(RefusedError, match="8 samples of a task would all be the same") as caught:
        require_varied(greedy, Changes(), 8)
    assert "--temperature" in caught.value.help
    warm = experiment("++agent_policy_configs.agent_configs.agent_0.val_llm_config.temperature=1.0").config
    require_varied(warm, Changes(), 8)
    for changes in (Changes(temperature=0.0), Changes(single=REASON)):
        with pytest.raises(RefusedError):
            require_varied(warm, changes, 2)


@pytest.mark.parametrize("temperature", [-1.0, 0.001, float("nan")])
def test_temperatures_that_engines_do_not_take_are_refused(experiment, temperature):
    with pytest.raises(UsageError, match="engines take 0"):
        require_varied(experiment().config, Changes(temperature=temperature), 1)
