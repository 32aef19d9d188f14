"""The records of a run that goes on: those of steps that are computed again are taken out first."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

METRICS, EVENTS, SAMPLES = "metrics.jsonl", "events.jsonl", "samples"


def cut_records(folder: Path, step: int) -> None:
    """Leave in `folder` what the run recorded up to `step`, in whole lines; -1 leaves nothing.

    Metrics and samples of later steps go. Events stay: they say what happened, also to what was lost; only
    the half line goes that a killed process may have left. Every cut is one change of length: whoever kills
    this process leaves the file before it or after it.
    """
    _cut_lines(folder / METRICS, lambda line: json.loads(line)["step"] <= step)
    _cut_lines(folder / EVENTS, lambda line: isinstance(json.loads(line), dict))
    for file in (folder / SAMPLES).glob("*.jsonl"):
        match = re.search(r"-(\d+)$", file.stem)
        if match is None or int(match[1]) > step:
            file.unlink()


def _cut_lines(path: Path, belongs: Callable[[bytes], bool]) -> None:
    """Cut the file before the first line that is not whole or does not belong; records come in order."""
    if not path.is_file():
        return
    kept = 0
    with path.open("rb") as file:
        for line in file:
            try:
                if not line.endswith(b"\n") or not belongs(line):
                    break
            except (ValueError, KeyError, TypeError):
                break
            kept += len(line)
    if kept < path.stat().st_size:
        os.truncate(path, kept)


def last_event(folder: Path) -> str | None:
    """What the run in `folder` said last: `finished`, `interrupted`, …; None without a word."""
    try:
        lines = (folder / EVENTS).read_bytes().splitlines()
        event: str = json.loads(lines[-1])["event"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return event
