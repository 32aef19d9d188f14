"""The contract of loggers, and the fan-out that keeps a failing one from ending the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pettingllms.config.training import TrainingConfig


class Logger(Protocol):
    """Takes the metrics of each step. It is built once per process of a run and raises where it cannot start.

    `first`: the step that is logged first. A run that goes on from a checkpoint has logged up to the step
    before, and perhaps further; what it logged further does not count.
    """

    def __init__(self, training: TrainingConfig, folder: Path, first: int) -> None: ...

    def log(self, record: Mapping[str, float]) -> None:
        """Take one record: `step` and whatever was measured at that step, by metric name."""

    def close(self) -> None:
        """Write what is still held back, and let go of files and connections."""


class Fanout:
    """Hands each record to every logger, by name; one that fails is reported and the others go on."""

    def __init__(self, loggers: Mapping[str, Logger], warn: Callable[[str], None]) -> None:
        self._loggers, self._warn = dict(loggers), warn
        self._failing: set[str] = set()

    def log(self, record: Mapping[str, float]) -> None:
        """Log `record` everywhere; never raises. A logger that keeps failing is reported once."""
        for name, logger in self._loggers.items():
            try:
                logger.log(record)
            except Exception as error:
                # Hours of training outweigh one logger: this is the one place that may catch everything.
                if name not in self._failing:
                    self._failing.add(name)
                    self._warn(
                        f"logger {name} failed at step {record.get('step')}; training continues "
                        f"({type(error).__name__}: {error})"
                    )
            else:
                self._failing.discard(name)

    def close(self) -> None:
        """Close every logger; never raises."""
        for name, logger in self._loggers.items():
            try:
                logger.close()
            except Exception as error:
                self._warn(f"logger {name} failed while closing ({type(error).__name__}: {error})")
