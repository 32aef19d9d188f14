import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import group

from pettingllms.advantages import ADVANTAGES
from pettingllms.advantages.filtering import FILTERS, filtered, informative_places
from pettingllms.config.ppo import PpoTrainerConfig


def kept(groups, method, ratio=0.5):
    """By group the numbers of the samples that are left."""
    return [
        [number for number, member in enumerate(one.members) if member.dropped is None]
        for one in filtered(groups, method, ratio)
    ]


def test_every_filter_of_the_schema_is_there():
    schema = PpoTrainerConfig.model_json_schema()["properties"]["filter_method"]
    assert set(FILTERS) == set(schema["enum"])


def test_none_drops_nothing():
    assert kept([group([0, 0]), group([1, 0])], "none", 0.0) == [[0, 1], [0, 1]]


def test_mean_drops_what_is_below_it_and_not_among_the_best():
    # Advantages 9, 1, 0, -2: mean 2. The best half are 9 and 1; 0 and -2 are below the mean and go.
    groups = [group([9, 1]), group([0, -2])]
    assert kept(groups, "mean", 0.5) == [[0, 1], []]
    # Of a quarter only the 9 is safe; nothing is safe of none, and 9 is above the mean.
    assert kept(groups, "mean", 0.25) == kept(groups, "mean", 0.0) == [[0], []]
    assert kept(groups, "mean", 1.0) == [[0, 1], [0, 1]]


def test_median_drops_what_is_below_it_and_not_among_the_best():
    # Advantages 9, 1, 0, -2: median 1/2
    groups = [group([9, 1]), group([0, -2])]
    assert kept(groups, "median", 0.25) == [[0, 1], []]
    assert kept(groups, "median", 0.75) == [[0, 1], [0]]


def test_the_mean_is_that_of_the_batch_not_of_a_group():
    # Advantages 3, 5, -4, -4: mean 0; 3 is below the mean of its own group
    assert kept([group([3, 5]), group([-4, -4])], "mean", 0.25) == [[0, 1], []]


def test_rounding_puts_nothing_below_the_mean():
    # The advantages sum to 0 but for rounding: samples of flat groups are not below that.
    groups = [group([0, 0], [0.0, 0.0]), group([1, 2, 4])]
    (advantages,) = ADVANTAGES.load("dr_grpo")([[0.1, 0.2, 0.7]])
    noisy = group([0.1, 0.2, 0.7], [one + 1e-15 for one in advantages])
    assert kept([groups[0], noisy], "mean", 0.0) == [[0, 1], [2]]


def test_c12_filters_keep_a_group_whole():
    # Leaving one out, [1,0,0,0] has the baselines 0, 1/3, 1/3, 1/3: the first has no spread around it. The
    # group is of different rewards all the same, and stays whole beside a flat one.
    rewards = [[1, 0, 0, 0], [1, 1, 1, 1]]
    advantages = ADVANTAGES.load("rloo")(rewards)
    groups = [group(*pair) for pair in zip(rewards, advantages, strict=True)]
    for method in ("dapo", "std"):
        found = filtered(groups, method, 0.5)
        assert [member.dropped for member in found[0].members] == [None] * 4
        assert [member.dropped for member in found[1].members] == [method] * 4
        assert [m.advantage for m in found[0].members] == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
        assert [m.advantage for m in found[1].members] == [0, 0, 0, 0]


def test_dapo_reads_no_ratio():
    for ratio in (0.0, 0.5, 1.0):
        assert kept([group([1, 1]), group([0, 1]), group([3])], "dapo", ratio) == [[], [0, 1], []]


def test_std_keeps_the_groups_that_vary_most_for_their_range():
    # Variance over squared range: [1,1,0,0] 1/4; [9,0,0,0] 3/16, as [1,0,0,0]; [2,1,1,0] 1/8; flat 0
    groups = [group(r) for r in ([2, 1, 1, 0], [1, 1, 0, 0], [5, 5, 5, 5], [9, 0, 0, 0])]
    whole = [0, 1, 2, 3]
    assert kept(groups, "std", 0.25) == [[], whole, [], []]
    assert kept(groups, "std", 0.5) == [[], whole, [], whole]
    assert kept(groups, "std", 0.75) == [whole, whole, [], whole]
    assert kept(groups, "std", 1.0) == [whole] * 4
    assert kept(groups, "std", 0.0) == [[]] * 4


def test_uid_keeps_what_is_nearest_the_mean_of_its_group():
    # Mean 2: distances 2, 2, 1, 5; and of one sample the half is the one
    groups = [group([0, 0, 1, 7]), group([3])]
    assert kept(groups, "uid", 0.5) == [[0, 2], [0]]
    assert kept(groups, "uid", 0.25) == [[2], [0]]
    assert kept(groups, "uid", 1.0) == [[0, 1, 2, 3], [0]]
    assert kept(groups, "uid", 0.0) == [[], []]


