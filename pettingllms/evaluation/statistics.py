"""Rates, their intervals and comparisons, from successes by task; plain floats."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist, fmean, variance

CONFIDENCE = 0.95
RESAMPLES = 10_000

Successes = Sequence[Sequence[bool]]
"""One row per task, one entry per sample of it; all rows are of one length, at least 1."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate in [0, 1] with its confidence interval. `trials`: of how many independent ones it is worth."""

    value: float
    low: float
    high: float
    trials: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two rates over the same tasks, its confidence interval and two-sided p-value."""

    value: float
    low: float
    high: float
    p: float
    tasks: int


def success_rate(successes: Successes) -> Interval:
    """The share of successes with its Wilson interval at `CONFIDENCE`.

    Samples of one task resemble each other, so that they count less than as many tasks would:
    `independent_trials` says how much.
    """
    rate = fmean(value for row in successes for value in row)
    trials = independent_trials(successes)
    return Interval(rate, *wilson(rate, trials), trials)


def wilson(rate: float, trials: float) -> tuple[float, float]:
    """The Wilson score interval of `rate` of `trials` > 0 at `CONFIDENCE`.

    (r + z²/2n ± z √(r(1 - r)/n + z²/4n²)) / (1 + z²/n). Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209.
    """
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    shrink = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / shrink
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / shrink
    # At a rate of 0 or 1 one end is the rate itself, which rounding may miss.
    return max(centre - half, 0.0) if rate else 0.0, min(centre + half, 1.0) if rate < 1 else 1.0


def independent_trials(successes: Successes) -> float:
    """How many independent trials have the mean that the samples have, with the same standard error.

    r(1 - r) over the variance of the mean, which is s²/T with s² the variance of the tasks' own rates (Kish
    1965, Survey Sampling, section 5.4: the design effect of clusters). At least T, the number of tasks, and
    at most the number of samples; T where nothing varies or there is one task.
    """
    tasks, samples = len(successes), sum(map(len, successes))
    rates = [fmean(row) for row in successes]
    rate = fmean(rates)
    spread = variance(rates) if tasks > 1 else 0.0
    if not 0 < rate < 1:
        return float(tasks)
    if spread == 0:
        return float(samples) if tasks > 1 else float(tasks)
    return min(max(rate * (1 - rate) * tasks / spread, float(tasks)), float(samples))


def average_at(successes: Successes, k: int) -> float:
    """avg@k: the mean success of the first k samples of each task."""
    _require_samples(successes, k)
    return fmean(fmean(row[:k]) for row in successes)


def pass_at(successes: Successes, k: int) -> float:
    """pass@k: the chance that at least one of k samples of a task succeeds, mean over tasks.

    1 - C(n - c, k) / C(n, k) with c successes among n samples: the mean over all choices of k of them, which
    is unbiased. Source: Chen et al. 2021, eq. 1 (arXiv:2107.03374).
    """
    _require_samples(successes, k)
    return fmean(1 - comb(len(row) - sum(row), k) / comb(len(row), k) for row in successes)


def paired_difference(first: Successes, second: Successes, seed: int) -> Difference:
    """How much larger the success rate of `first` is than that of `second`, row by row the same tasks.

    A bootstrap over tasks: `RESAMPLES` times as many tasks as there are, drawn with replacement, each with
    the difference of its two rates. The interval is that of the percentiles; p is twice the share of
    resamples on the other side of 0, or at it, so that it says what the interval says.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 13.3 and 15.4.
    Raises ValueError where the tasks differ in number.
    """
    gains = [fmean(one) - fmean(other) for one, other in zip(first, second, strict=True)]
    source = random.Random(f"bootstrap/{seed}")
    means = sorted(fmean(source.choices(gains, k=len(gains))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    beyond = min(sum(mean <= 0 for mean in means), sum(mean >= 0 for mean in means))
    return Difference(
        value=fmean(gains),
        low=means[tail],
        high=means[-tail - 1],
        # The sample itself counts as one resample: no p-value is 0.
        p=min(1.0, 2 * (beyond + 1) / (RESAMPLES + 1)),
        tasks=len(gains),
    )


def _require_samples(successes: Successes, k: int) -> None:
    fewest = min(map(len, successes))
    if not 1 <= k <= fewest:
        raise ValueError(f"k = {k} needs as many samples of each task, and there are {fewest}")
