"""Progress without a terminal: plain lines, one per finished step, and what takes time between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from pettingllms.sweep.progress import Progress, by_name, clock
from pettingllms.sweep.trial import Trial


class LineStream(Protocol):
    """What takes lines."""

    def write(self, text: str, /) -> int:
        """Take a whole line."""
        ...

    def flush(self) -> None:
        """Show it."""
        ...


class LineView:
    """Writes lines to `stream`. `said`: warnings that the user has seen already."""

    def __init__(self, stream: LineStream, said: Collection[str] = ()) -> None:
        self._stream, self._said = stream, said
        self._progress = Progress(0)
        self._shown = 0

    def begin(self, trial: Trial) -> None:
        """Name the trial and its folder."""
        self._progress, self._shown = Progress.of(trial, self._said), 0
        self.say(f"{trial.title}, {trial.folder}")

    def event(self, record: Mapping[str, Any]) -> None:
        """Write what begins to take time, warnings, and where checkpoints are."""
        self._progress.take_event(record)
        if record.get("event") == "status":
            self.say(f"  {self._progress.status}")
        elif record.get("event") == "checkpoint":
            self.say(f"  checkpoint: {self._progress.checkpoint}")
        self._show_warnings()

    def metrics(self, record: Mapping[str, float]) -> None:
        """Write the step."""
        self._progress.take_metrics(record)
        self.say(f"  {step_line(self._progress, record)}")
        self._show_warnings()

    def say(self, text: str) -> None:
        """Write `text` as a line of its own."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def refresh(self) -> None:
        """Lines stay as they are."""

    def end(self) -> None:
        """Lines stay as they are."""

    def _show_warnings(self) -> None:
        for text in self._progress.warnings[self._shown :]:
            self.say(f"  warning: {text}")
        self._shown = len(self._progress.warnings)


def step_line(progress: Progress, record: Mapping[str, float]) -> str:
    """One line about the step that `record` measured; what was not measured is left out."""
    parts = [f"step {progress.done}/{progress.total}"]
    parts += [
        f"{split} success {record[key]:.3f}"
        for split in ("train", "val", "test")
        if (key := f"{split}/success_rate") in record
    ]
    if rewards := by_name(record, "train/reward/"):
        parts.append("reward " + ", ".join(f"{agent} {value:.3f}" for agent, value in rewards.items()))
    if flat := by_name(record, "train/zero_variance/"):
        parts.append("flat groups " + ", ".join(f"{share:.0%}" for share in flat.values()))
    if (seconds := record.get("time/step")) is not None:
        laps = [
            f"{name} {record[key]:.1f}"
            for name in ("rollout", "train", "sync")
            if (key := f"time/{name}") in record
        ]
        parts.append(f"{seconds:.1f} s" + (f" ({', '.join(laps)})" if laps else ""))
    if (speed := record.get("perf/rollout_tokens_per_second")) is not None:
        parts.append(f"{speed:.0f} tokens/s")
    if progress.seconds_left:
        parts.append(f"ETA {clock(progress.seconds_left)}")
    return " | ".join(parts)
