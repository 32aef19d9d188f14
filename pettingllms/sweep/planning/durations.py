"""How many tokens and how much time a run is expected to take: scaled from the most similar finished runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.sweep.planning.measured import Calibration, Measured, kind_of
from pettingllms.sweep.planning.workload import Length, Tokens, Workload, tokens_of

OTHER_TEXTS = 1e6
SAME = 1e-9
"""Runs whose distances differ by less are equally similar."""


@dataclass(frozen=True, slots=True)
class TimeParts:
    """Seconds of a whole run. `start`: loading, saving and ending; None where no run told it."""

    rollout: float
    update: float
    rest: float
    held_out: float
    start: float | None

    @property
    def total(self) -> float:
        """All of it."""
        return self.rollout + self.update + self.rest + self.held_out + (self.start or 0.0)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run will take, by finished ones.

    `seconds`: the mean of what the runs `by` say; `least` and `most` of them. `tokens` of a step. `work`:
    with what these runs knew of held-out tasks.
    """

    work: Workload
    lengths: Mapping[str, Length]
    tokens: Tokens
    parts: TimeParts
    least: float
    most: float
    by: tuple[Measured, ...]

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.parts.total


def expected(config: ExperimentConfig, work: Workload, known: Calibration) -> Expected | str:
    """What a run of `config` will take, or why nobody knows."""
    if not known.runs:
        return "no finished run to go by"
    kind = kind_of(config)
    of_kind = [run for run in known.runs if run.kind == kind]
    if not of_kind:
        others = "; ".join(sorted({str(run.kind) for run in known.runs}))
        return f"no finished run is {kind}, but {others}"
    similar = [run for run in of_kind if _comparable(work, run.work)]
    if not similar:
        return "the models' sizes are not known, and the finished runs have other models"
    distances = [_distance(config, work, run) for run in similar]
    nearest = [run for run, far in zip(similar, distances, strict=True) if far <= min(distances) + SAME]
    told = [_told_by(run, config, work) for run in nearest]
    parts = [part for *_, part in told]
    totals = [part.total for part in parts]
    own, lengths, _ = told[0]
    return Expected(
        own,
        lengths,
        _corrected(own, lengths, nearest[0]),
        _mean_parts(parts),
        min(totals),
        max(totals),
        tuple(nearest),
    )


def _told_by(
    run: Measured, config: ExperimentConfig, work: Workload
) -> tuple[Workload, dict[str, Length], TimeParts]:
    """What one run says of another: what it does, the lengths of its texts, its times."""
    own = replace(work, held_out={**work.held_out, **_same_tasks(run, config)})
    lengths = lengths_by(run, own)
    here, there = tokens_of(own, lengths, weigh=True), tokens_of(run.work, run.lengths, weigh=True)
    plays = own.held_out_plays
    fallback = fmean(run.held_out.values()) if run.held_out else 0.0
    each = {split: run.held_out.get(split, fallback) for split in plays}
    longer = here.held_out / there.held_out
    return (
        own,
        lengths,
        TimeParts(
            own.steps * run.rollout * here.sampled / there.sampled,
            own.steps * run.update * (here.trained / there.trained if there.trained else 1.0),
            own.steps * run.rest,
            sum(count * each[split] * longer for split, count in plays.items()),
            run.start,
        ),
    )


def lengths_by(run: Measured, work: Workload) -> dict[str, Length]:
    """The lengths that agents of `work` will have if they speak as those of `run` do.

    An agent that the run does not have speaks as all of its agents together. What was cut off at a limit
    goes on to a higher one; a lower one cuts.
    """
    everyone = Length(
        *(fmean(getattr(one, key) for one in run.lengths.values()) for key in ("prompt", "response", "cut"))
    )
    limits, before = work.limits, run.work.limits
    widest = max(limit.response for limit in before.values())
    found = {}
    for agent, limit in limits.items():
        length = run.lengths.get(agent, everyone)
        old = before[agent].response if agent in before else widest
        more = length.cut * max(limit.response - old, 0)
        found[agent] = Length(
            min(length.prompt, limit.prompt), min(length.response + more, limit.response), length.cut
        )
    return found


def _corrected(work: Workload, lengths: Mapping[str, Length], run: Measured) -> Tokens:
    """Tokens of a step, times the share of turns that were really played: episodes may end early."""
    played = run.tokens / tokens_of(run.work, run.lengths).sampled
    plain = tokens_of(work, lengths)
    return Tokens(plain.sampled * played, plain.prompts * played, plain.trained * played, plain.held_out)


def _comparable(one: Workload, other: Workload) -> bool:
    """True where the sizes of all models are known, or the models are the same."""
    sized = all(speaker.weights is not None for speaker in (*one.turns, *other.turns))
    return sized or {speaker.path for speaker in one.turns} == {speaker.path for speaker in other.turns}


def _distance(config: ExperimentConfig, work: Workload, run: Measured) -> float:
    """How different two runs are: by the logarithm of what they do at most in a step.

    Runs of other environments or agents come after all others: their texts have other lengths.
    """
    here, there = (tokens_of(one, one.limits, weigh=True) for one in (work, run.work))
    amount = abs(math.log(here.sampled / there.sampled)) + abs(math.log(here.prompts / there.prompts))
    alike = config.env.name == run.config.env.name and work.limits.keys() == run.work.limits.keys()
    return amount + (0.0 if alike else OTHER_TEXTS)


def _same_tasks(run: Measured, config: ExperimentConfig) -> dict[str, int]:
    """The numbers of held-out tasks that the run met, where this one will meet the same."""
    return dict(run.tasks) if run.config.env == config.env else {}


def _mean_parts(parts: Sequence[TimeParts]) -> TimeParts:
    starts = [part.start for part in parts if part.start is not None]
    return TimeParts(
        fmean(part.rollout for part in parts),
        fmean(part.update for part in parts),
        fmean(part.rest for part in parts),
        fmean(part.held_out for part in parts),
        fmean(starts) if starts else None,
    )
