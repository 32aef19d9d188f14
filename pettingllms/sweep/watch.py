"""What a study needs to know of a running trial, taken from its records on their way to the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingllms.sweep.progress import View
from pettingllms.sweep.trial import Trial


class Watch:
    """Passes everything on to `view`; remembers the newest `step`, and the values of `metric`."""

    def __init__(self, view: View, metric: str) -> None:
        self._view, self._metric = view, metric
        self.step = 0
        self.total = 0
        self.latest: float | None = None
        self._measured: list[tuple[int, float]] = []

    def take(self) -> list[tuple[int, float]]:
        """The steps and values since the last call."""
        measured, self._measured = self._measured, []
        return measured

    def begin(self, trial: Trial) -> None:
        """`trial` starts."""
        self.total = trial.config.training.total_training_steps
        self._view.begin(trial)

    def event(self, record: Mapping[str, Any]) -> None:
        """The worker wrote an event."""
        if record.get("event") == "started":
            self.step = int(record.get("from_step", 0))
        self._view.event(record)

    def metrics(self, record: Mapping[str, float]) -> None:
        """The worker wrote the metrics of a step."""
        self.step = int(record.get("step", self.step))
        if self._metric in record:
            self.latest = record[self._metric]
            self._measured.append((self.step, self.latest))
        self._view.metrics(record)

    def say(self, text: str) -> None:
        """Something beside the records happens."""
        self._view.say(text)

    def refresh(self) -> None:
        """Time has passed."""
        self._view.refresh()

    def end(self) -> None:
        """The trial is over."""
        self._view.end()
