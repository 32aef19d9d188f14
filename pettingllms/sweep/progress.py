"""What is known about a running trial, built up from its event and metric records; never raises on gaps."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pettingllms.sweep.trial import Trial

FLAT_STEPS = 2
"""Steps in a row without any reward difference after which a warning is due."""


class View(Protocol):
    """Shows a trial to the user while it runs."""

    def begin(self, trial: Trial) -> None:
        """`trial` starts."""

    def event(self, record: Mapping[str, Any]) -> None:
        """The worker wrote an event."""

    def metrics(self, record: Mapping[str, float]) -> None:
        """The worker wrote the metrics of a step."""

    def say(self, text: str) -> None:
        """Something beside the records happens, such as a stop that takes a while."""

    def refresh(self) -> None:
        """Time has passed."""

    def end(self) -> None:
        """The trial is over."""


class SilentView:
    """Shows nothing: for trials that do not log to the console."""

    def begin(self, trial: Trial) -> None:
        """Nothing."""

    def event(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def metrics(self, record: Mapping[str, float]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def refresh(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class Progress:
    """The state of one trial. `step` is the one in work, `done` the last that was measured.

    `latest` has the newest value of every metric, `success` the training success rate of each step.
    `said` holds warnings that the user has seen already; they are not repeated.
    """

    total: int
    said: set[str] = field(default_factory=set)
    step: int = 0
    done: int = 0
    phase: str = ""
    phase_done: float = 0
    phase_total: float = 0
    status: str = ""
    latest: dict[str, float] = field(default_factory=dict)
    success: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checkpoint: str | None = None
    _flat: dict[str, int] = field(default_factory=dict)
    _first_time: float | None = None
    _last_time: float = 0.0
    _seconds_per_step: float | None = None
    _before: int = 0
    """Steps that were done when this process of the run began."""

    @classmethod
    def of(cls, trial: Trial, said: Collection[str] = ()) -> Progress:
        """The state of `trial` before its first record."""
        return cls(trial.config.training.total_training_steps, set(said))

    def take_event(self, record: Mapping[str, Any]) -> None:
        """Take one record of `events.jsonl`."""
        kind, text = record.get("event"), str(record.get("text", ""))
        self._last_time = _number(record.get("time"), self._last_time)
        if kind == "started":
            self.done = self._before = int(_number(record.get("from_step"), 0))
        elif kind == "status":
            self.status = text
        elif kind == "warning":
            self._warn(text)
        elif kind == "checkpoint":
            self.checkpoint = str(record.get("path"))
        elif kind == "phase":
            self._take_phase(record)

    def _take_phase(self, record: Mapping[str, Any]) -> None:
        self.status = ""
        self.step = int(_number(record.get("step"), self.step))
        self.phase = str(record.get("phase", ""))
        self.phase_done = _number(record.get("done"), 0)
        self.phase_total = _number(record.get("total"), 0)
        if self.step >= 1 and self._first_time is None:
            self._first_time = self._last_time

    def take_metrics(self, record: Mapping[str, float]) -> None:
        """Take one record of `metrics.jsonl`."""
        self.done = int(_number(record.get("step"), self.done))
        self.step = max(self.step, self.done)
        self.latest.update(record)
        if "train/success_rate" in record:
            self.success.append(record["train/success_rate"])
        if self.done > self._before and self._first_time is not None:
            self._seconds_per_step = (self._last_time - self._first_time) / (self.done - self._before)
        self._watch_variance(record)

    def _watch_variance(self, record: Mapping[str, float]) -> None:
        solved = record.get("train/success_rate") == 1
        for agent, share in by_name(record, "train/zero_variance/").items():
            # Where every episode succeeds there is nothing left to learn, and nothing to warn of.
            self._flat[agent] = self._flat.get(agent, 0) + 1 if share >= 1 and not solved else 0
            if self._flat[agent] == FLAT_STEPS:
                self._warn(
                    f"{agent}: all candidates of every group earn the same: nothing can be learned from them"
                )

    def _warn(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.warnings.append(text)

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the seconds to the last step; None before the first was measured."""
        if self._seconds_per_step is None:
            return None
        return self._seconds_per_step * max(0, self.total - self.done)


def by_name(record: Mapping[str, float], prefix: str) -> dict[str, float]:
    """The metrics that begin with `prefix`, keyed by what follows: an agent or a policy."""
    return {name.removeprefix(prefix): value for name, value in record.items() if name.startswith(prefix)}


def clock(seconds: float) -> str:
    """`seconds` as `1:05`, or `1:01:05` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _number(value: Any, otherwise: float) -> float:
    """`value` where it is a finite number, else `otherwise`."""
    return value if isinstance(value, int | float) and math.isfinite(value) else otherwise
