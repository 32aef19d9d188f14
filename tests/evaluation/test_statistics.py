"""Rates, intervals and comparisons against closed forms, enumeration, and what they promise."""

import random
from fractions import Fraction
from itertools import combinations, product
from math import comb, sqrt
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.evaluation.statistics import (
    average_at,
    independent_trials,
    paired_difference,
    pass_at,
    success_rate,
    wilson,
)

TABLES = st.integers(1, 6).flatmap(
    lambda samples: st.lists(st.lists(st.booleans(), min_size=samples, max_size=samples), min_size=1)
)


def test_wilson_solves_its_equation():
    # The ends are where |rate - p| = z sqrt(p (1 - p) / n): 7 of 10, z = 1.959964.
    low, high = wilson(0.7, 10)
    for end in (low, high):
        assert abs(0.7 - end) == pytest.approx(1.959963985 * sqrt(end * (1 - end) / 10), abs=1e-9)
    # As published, e.g. by Newcombe 1998, Stat. Med. 17, table I: 81 of 263 is 0.2553 to 0.3662.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    # None of n: 0 to z² / (n + z²).
    assert wilson(0.0, 20) == pytest.approx((0.0, 3.8414588 / 23.8414588), abs=1e-7)
    assert wilson(1.0, 20) == pytest.approx((1 - 3.8414588 / 23.8414588, 1.0), abs=1e-7)


