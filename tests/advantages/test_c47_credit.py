import itertools

import numpy as np
import pytest

from benchmarks.bandit import APART, LINKED, exact_gradient, measure
from pettingllms.advantages import ADVANTAGES

DRAWS = 1000
"""Of one batch each."""


def test_c47_agent_turn_is_nearer_to_the_exact_gradient():
    # One task, K = 8: 48 samples a draw, the very same for both.
    def cosine(grouping):
        one = measure(APART, grouping, "independent", draws=DRAWS, tasks=1)
        # NumPy and the package agree.
        assert one.gap < 1e-12
        # There is no bias but (K - 1) / K: what is left is noise, which is larger by trajectory.
        print(f"{grouping}: cosine {one.cosine:.3f}, bias {one.bias:.3f}, by noise alone {one.error:.3f}")
        assert one.bias < 2 * one.error < 0.1
        return one.cosine

    by_turn, by_trajectory = cosine("agent_turn"), cosine("trajectory")
    assert by_turn >= 0.9
    assert by_turn - by_trajectory >= 0.2


@pytest.mark.parametrize("estimator", ["dr_grpo", "rloo"])
def test_the_expected_gradient_is_exact_but_for_the_known_factor(estimator):
    # All 4^3 ways in which three samples of one state can come out, each with its probability
    chances, rewards = APART.policy[0, 0], APART.rewards[0, 0]
    expected = np.zeros(4)
    for actions in itertools.product(range(4), repeat=3):
        (advantages,) = ADVANTAGES.load(estimator)([[float(rewards[action]) for action in actions]])
        scores = np.eye(4)[list(actions)] - chances
        expected += chances[list(actions)].prod() * (np.array(advantages)[:, None] * scores).mean(axis=0)
    exact = chances * (rewards - chances @ rewards)
    factor = {"dr_grpo": 2 / 3, "rloo": 1.0}[estimator]
    assert expected == pytest.approx(factor * exact, abs=1e-15)


def test_the_exact_gradient_is_that_of_the_expected_sum():
    # Without links it is known in closed form: by state p * (r - mean); and it does not matter whether a turn
    # is held to account for its own reward or for all.
    policy, rewards = APART.policy, APART.rewards
    closed = policy * (rewards - (policy * rewards).sum(-1, keepdims=True))
    for grouping in ("agent_turn", "trajectory"):
        assert exact_gradient(APART, grouping) == pytest.approx(closed, abs=1e-12)


def test_the_exact_gradient_with_links_agrees_with_finite_differences():
    def value(logits):
        # Forward through the states: the expected sum of rewards
        weights = np.exp(logits)
        policy = weights / weights.sum(-1, keepdims=True)
        visited, total = np.eye(4)[0], 0.0
        for turn in range(6):
            joint = visited[:, None] * policy[turn]
            total += (joint * LINKED.rewards[turn]).sum()
            visited = joint.sum(axis=0)
        return total

    exact = exact_gradient(LINKED)
    for spot in [(0, 0, 1), (1, 2, 3), (4, 1, 0), (5, 3, 2)]:
        step = np.zeros_like(LINKED.logits)
        step[spot] = 1e-5
        slope = (value(LINKED.logits + step) - value(LINKED.logits - step)) / 2e-5
        assert exact[spot] == pytest.approx(slope, abs=1e-9)


# grouping, mode; the bias to the gradient of the sum that docs/training.md reports
AIMS = [
    ("agent_turn", "independent", 0.25),
    ("trajectory", "independent", 0.0),
    ("agent_turn", "tree", 0.25),
    ("agent_turn", "greedy", 0.92),
]


@pytest.mark.parametrize(("grouping", "mode", "bias"), AIMS)
def test_each_way_to_group_has_an_aim_of_its_own(grouping, mode, bias):
    one = measure(LINKED, grouping, mode, draws=DRAWS, tasks=2)
    assert one.gap < 1e-12
    assert one.own_bias < 2 * one.own_error
    assert one.bias == pytest.approx(bias, abs=2 * one.error)