def test_ties_go_to_what_comes_first():
    equal = [group([1, 0, 0]), group([1, 0, 0])]
    assert kept(equal, "mean", 0.5) == [[0, 1], [0]]
    assert kept(equal, "std", 0.5) == [[0, 1, 2], []]
    assert kept([group([0, 1, 1, 0])], "uid", 0.5) == [[0, 1]]


def test_rounding_decides_nothing():
    # 0.28 of 25 is 7, and in floating point 7.000000000000001
    assert len(kept([group(list(range(25)))], "uid", 0.28)[0]) == 7
    # 0.4 and 0.1 are as far from their mean: 0.15000000000000002 and 0.15
    assert kept([group([0.4, 0.1])], "uid", 0.5) == [[0]]
    # One 1 among zeros varies as one 1.7 does: 3/16 and 0.18750000000000003
    assert kept([group([1, 0, 0, 0]), group([1.7, 0, 0, 0])], "std", 0.5) == [[0, 1, 2, 3], []]
    # 0.1 and 0.10000000000000003 are the same advantage
    groups = [group([0.1, 5.0]), group([0.10000000000000003, 5.0])]
    assert kept(groups, "mean", 0.75) == [[0, 1], [1]]


def test_what_was_dropped_stays_so_and_does_not_count():
    # Without the 100 the mean of 4, 0, -4 is 0, and half of three samples, rounded up, are two.
    one = group([100, 4, 0, -4], dropped=["truncated", None, None, None])
    (found,) = filtered([one], "mean", 0.5)
    assert [member.dropped for member in found.members] == ["truncated", None, None, "mean"]
    # Nearest to the mean 0 of what is left
    (found,) = filtered([one], "uid", 0.3)
    assert [member.dropped for member in found.members] == ["truncated", "uid", None, "uid"]
    # A group that is dropped whole takes no one's place.
    gone = group([1, 0], dropped=["failed", "failed"])
    assert kept([gone, group([2, 1, 0])], "std", 0.5) == [[], [0, 1, 2]]
    (found,) = filtered([group([1, 1], dropped=["truncated", None])], "dapo", 0.5)
    assert [member.dropped for member in found.members] == ["truncated", "dapo"]


REWARDS = st.lists(st.lists(st.integers(-4, 4), min_size=1, max_size=5), min_size=1, max_size=5)


@pytest.mark.parametrize("method", ["mean", "median"])
@given(rewards=REWARDS, ratio=st.floats(0.01, 1))
def test_the_best_sample_is_kept(method, rewards, ratio):
    advantages = ADVANTAGES.load("dr_grpo")(rewards)
    groups = [group(*pair) for pair in zip(rewards, advantages, strict=True)]
    found = filtered(groups, method, ratio)
    best = max(advantage for one in advantages for advantage in one)
    left = [member.advantage for one in found for member in one.members if member.dropped is None]
    assert max(left) == pytest.approx(best)


@pytest.mark.parametrize("method", sorted(FILTERS))
@given(rewards=REWARDS, ratio=st.floats(0, 1))
def test_a_filter_changes_nothing_but_who_is_dropped(method, rewards, ratio):
    groups = [group(one) for one in rewards]
    found = filtered(groups, method, ratio)
    for before, after in zip(groups, found, strict=True):
        assert (before.key, before.rewards, before.failed) == (after.key, after.rewards, after.failed)
        assert [m.advantage for m in before.members] == [m.advantage for m in after.members]
        assert {m.dropped for m in after.members} <= {None, method}
        if method in ("dapo", "std"):
            assert len({m.dropped for m in after.members}) == 1
    assert filtered(found, "none", ratio) == found


@pytest.mark.parametrize("method", ["mean", "median", "std", "uid"])
@given(rewards=REWARDS, ratio=st.floats(0.01, 1))
def test_a_share_above_nothing_keeps_something(method, rewards, ratio):
    assert any(kept([group(one) for one in rewards], method, ratio))


def test_tasks_with_a_group_of_different_rewards_are_informative():
    groups = [
        group([1, 1], place=0),
        group([1, 0], place=1),
        group([0, 0], place=2),
        group([0, 1], place=2),
        # Of a policy that is not refilled
        group([0, 1], place=3, policy="reason"),
        # Nothing of it is left to train
        group([0, 1], place=4, dropped=["truncated", "failed"]),
    ]
    assert informative_places(groups, {"tool"}) == {1, 2}
    assert informative_places(groups, {"tool", "reason"}) == {1, 2, 3}
    assert informative_places(groups, ()) == set()
