"""A team that learns by gae: tabular policies and critics, in a bandit whose actions are what others see."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bandit import ACTIONS, AGENTS, APART, LINKED, TURNS, Plan, episodes, play
from pettingllms.advantages.gae import credit_tokens
from pettingllms.advantages.grouping import groups_of
from pettingllms.config.ppo import AlgorithmConfig

STEPS, EPISODES = 60, 32


def following(bandit):
    """[A, S]: the state that an action leads to."""
    return np.eye(bandit.states)[np.arange(ACTIONS) % bandit.states]


def expected(bandit):
    """The sum of all rewards that the policies earn on average, by going forwards."""
    visited, total = np.eye(bandit.states)[0], 0.0
    for turn in range(TURNS):
        chances = visited[:, None] * bandit.policy[turn]
        total += (chances * bandit.rewards[turn]).sum()
        visited = chances.sum(axis=0) @ following(bandit)
    return total


def best(bandit):
    """The largest sum of rewards, by going backwards."""
    worth = np.zeros(bandit.states)
    for turn in reversed(range(TURNS)):
        worth = (bandit.rewards[turn] + following(bandit) @ worth).max(axis=1)
    return worth[0]


def judged(one, values):
    """An episode with what the critic expects at its tokens."""

    def turn(turn):
        number, state = turn.prompt_ids
        return replace(
            turn, samples=tuple(replace(s, values=(float(values[number, state]),)) for s in turn.samples)
        )

    return replace(one, turns=tuple(map(turn, one.turns)))


def learned(bandit, grouping, lam, seed=0):
    """The bandit with the policies that `STEPS` steps of `EPISODES` episodes make."""
    generator = np.random.default_rng(seed)
    algorithm = AlgorithmConfig(adv_estimator="gae", grouping=grouping, lam=lam)
    values = np.zeros(bandit.logits.shape[:2])
    for _ in range(STEPS):
        batch = play(bandit, "independent", 1, 1, EPISODES, generator)
        played = [judged(one, values) for one in episodes(bandit, batch, 0)]
        groups = groups_of(played, dict.fromkeys(AGENTS, Plan(algorithm)))
        slopes, errors, counts = np.zeros_like(bandit.logits), np.zeros_like(values), np.zeros_like(values)
        for agent in AGENTS:
            own = [group for group in groups if group.policy == agent]
            for group in credit_tokens(own, gamma=algorithm.gamma, lam=algorithm.lam):
                for member in group.members:
                    where, (action,) = member.prompt_ids, member.sample.completion.token_ids
                    slopes[where] += member.advantage * (np.eye(ACTIONS)[action] - bandit.policy[where])
                    errors[where] += member.per_token.returns[0] - values[where]
                    counts[where] += 1
        values += 0.5 * errors / np.maximum(counts, 1)
        bandit = replace(bandit, logits=bandit.logits + 2.0 * slopes / EPISODES)
    return bandit


@pytest.mark.parametrize(
    ("what", "bandit", "lam"),
    [
        ("actions change their own reward", APART, 1.0),
        ("an action is the next one's state", LINKED, 1.0),
        ("an action is the next one's state", LINKED, 0.9),
    ],
)
def test_gae_learns_the_bandit(what, bandit, lam):
    found = learned(bandit, "trajectory", lam)
    share, before = expected(found) / best(bandit), expected(bandit) / best(bandit)
    print(f"{what}, lam {lam}: {share:.3f} of the optimum, {before:.3f} before")
    assert before < 0.8 and share >= 0.95


def test_a_play_of_one_action_does_not_see_what_follows_from_it():
    whole, alone = (
        expected(learned(LINKED, grouping, 1.0)) / best(LINKED) for grouping in ("trajectory", "agent_turn")
    )
    print(f"trajectory {whole:.3f}, agent_turn {alone:.3f}")
    assert alone < whole
