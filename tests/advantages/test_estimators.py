import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from played import group

from pettingllms.advantages import ADVANTAGES, estimator_of
from pettingllms.advantages.equality import all_equal
from pettingllms.config.ppo import AlgorithmConfig
from pettingllms.errors import RefusedError

GROUPED = ("grpo", "dr_grpo", "rloo")
ALL = (*GROUPED, "reinforce_plus_plus")


# The papers' equations, in NumPy: an advantage per reward of a group, or of the whole batch.


def paper_grpo(r):
    # Shao et al. 2024 (arXiv:2402.03300), outcome supervision: (r_i - mean(r)) / std(r)
    return (r - r.mean()) / r.std(ddof=1)


def paper_dr_grpo(r):
    # Liu et al. 2025 (arXiv:2503.20783): R(q, o_i) - mean(R(q, o_1), ..., R(q, o_G))
    return r - r.mean()


def paper_rloo(r):
    # Ahmadian et al. 2024 (arXiv:2402.14740): R(y_i) - 1/(k-1) * sum over j != i of R(y_j)
    others = ~np.eye(len(r), dtype=bool)
    return np.array([r[i] - r[others[i]].sum() / (len(r) - 1) for i in range(len(r))])


def paper_reinforce_plus_plus(r):
    # Hu et al. 2025 (arXiv:2501.03262): (A - mean of the batch) / std of the batch, with A = r
    return (r - r.mean()) / r.std(ddof=1)


PAPERS = {"grpo": paper_grpo, "dr_grpo": paper_dr_grpo, "rloo": paper_rloo}

# Far enough apart that no difference counts as rounding.
REWARD = st.integers(-20, 20).map(lambda n: n / 16)
GROUP = st.lists(REWARD, min_size=2, max_size=9)
BATCH = st.lists(GROUP, min_size=1, max_size=5)


def test_every_estimator_is_checked_here():
    assert set(ADVANTAGES) == set(ALL)


@pytest.mark.parametrize("name", GROUPED)
@given(batch=BATCH)
def test_a_group_estimator_computes_its_papers_equation(name, batch):
    found = ADVANTAGES.load(name)(batch)
    for rewards, advantages in zip(batch, found, strict=True):
        paper = PAPERS[name](np.array(rewards)) if max(rewards) > min(rewards) else np.zeros(len(rewards))
        assert advantages == pytest.approx(paper.tolist(), abs=1e-12)


@given(batch=BATCH)
def test_reinforce_plus_plus_computes_its_papers_equation(batch):
    rewards = np.array([reward for one in batch for reward in one])
    assume(rewards.max() > rewards.min())
    found = ADVANTAGES.load("reinforce_plus_plus")(batch)
    assert [len(one) for one in found] == [len(one) for one in batch]
    flat = [advantage for one in found for advantage in one]
    assert flat == pytest.approx(paper_reinforce_plus_plus(rewards).tolist(), abs=1e-12)


def test_hand_computed_advantages():
    batch = [[1, 0, 0, 1], [4, 0]]
    # [1,0,0,1]: mean 1/2, sample std 1/sqrt(3) -> +-sqrt(3)/2; [4,0]: mean 2, std 4/sqrt(2) -> +-1/sqrt(2)
    halves = math.sqrt(3) / 2
    grpo = ADVANTAGES.load("grpo")(batch)
    assert grpo[0] == pytest.approx([halves, -halves, -halves, halves])
    assert grpo[1] == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])
    assert ADVANTAGES.load("dr_grpo")(batch) == [[0.5, -0.5, -0.5, 0.5], [2, -2]]
    # 1 against the mean 1/3 of 0,0,1; 0 against 2/3; 4 against 0
    rloo = ADVANTAGES.load("rloo")(batch)
    assert rloo[0] == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    assert rloo[1] == [4, -4]
    # all six together: mean 1, squares 0,1,1,0,9,1 -> std sqrt(12/5)
    deviation = math.sqrt(12 / 5)
    found = ADVANTAGES.load("reinforce_plus_plus")(batch)
    assert found[0] == pytest.approx([0, -1 / deviation, -1 / deviation, 0])
    assert found[1] == pytest.approx([3 / deviation, -1 / deviation])


def test_c10_tiny_groups_have_the_sample_deviation():
    # Rewards 0, 1: mean 1/2. With ddof 0 the deviation is 1/2 and the advantages -1, 1; with ddof 1, which
    # this package takes, it is 1/sqrt(2) and they are -1/sqrt(2), 1/sqrt(2).
    rewards = np.array([0.0, 1.0])
    assert ((rewards - 0.5) / rewards.std(ddof=0)).tolist() == [-1, 1]
    (found,) = ADVANTAGES.load("grpo")([rewards.tolist()])
    assert found == pytest.approx([-0.70710678118, 0.70710678118])
    for name in ALL:
        assert ADVANTAGES.load(name)([[5.0]]) == [[0.0]]
        assert ADVANTAGES.load(name)([[]]) == [[]]
        assert ADVANTAGES.load(name)([]) == []