@given(st.integers(1, 50), st.data())
def test_wilson_holds_the_rate_and_stays_a_share(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes / trials, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert wilson(1 - successes / trials, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_wilson_covers_the_true_rate_about_as_often_as_it_says(rate):
    # Exact, over all outcomes of 40 trials: the mean coverage of Wilson's interval is close to nominal.
    covered = 0.0
    for successes in range(41):
        low, high = wilson(successes / 40, 40)
        if low <= rate <= high:
            covered += comb(40, successes) * rate**successes * (1 - rate) ** (40 - successes)
    assert 0.93 <= covered <= 0.98


def test_one_sample_a_task_is_a_plain_proportion():
    rows = [[True]] * 7 + [[False]] * 3
    found = success_rate(rows)
    assert (found.value, found.trials) == (0.7, 10)
    assert (found.low, found.high) == wilson(0.7, 10)


def test_samples_that_agree_within_tasks_are_worth_no_more_than_the_tasks():
    # All plays of a task end alike: 40 samples tell as much as 10.
    assert independent_trials([[True] * 4] * 7 + [[False] * 4] * 3) == 10
    # Tasks do not differ at all: each sample counts in full.
    assert independent_trials([[True, False]] * 10) == 20
    # Rates 1, 1/2, 0 have mean 1/2 and variance 1/4: 1/4 / (1/4 / 3) = 3 of 6.
    assert independent_trials([[True, True], [True, False], [False, False]]) == 3
    assert independent_trials([[True, False, False]]) == 1
    assert independent_trials([[False, False]] * 5) == 5


@given(TABLES)
def test_independent_trials_are_between_tasks_and_samples(rows):
    assert len(rows) <= independent_trials(rows) <= sum(map(len, rows))
    found = success_rate(rows)
    assert found.low <= found.value <= found.high


@given(TABLES, st.data())
def test_pass_at_k_is_the_mean_over_all_choices_of_k_samples(rows, data):
    k = data.draw(st.integers(1, len(rows[0])))
    expected = fmean(
        Fraction(sum(any(chosen) for chosen in combinations(row, k)), comb(len(row), k)) for row in rows
    )
    assert pass_at(rows, k) == pytest.approx(float(expected), abs=1e-12)


def test_pass_at_k_is_unbiased():
    # Expectation over all outcomes of n = 5 samples of success 0.3, k = 2: 1 - 0.7² = 0.51. The plug-in
    # estimate 1 - (1 - c/n)² is not.
    expected = plugged = 0.0
    for row in product([True, False], repeat=5):
        chance = 0.3 ** sum(row) * 0.7 ** (5 - sum(row))
        expected += chance * pass_at([row], 2)
        plugged += chance * (1 - (1 - sum(row) / 5) ** 2)
    assert expected == pytest.approx(0.51, abs=1e-12)
    assert plugged < 0.47


def test_average_at_k_takes_the_first_k_samples():
    rows = [[True, False, False, False], [True, True, False, True]]
    assert [average_at(rows, k) for k in (1, 2, 4)] == [1.0, 0.75, 0.5]
    assert pass_at(rows, 4) == 1.0
    assert pass_at(rows, 1) == average_at(rows, 4)


@pytest.mark.parametrize("estimate", [average_at, pass_at])
@pytest.mark.parametrize("k", [0, 3])
def test_more_samples_than_there_are_is_refused(estimate, k):
    with pytest.raises(ValueError, match=f"k = {k}"):
        estimate([[True, False]], k)


def test_bootstrap_of_a_known_case():
    # Gains +1 of 6 tasks, -1 of 2, 0 of 12: mean 0.2, and the resampled mean has variance (8/20 - 0.04)/20.
    gains = [1] * 6 + [-1] * 2 + [0] * 12
    first, second = [[gain > 0] for gain in gains], [[gain < 0] for gain in gains]
    found = paired_difference(first, second, seed=0)
    assert (found.value, found.tasks) == (pytest.approx(0.2), 20)
    error = sqrt((8 / 20 - 0.04) / 20)
    # Means are multiples of 1/20, so that the ends are close to the normal ones within one step.
    assert found.low == pytest.approx(0.2 - 1.96 * error, abs=0.051)
    assert found.high == pytest.approx(0.2 + 1.96 * error, abs=0.051)
    # P(mean <= 0) under resampling: X = ups - downs of 20 draws with chances 0.3, 0.1, 0.6.
    exact = sum(
        comb(20, up) * comb(20 - up, down) * 0.3**up * 0.1**down * 0.6 ** (20 - up - down)
        for up in range(21)
        for down in range(21 - up)
        if up <= down
    )
    assert found.p == pytest.approx(2 * exact, abs=0.02)


def test_bootstrap_is_seeded_and_antisymmetric():
    source = random.Random(0)
    first = [[source.random() < 0.7 for _ in range(4)] for _ in range(30)]
    second = [[source.random() < 0.5 for _ in range(4)] for _ in range(30)]
    found = paired_difference(first, second, seed=3)
    assert found == paired_difference(first, second, seed=3)
    assert found != paired_difference(first, second, seed=4)
    back = paired_difference(second, first, seed=3)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert back.p == found.p


def test_equal_sides_differ_by_nothing():
    rows = [[True, False]] * 5 + [[False, False]] * 5
    found = paired_difference(rows, rows, seed=0)
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_difference_in_every_task_is_certain_but_no_p_value_is_0():
    found = paired_difference([[True]] * 8, [[False]] * 8, seed=0)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.p == pytest.approx(2 / 10_001)


def test_other_tasks_are_no_pair():
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([[True]] * 3, [[True]] * 2, seed=0)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says(monkeypatch):
    # 200 experiments of 60 tasks whose own rates vary; the true difference is 0.2. Of 95 % intervals 10 would
    # miss it, with a standard error of 3.1; the percentile bootstrap misses a few more.
    from pettingllms.evaluation import statistics

    monkeypatch.setattr(statistics, "RESAMPLES", 400)
    source = random.Random(1)
    missed = 0
    for number in range(200):
        rates = [source.uniform(0.0, 0.8) for _ in range(60)]
        first = [[source.random() < rate + 0.2 for _ in range(2)] for rate in rates]
        second = [[source.random() < rate for _ in range(2)] for rate in rates]
        found = paired_difference(first, second, seed=number)
        missed += not found.low <= 0.2 <= found.high
        # The p-value and the interval say the same, but for the one resample that p counts beside them.
        if found.p < 0.04:
            assert not found.low <= 0 <= found.high
    assert 2 <= missed <= 22
