"""Conformance of the rollout: C31 to C38."""

from statistics import pvariance

import pytest
from stub_rollout import (
    FAILED,
    LogAgent,
    LogEnv,
    StubEngine,
    digest,
    hashed,
    member,
    part,
    play,
    task,
    text_of,
)

from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.base import Outcome

ABC = [LogAgent("a"), LogAgent("b"), LogAgent("c")]
TASKS = [task("one"), task("two"), task("three")]


@pytest.mark.parametrize("parallel", [False, True])
def test_c31_samples_of_a_tree_group_share_one_identical_prompt(parallel):
    played = play(ABC, TASKS, turns=6, parallel=parallel, engine=StubEngine(shuffle=3))
    prompt_of = {request.seed: request.prompt_ids for request in played.engine.requests}
    prompts = set()
    for episode in played.episodes:
        for turn in episode.turns:
            assert len(turn.samples) == 4
            assert {prompt_of[sample.seed] for sample in turn.samples} == {turn.prompt_ids}
            prompts.add(turn.prompt_ids)
    assert len(prompts) == 3 * 6, "no two groups share a prompt in this game"


@pytest.mark.parametrize("parallel", [False, True])
def test_c32_every_agents_actions_keep_their_own_rewards(parallel):
    (episode,) = play(ABC, TASKS[:1], candidates=8, parallel=parallel).episodes
    assert [turn.agent for turn in episode.turns] == ["a", "b", "c"]
    for turn in episode.turns:
        # The agent's own reward is a hash of its action.
        assert [sample.reward.local for sample in turn.samples] == [
            part(sample.text) / 2 for sample in turn.samples
        ]
        assert len({sample.reward.total for sample in turn.samples}) == 8
        assert pvariance([sample.reward.total for sample in turn.samples]) > 0


def test_c33_later_agent_is_shown_this_turns_message_unless_they_act_at_once():
    for parallel in (False, True):
        (episode,) = play(ABC[:2], TASKS[:1], turns=4, parallel=parallel).episodes
        _, second, third, fourth = episode.turns
        said = [turn.samples[turn.chosen].text for turn in episode.turns]
        assert (f"a:{said[0]}" in second.prompt_text) is not parallel
        assert (f"a:{said[2]}" in fourth.prompt_text) is not parallel
        # The next round starts with what both did, in either case; both acted on the state of their turn.
        assert third.prompt_text == f"a@one<a:{said[0]} b:{said[1]}>"
        assert second.samples[0].reward.reason == f"one<a:{said[0]}>"


def test_c34_failed_generation_is_marked_and_counted_and_no_reward():
    def second_fails(request):
        second_fails.count += 1
        return FAILED if second_fails.count == 2 else hashed(request)

    second_fails.count = 0
    (episode,) = play(ABC[:1], TASKS[:1], candidates=8, engine=StubEngine(second_fails)).episodes
    (turn,) = episode.turns
    failed = turn.samples[1]
    assert (failed.masked, failed.reward, failed.success, failed.text) == (
        "generation_failed",
        None,
        False,
        "",
    )
    others = [sample for sample in turn.samples if sample is not failed]
    assert len(others) == 7 and all(s.masked is None and s.reward is not None for s in others)
    assert turn.chosen == max((0, *range(2, 8)), key=lambda place: turn.samples[place].reward.total)
    assert episode.metrics["failed_generations"] == 1


def test_c35_evaluation_is_separate_plain_plays():
    repeated = [(place, TASKS[place // 2]) for place in range(6)]
    played = play(ABC, repeated, mode="independent", candidates=1, evaluation=True)
    assert [(one.task.id, one.place, one.branch) for one in played.episodes] == [
        (TASKS[place // 2].id, place, 0) for place in range(6)
    ]
    for episode in played.episodes:
        assert [len(turn.samples) for turn in episode.turns] == [1, 1, 1]
        assert [turn.chosen for turn in episode.turns] == [0, 0, 0]
        assert episode.success is episode.turns[-1].samples[0].success
    assert {request.sampling.temperature for request in played.engine.requests} == {0.0}
    # Two plays of one task go their own ways.
    assert len({episode.turns[-1].prompt_text for episode in played.episodes}) == 6
    with pytest.raises(ValueError, match="candidates must be 1"):
        play(ABC, TASKS, candidates=2, evaluation=True)


class Scored(LogEnv):
    """The team's reward after each action is read from a table."""

    def team_reward(self):
        return [0.0, 0.25, 0.5, 0.5, 0.75, 1.0][len(self.log) - 1]


class Bidder(Agent):
    """Earns what its text says."""

    system_prompt = ""

    def observe(self, env):
        return env.shown()

    def act(self, env, text):
        env.log = (*env.log, (self.name, text))
        return Outcome(float(text), "bid")


def test_c36_rewards_blend_the_teams_and_the_agents_own():
    bids = iter(["0.5", "0.0", "-1.0", "1.0", "0.25", "-0.5"])
    order = [Bidder(AgentConfig(name=name, policy_name="p")) for name in ("a", "b")]
    (episode,) = play(
        order,
        TASKS[:1],
        engine=StubEngine(lambda request: next(bids)),
        turns=6,
        candidates=1,
        reward_alpha=0.5,
        make_env=Scored,
    ).episodes
    # round  agent  team   local   0.5 * team + local
    #   1      a    0       0.5      0.5
    #   1      b    0.25    0        0.125
    #   2      a    0.5    -1       -0.75
    #   2      b    0.5     1        1.25
    #   3      a    0.75    0.25     0.625
    #   3      b    1      -0.5      0
    rewards = [turn.samples[0].reward for turn in episode.turns]
    assert [reward.total for reward in rewards] == [0.5, 0.125, -0.75, 1.25, 0.625, 0.0]
    assert [turn.agent for turn in episode.turns] == ["a", "b"] * 3


def test_c37_every_request_of_all_ranks_has_its_own_seed():
    places = list(enumerate([task(f"t{number % 4}") for number in range(8)]))

    def seeds(seed):
        ranks = [play(ABC[:1], places[rank::2], candidates=8, seed=seed) for rank in range(2)]
        return [request.seed for rank in ranks for request in rank.engine.requests]

    first = seeds(0)
    assert len(first) == len(set(first)) == 64
    assert seeds(0) == first
    assert not set(seeds(1)) & set(first)


@pytest.mark.parametrize("mode", ["tree", "independent"])
def test_c38_each_reward_belongs_to_its_completion_in_any_order(mode):
    for shuffle in range(5):
        played = play(
            [member(ABC[0], sample_num=2), ABC[1]],
            TASKS,
            engine=StubEngine(shuffle=shuffle),
            turns=4,
            candidates=3,
            mode=mode,
        )
        asked = {request.seed: request for request in played.engine.requests}
        for episode in played.episodes:
            for turn in episode.turns:
                for sample in turn.samples:
                    request = asked[sample.seed]
                    assert text_of(request) == turn.prompt_text
                    assert sample.text == digest(request.policy, request.prompt_ids, request.seed)
                    if turn.agent == "b":
                        assert sample.reward.local == part(sample.text) / 2
