"""An advantage for each token: hand numbers, closed forms, and what one play is."""

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import episode, plans, sample, turn

from pettingllms.advantages.filtering import filtered
from pettingllms.advantages.gae import credit_tokens, gae
from pettingllms.advantages.grouping import groups_of
from pettingllms.errors import InvariantError
from pettingllms.types import FinishReason, StopReason

GAE = {"adv_estimator": "gae"}
ACTIONS, CHAINS = plans(**GAE), plans(grouping="trajectory", **GAE)


def judged(reward, *values, candidate=0, **more):
    """A completion with a value for each of its tokens."""
    return replace(sample(reward, candidate, tokens=len(values), **more), values=values)


def credited(episodes, by=ACTIONS, gamma=1.0, lam=1.0):
    return credit_tokens(groups_of(episodes, by), gamma=gamma, lam=lam)


def members(groups, agent="tool"):
    return [one for group in groups if group.key.agent == agent for one in group.members]


def raw(member):
    """Advantages before they were scaled: return - value."""
    pairs = zip(member.per_token.returns, member.sample.values, strict=True)
    return [back - value for back, value in pairs]


# One row of tokens.


def test_c42_three_steps_that_end_and_three_that_were_cut_off():
    numbers = {"gamma": 0.5, "lam": 0.5}
    # Done: -1 = 3 - 4; 2 + 4/2 - 2 = 2, and 2 - 1/4; 1 + 2/2 - 1 = 1, and 1 + 1.75/4.
    assert gae([1, 2, 3], [1, 2, 4], **numbers) == [1.4375, 1.75, -1.0]
    # Cut off in a state worth 6: 3 + 6/2 - 4 = 2; 2 + 2/4; 1 + 2.5/4.
    assert gae([1, 2, 3], [1, 2, 4], value_after=6, **numbers) == [1.625, 2.5, 2.0]


def test_with_gamma_and_lambda_1_it_is_the_return_less_the_value():
    assert gae([1, 2, 3], [0.5, 1.5, 4], gamma=1, lam=1) == [5.5, 3.5, -1.0]
    assert gae([1, 2, 3], [0.5, 1.5, 4], gamma=1, lam=1, value_after=10) == [15.5, 13.5, 9.0]


def test_with_lambda_0_it_is_the_error_of_one_step():
    # 1 + 0.9 x 1.5 - 0.5; 2 + 0.9 x 4 - 1.5; 3 - 4
    assert gae([1, 2, 3], [0.5, 1.5, 4], gamma=0.9, lam=0) == pytest.approx([1.85, 4.1, -1.0])


def test_discounting_is_by_token():
    # 0.9^2 x 1, 0.9 x 1, 1
    assert gae([0, 0, 1], [0, 0, 0], gamma=0.9, lam=1) == pytest.approx([0.81, 0.9, 1])


UNIT, NUMBER = st.floats(0, 1), st.floats(-10, 10)


@given(st.lists(st.tuples(NUMBER, NUMBER), max_size=8), UNIT, UNIT, NUMBER)
def test_it_is_the_double_sum_of_the_paper(steps, gamma, lam, after):
    rewards, values = [one for one, _ in steps], [*(two for _, two in steps), after]
    deltas = [reward + gamma * values[t + 1] - values[t] for t, reward in enumerate(rewards)]
    wanted = [
        sum((gamma * lam) ** k * delta for k, delta in enumerate(deltas[t:])) for t in range(len(steps))
    ]
    assert gae(rewards, values[:-1], gamma=gamma, lam=lam, value_after=after) == pytest.approx(
        wanted, abs=1e-9
    )


# What a play is.


def test_an_action_is_a_play_of_its_own_and_earns_at_its_last_token():
    turns = [turn(0, "tool", [judged(1, 0.25, 0.5), judged(0, 0.25, candidate=1)])]
    one, other = members(credited([episode("a", turns)], gamma=0.5, lam=1))
    # 1 x 0.5 - 0.25, 1 - 0.5; 0 - 0.25
    assert raw(one) == [0.25, 0.5] and raw(other) == [-0.25]
    assert one.per_token.returns == (0.5, 1.0) and other.per_token.returns == (0.0,)


def test_the_turns_of_an_agent_are_one_play_under_trajectory():
    turns = [
        turn(0, "reason", [judged(100, 0)]),
        turn(1, "tool", [judged(1, 1)]),
        turn(2, "reason", [judged(0.5, 0)]),
        turn(3, "tool", [judged(2, 2)]),
        turn(4, "tool", [judged(3, 4)]),
    ]
    groups = credited([episode("a", turns)], CHAINS, gamma=0.5, lam=0.5)
    # As the three steps of C42, but that the first earns 1 + 0.5: nothing of what came before it.
    assert [raw(one) for one in members(groups)] == [[1.9375], [1.75], [-1.0]]
    # The other agent: at its second turn 0.5 + 2 + 3, at its first 100 + 1 and half of the value after, 0.
    assert [raw(one) for one in members(groups, "reason")] == [[101 + 5.5 / 4], [5.5]]


