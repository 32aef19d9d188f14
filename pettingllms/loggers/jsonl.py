"""The `jsonl` logger: `metrics.jsonl` in the run folder, one flat JSON object per step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pettingllms.config.training import TrainingConfig

METRICS_FILE = "metrics.jsonl"


class JsonlLogger:
    """Appends each record as a line, flushed at once: whoever follows the file sees whole lines.

    Numbers that are no numbers are written as `NaN` and `Infinity`, as Python's `json` reads them.
    """

    def __init__(self, training: TrainingConfig, folder: Path, first: int) -> None:  # noqa: ARG002 - the contract
        self._file = (folder / METRICS_FILE).open("a", encoding="utf-8")

    def log(self, record: Mapping[str, float]) -> None:
        """Append `record`."""
        self._file.write(json.dumps(dict(record)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
