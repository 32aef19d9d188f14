"""What the saved samples of an evaluation come to, by task and by agent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

CUT = "length"
FAILED = ("generation_failed", "infrastructure", "error")


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """One agent's own figures. `turns`: how often it acted; `reward`: mean over its samples that have one.

    `failed`: share of samples that could not be generated or carried out; `truncated`: share cut off at the
    token limit; `tokens`: mean number per turn; `reasons`: share of each reason code of its rewards, e.g. of
    answers in a form that the environment cannot read.
    """

    policy: str
    turns: int
    reward: float | None
    failed: float
    truncated: float
    tokens: float
    reasons: dict[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """An evaluation in numbers.

    `successes`: by task, whether each of its plays was solved, in the order of their places. `failed`: plays
    that ended because no candidate of a turn could be generated or carried out; they count as not solved.
    """

    successes: dict[str, tuple[bool, ...]]
    agents: dict[str, AgentFigures]
    failed: int

    @property
    def rows(self) -> Sequence[Sequence[bool]]:
        """The successes alone, one row per task."""
        return list(self.successes.values())


def read_samples(file: Path) -> list[dict[str, Any]]:
    """The episodes of a samples file, as docs/records.md lists their fields."""
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def summarise(episodes: Iterable[dict[str, Any]]) -> Summary:
    """The figures of `episodes`."""
    ordered = sorted(episodes, key=lambda episode: int(episode["place"]))
    successes: dict[str, list[bool]] = {}
    turns: dict[str, list[dict[str, Any]]] = {}
    for episode in ordered:
        successes.setdefault(episode["task"], []).append(episode["success"])
        for turn in episode["turns"]:
            turns.setdefault(turn["agent"], []).append(turn)
    return Summary(
        successes={task: tuple(row) for task, row in successes.items()},
        agents={agent: _figures(own) for agent, own in turns.items()},
        failed=sum(episode["stop_reason"] == "failed" for episode in ordered),
    )


def _figures(turns: Sequence[dict[str, Any]]) -> AgentFigures:
    samples = [sample for turn in turns for sample in turn["samples"]]
    rewarded = [sample for sample in samples if sample["reward"] is not None]
    reasons = Counter(sample["reason"] for sample in rewarded)
    return AgentFigures(
        policy=turns[0]["policy"],
        turns=len(turns),
        reward=fmean(sample["reward"] for sample in rewarded) if rewarded else None,
        failed=fmean(sample["dropped"] in FAILED for sample in samples),
        truncated=fmean(sample["finish_reason"] == CUT for sample in samples),
        tokens=sum(len(sample["token_ids"]) for sample in samples) / len(turns),
        reasons={reason: count / len(rewarded) for reason, count in reasons.most_common()},
    )