def test_a_solved_episode_and_one_out_of_turns_end_alike():
    turns = [turn(0, "tool", [judged(0, 0.5)]), turn(1, "tool", [judged(1, 0.5)])]
    ends = [StopReason.SOLVED, StopReason.MAX_TURNS]
    assert [
        [raw(one) for one in members(credited([episode("a", turns, stop=stop)], CHAINS, lam=0))]
        for stop in ends
    ] == [[[0.0], [0.5]]] * 2


def test_penalties_of_others_are_not_taken_off():
    turns = [
        turn(0, "tool", [judged(1, 0, penalty=0.25)]),
        turn(1, "reason", [judged(1, 0, penalty=0.5)]),
    ]
    groups = credited([episode("a", turns)], CHAINS)
    assert [raw(one) for one in members(groups)] == [[1.75]]
    assert [raw(one) for one in members(groups, "reason")] == [[0.5]]


def test_completions_of_one_action_are_followed_by_the_same_and_precede_the_mean_of_theirs():
    turns = [
        turn(0, "tool", [judged(1, 0), judged(1, 0)]),
        turn(1, "tool", [judged(2, 1, 5), judged(2, 1)]),
    ]
    found = members(credited([episode("a", turns)], CHAINS))
    # Second turn: 2 - 1, 2 - 5 and 2 - 1. First: 1 + 1 - 0, and the mean of 1 and 1 after it.
    assert [raw(one) for one in found] == [[3], [3], [1, -3], [1]]


def test_a_turn_without_tokens_passes_on_what_it_earned():
    silent = sample(4, tokens=0)
    turns = [turn(0, "tool", [judged(1, 0)]), turn(1, "tool", [silent]), turn(2, "tool", [judged(2, 0)])]
    assert [raw(one) for one in members(credited([episode("a", turns)], CHAINS))] == [[7], [2]]


# What is left out.


def test_failed_candidates_get_nothing_and_are_not_needed():
    lost = sample(None, 1, tokens=2, masked="infrastructure")
    turns = [turn(0, "tool", [judged(1, 0), lost, judged(0, 0, candidate=2)])]
    one, failed, other = members(credited([episode("a", turns)]))
    assert failed.per_token is None and (failed.advantage, failed.dropped) == (0.0, "infrastructure")
    assert one.advantage == pytest.approx(math.sqrt(0.5)) and other.advantage == -one.advantage


def test_an_episode_that_failed_has_no_return():
    turns = [turn(0, "tool", [judged(1, 0, 0)]), turn(1, "reason", [sample(None, tokens=0)])]
    found = members(credited([episode("a", turns, stop=StopReason.FAILED)], CHAINS))
    assert [(one.per_token, one.dropped, one.advantages) for one in found] == [(None, "failed", (0.0, 0.0))]


def test_truncated_samples_are_credited_and_left_out_of_the_loss():
    turns = [turn(0, "tool", [judged(1, 0, finish=FinishReason.LENGTH), judged(0, 0, candidate=1)])]
    masking = plans(mask_truncated_samples=True, **GAE)
    one, _ = members(credited([episode("a", turns)], masking))
    assert one.dropped == "truncated" and one.per_token.returns == (1.0,)


def test_a_sample_without_a_value_for_each_token_is_refused():
    for values in (None, (0.5,)):
        turns = [turn(0, "tool", [replace(sample(1), values=values)])]
        with pytest.raises(InvariantError, match="2 tokens have"):
            credited([episode("a", turns)])
    with pytest.raises(InvariantError, match="already"):
        credit_tokens(credited([episode("a", [turn(0, "tool", [judged(1, 0)])])]), gamma=1, lam=1)


# The batch.


def test_advantages_are_scaled_over_all_tokens_of_the_batch():
    episodes = [
        episode("a", [turn(0, "tool", [judged(3, 0, 1), judged(1, 0, candidate=1)])]),
        episode("b", [turn(0, "tool", [judged(0, 2)])], place=1),
    ]
    found = members(credited(episodes))
    numbers = [3, 2, 1, -2]
    assert [raw(one) for one in found] == [[3, 2], [1], [-2]]
    mean, deviation = 1, statistics.stdev(numbers)
    wanted = [(one - mean) / deviation for one in numbers]
    assert [a for one in found for a in one.advantages] == pytest.approx(wanted)
    assert found[0].advantage == pytest.approx((wanted[0] + wanted[1]) / 2)


@pytest.mark.parametrize("count", [1, 3])
def test_advantages_that_are_equal_are_exactly_0(count):
    candidates = [judged(0.3 - 0.1, 0.1 + 1e-9 * n, candidate=n) for n in range(count)]
    found = members(credited([episode("a", [turn(0, "tool", candidates)])]))
    assert [one.advantages for one in found] == [(0.0,)] * count


def test_filters_look_at_the_mean_of_the_tokens():
    turns = [turn(0, "tool", [judged(3, 0, 6), judged(2, 0, candidate=1), judged(1, 0, candidate=2)])]
    # Means before scaling: (3 - 3) / 2, 2, 1: below their mean, 1, is the first.
    (group,) = filtered(credited([episode("a", turns)]), "mean", 0.0)
    assert [one.dropped for one in group.members] == ["mean", None, None]
    assert all(one.per_token is not None for one in group.members)
