"""Whatever the team and the mode: groups are pure, messages arrive, rewards stay with their actions.

`replayed` plays an episode again from its records alone, and checks every turn against the rules.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_rollout import LogAgent, OnePolicyEngine, StubEngine, digest, member, part, play, render, task

from pettingllms.types import StopReason

NAMES = "abcd"


@st.composite
def games(draw):
    """Keyword arguments of `play`, of every kind that the rollout knows."""
    agents = draw(st.integers(1, 4))
    order = [
        member(
            LogAgent(name, draw(st.sampled_from([None, None, 2, 3]))),
            sample_num=draw(st.integers(1, 3)),
            policy=f"policy_{draw(st.integers(0, 1))}",
        )
        for name in NAMES[:agents]
    ]
    return {
        "order": order,
        "tasks": [task(f"task{number}") for number in range(draw(st.integers(1, 3)))],
        "turns": draw(st.integers(1, 6)),
        "parallel": draw(st.booleans()),
        "mode": draw(st.sampled_from(["tree", "independent"])),
        "candidates": draw(st.integers(1, 4)),
        "greedy": draw(st.booleans()),
        "resolve": draw(st.booleans()),
        "together": draw(st.booleans()),
        "reward_alpha": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "seed": draw(st.integers(0, 99)),
    }


def acting_text(texts):
    """The documented vote over `LogAgent.opinion`, counted by hand."""
    if len(texts) == 1:
        return texts[0]
    opinions = [None if text[0] in "01" else ord(text[0]) % 3 for text in texts]
    said = [opinion for opinion in opinions if opinion is not None]
    if not said:
        return texts[0]
    most = max(said.count(opinion) for opinion in said)
    winner = next(opinion for opinion in said if said.count(opinion) == most)
    return texts[opinions.index(winner)]


def replayed(played, episode):
    """Check every turn of `episode`; yields (turn, rewards of its candidates)."""
    team, rules = played.team, played.settings
    size = len(team.order) if team.parallel else 1
    turns, log, skipped = {turn.index: turn for turn in episode.turns}, (), 0
    candidates = rules.candidates if rules.mode == "tree" else 1
    for begin in range(0, team.max_turns, size):
        start, acted = log, False
        for index in range(begin, min(begin + size, team.max_turns)):
            one = team.order[index % len(team.order)]
            if one.agent.skip and len(start) % one.agent.skip == 1:
                assert index not in turns
                skipped += 1
                continue
            turn, acted = turns.pop(index), True
            assert (turn.agent, turn.policy) == (one.name, one.policy)
            # F1, F2, F4: the prompt is this task's, and shows what was committed before.
            assert turn.prompt_text == f"{one.name}@{render(episode.task, start)}"
            own = [turn.samples[i : i + one.sample_num] for i in range(0, len(turn.samples), one.sample_num)]
            assert [[s.candidate for s in samples] for samples in own] == [
                [candidate] * one.sample_num for candidate in range(candidates)
            ]
            rewards, texts = [], []
            for samples in own:
                for sample in samples:
                    assert sample.text == digest(one.policy, turn.prompt_ids, sample.seed)
                    # F4: it was stepped on the state of the round's start plus what was committed since.
                    assert sample.reward.reason == render(episode.task, log)
                    assert sample.reward == samples[0].reward
                texts.append(acting_text([sample.text for sample in samples]))
                after = (*log, (one.name, texts[-1]))
                reward = samples[0].reward
                assert reward.local == part(texts[-1]) / 2
                assert reward.team == part(after) / 2
                assert reward.total == pytest.approx(rules.reward_alpha * reward.team + reward.local)
                assert samples[0].success is (part(after) > 0.5)
                rewards.append(reward.total)
            best = rewards.index(max(rewards)) if rules.greedy else 0
            assert turn.chosen == best
            log = (*log, (one.name, texts[best]))
            yield turn, rewards
        done = rules.resolve and acted and len(log) > 2 and part(log, "solved") > 0.7
        if done:
            break
    assert not turns
    assert episode.stop_reason is (StopReason.SOLVED if done else StopReason.MAX_TURNS)
    assert episode.success is (part(log) > 0.5)
    assert episode.metrics["skipped_turns"] == skipped


@settings(max_examples=150, deadline=None)
@given(games())
def test_every_episode_can_be_replayed_from_its_records(game):
    played = play(**game)
    branches = 1 if game["mode"] == "tree" else game["candidates"]
    assert [(one.place, one.branch) for one in played.episodes] == [
        (place, branch) for place in range(len(game["tasks"])) for branch in range(branches)
    ]
    seeds = []
    for episode in played.episodes:
        assert episode.task == game["tasks"][episode.place]
        for turn, rewards in replayed(played, episode):
            # F3: different actions have different rewards, for every agent; texts differ with their seeds.
            assert len(set(rewards)) == len(rewards)
            seeds += [sample.seed for sample in turn.samples]
    assert sorted(seeds) == sorted(request.seed for request in played.engine.requests)
    assert len(set(seeds)) == len(seeds)
    total = len(played.episodes) * game["turns"]
    assert played.progress[-1] == (total, total)


@settings(max_examples=60, deadline=None)
@given(games(), st.integers(0, 99), st.integers(1, 4))
def test_episodes_do_not_depend_on_how_they_are_scheduled(game, shuffle, workers):
    plain = play(**game, workers=1).episodes
    assert play(**game, phases=True).episodes == plain
    assert play(**game, workers=workers, engine=StubEngine(shuffle=shuffle)).episodes == plain
    assert play(**game, phases=True, engine=StubEngine(shuffle=shuffle)).episodes == plain
    merged = OnePolicyEngine(shuffle=shuffle)
    assert play(**game, merged=True, workers=workers, engine=merged).episodes == plain


@settings(max_examples=60, deadline=None)
@given(games())
def test_each_generation_shares_one_prompt_per_turn(game):
    """F1 at the engine: the requests of one turn are of one task, turn, agent and prompt."""
    played = play(**game)
    asked = {request.seed: request for request in played.engine.requests}
    for episode in played.episodes:
        for turn in episode.turns:
            requests = [asked[sample.seed] for sample in turn.samples]
            assert {(one.prompt_ids, one.policy, one.sampling) for one in requests} == {
                (turn.prompt_ids, turn.policy, turn.sampling)
            }
