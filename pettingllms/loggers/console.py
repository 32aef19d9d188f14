"""The `console` logger: one plain line per step on standard output, which is the trial's `log.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pettingllms.config.training import TrainingConfig


class ConsoleLogger:
    """Prints every metric of a step, in the order it was measured, with four significant digits."""

    def __init__(self, training: TrainingConfig, folder: Path, first: int) -> None:  # noqa: ARG002 - the contract
        self._total = training.total_training_steps

    def log(self, record: Mapping[str, float]) -> None:
        """Print `record`."""
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "step")
        print(f"step {record['step']:.0f}/{self._total}  {metrics}", flush=True)

    def close(self) -> None:
        """Nothing is held back."""