FLAT = [
    *([0.1] * 3, [1 / 3] * 8, [0.0, 0.0], [-7.5] * 4),
    [0.5, 0.5 + 1e-9, 0.5 - 1e-9],
    [0.0, 1e-9, -1e-9],
    [1000.0, 1000.0001],
    # What a sum of float32 numbers leaves of seven equal rewards
    [float(np.float32(0.7) + np.float32(number * 1e-9)) for number in range(-40, 41, 5)],
    [float(np.float32(1) + np.float32(1.2e-7)), 1.0],
]


@pytest.mark.parametrize("rewards", FLAT, ids=str)
def test_c11_rewards_that_differ_by_rounding_teach_nothing(rewards):
    assert all_equal(rewards)
    assert group(rewards).flat
    for name in ALL:
        assert ADVANTAGES.load(name)([rewards]) == [[0.0] * len(rewards)]


@pytest.mark.parametrize("rewards", [[0.0, 1e-5], [1.0, 1.00001], [-1.0, 1.0], [1000.0, 1000.01]])
def test_small_differences_are_differences(rewards):
    assert not all_equal(rewards)
    assert not group(rewards).flat
    for name in ALL:
        low, high = ADVANTAGES.load(name)([rewards])[0]
        assert low < 0 < high


@given(rewards=st.lists(st.floats(-1e3, 1e3) | st.floats(-1e-5, 1e-5), max_size=6))
def test_a_group_is_flat_where_its_rewards_count_as_equal(rewards):
    assert group(rewards).flat is all_equal(rewards)


def test_a_flat_group_beside_others_is_zero_in_group_estimators_only():
    # Without a baseline of the group, a solved task beside a failed one is better than the batch:
    # mean 1/2, squares 4 * 1/4 -> std sqrt(1/3)
    batch = [[1.0, 1.0], [0.0, 0.0]]
    for name in GROUPED:
        assert ADVANTAGES.load(name)(batch) == [[0.0, 0.0], [0.0, 0.0]]
    high = 0.5 / math.sqrt(1 / 3)
    found = ADVANTAGES.load("reinforce_plus_plus")(batch)
    assert found[0] == pytest.approx([high, high]) and found[1] == pytest.approx([-high, -high])


@pytest.mark.parametrize("name", GROUPED)
@given(batch=BATCH)
def test_advantages_of_a_group_sum_to_zero(name, batch):
    for advantages in ADVANTAGES.load(name)(batch):
        assert sum(advantages) == pytest.approx(0, abs=1e-12)


@given(batch=BATCH, scale=st.sampled_from([0.25, 0.5, 3.0, 100.0]))
def test_the_scale_of_rewards_does_not_matter_to_grpo(batch, scale):
    grpo = ADVANTAGES.load("grpo")
    scaled = grpo([[scale * reward for reward in rewards] for rewards in batch])
    for one, other in zip(grpo(batch), scaled, strict=True):
        assert other == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize("name", ALL)
@given(batch=BATCH, shift=st.integers(-8, 8))
def test_what_all_rewards_have_in_common_does_not_matter(name, batch, shift):
    estimate = ADVANTAGES.load(name)
    shifted = estimate([[reward + shift for reward in rewards] for rewards in batch])
    for one, other in zip(estimate(batch), shifted, strict=True):
        assert other == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize("name", GROUPED)
@given(batch=BATCH)
def test_groups_know_nothing_of_each_other(name, batch):
    estimate = ADVANTAGES.load(name)
    assert estimate(batch) == [advantages for rewards in batch for advantages in estimate([rewards])]


@given(batch=BATCH)
def test_rloo_is_dr_grpo_without_its_factor(batch):
    for centred, left_out in zip(
        ADVANTAGES.load("dr_grpo")(batch), ADVANTAGES.load("rloo")(batch), strict=True
    ):
        size = len(centred)
        assert left_out == pytest.approx([one * size / (size - 1) for one in centred], abs=1e-12)


def test_grpo_without_division_is_dr_grpo():
    assert estimator_of(AlgorithmConfig()) is ADVANTAGES.load("grpo")
    without = AlgorithmConfig(norm_adv_by_std_in_grpo=False)
    assert estimator_of(without) is ADVANTAGES.load("dr_grpo")
    # The switch is grpo's: other estimators do not read it.
    for name in ALL[1:]:
        algorithm = AlgorithmConfig(adv_estimator=name, norm_adv_by_std_in_grpo=False)
        assert estimator_of(algorithm) is ADVANTAGES.load(name)
    with pytest.raises(RefusedError, match="gae"):
        estimator_of(AlgorithmConfig(adv_estimator="gae"))
