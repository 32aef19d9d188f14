"""The records of a run that goes on: those of steps that are computed again are taken out first."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

METRICS, EVENTS, SAMPLES = "metrics.jsonl", "events.jsonl", "samples"
BEFORE = "before-"
"""How folders with the records of an earlier beginning are called."""


def cut_records(folder: Path, step: int) -> None:
    """Leave in `folder` what the run recorded up to `step`, in whole lines; -1 leaves nothing.

    Metrics and samples of later steps go; events stay, as they say what happened. The cut is one change of
    length: whoever kills this process leaves the file as before it or as after it.
    """
    _cut_metrics(folder / METRICS, step)
    for file in (folder / SAMPLES).glob("*.jsonl"):
        match = re.search(r"-(\d+)$", file.stem)
        if match is None or int(match[1]) > step:
            file.unlink()


def keep_records(folder: Path) -> Path:
    """Move metrics and samples into a new folder beside them, `before-1` or the next number; returns it."""
    number = 1
    while (kept := folder / f"{BEFORE}{number}").exists():
        number += 1
    kept.mkdir()
    for name in (METRICS, SAMPLES):
        if (folder / name).exists():
            (folder / name).rename(kept / name)
    return kept


def has_saved(folder: Path) -> bool:
    """Whether the run in `folder` says that it wrote a checkpoint."""
    file = folder / EVENTS
    return file.is_file() and b'"event": "checkpoint"' in file.read_bytes()


def mend_lines(path: Path) -> None:
    """Take away the half line that a killed process may have left at the end of `path`, if it is there."""
    if path.is_file():
        kept = path.read_bytes().rfind(b"\n") + 1
        if kept < path.stat().st_size:
            os.truncate(path, kept)


def _cut_metrics(path: Path, step: int) -> None:
    """Cut the file before the first record of a later step; records come in order."""
    if not path.is_file():
        return
    mend_lines(path)
    kept = 0
    with path.open("rb") as file:
        for line in file:
            try:
                if json.loads(line)["step"] > step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            kept += len(line)
    os.truncate(path, kept)


def last_event(folder: Path) -> str | None:
    """What the run in `folder` said last: `finished`, `interrupted`, …; None without a word."""
    try:
        lines = (folder / EVENTS).read_bytes().splitlines()
        event: str = json.loads(lines[-1])["event"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return event
