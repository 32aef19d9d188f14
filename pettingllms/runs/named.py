"""What a folder is that somebody named: a run, a checkpoint, or something beside, around or in one."""

from __future__ import annotations

import re
from pathlib import Path

from pettingllms.runs.checkpoints import POLICIES, STATE, TRIAL, checkpoints

INSIDE = "checkpoints"
"""Where a run keeps its checkpoints by default."""
PLAY = "play.json"
"""What tells one side of an evaluation from a run: both hold an experiment and its episodes."""


def is_checkpoint(folder: Path) -> bool:
    """Whether `folder` is a checkpoint, whole or not."""
    named = re.fullmatch(r"step_\d+", folder.name) is not None and folder.is_dir()
    return named or (folder / STATE).is_file() or (folder / POLICIES).is_dir()


def run_around(folder: Path) -> Path | None:
    """The run in which `folder` lies; None where it is not in one."""
    return next((one for one in folder.absolute().parents if (one / TRIAL).is_file()), None)


def is_run(folder: Path) -> bool:
    """Whether `folder` is that of a run."""
    return (folder / TRIAL).is_file() and not (folder / PLAY).is_file()


def other_meant(folder: Path) -> tuple[str, str] | None:
    """What a folder is that is no run, and what to do, in words; None where nothing of a run is in it."""
    if (folder / PLAY).is_file():
        return f"{folder} is of an evaluation, which trains nothing", "name the run that was evaluated"
    if inside := checkpoints(folder / INSIDE):
        newest = list(inside.values())[-1]
        help_text = f"copy it from where the run was, or take that of its newest checkpoint, {newest / TRIAL}"
        return f"{folder} is a run without its {TRIAL}", help_text
    if checkpoints(folder) and (run := run_around(folder)):
        return f"{folder} holds the checkpoints of a run", f"name the run, {run}"
    below = [file.parent for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{TRIAL}")]
    if below := list(filter(is_run, below)):
        return f"{folder} holds runs, and is none", f"name one of them, as {max(below)}"
    return None
