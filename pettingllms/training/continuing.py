"""Where a run goes on: its newest whole checkpoint, and a folder that holds nothing of later steps."""

from __future__ import annotations

import shutil
from pathlib import Path

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.resume import changes, refuse_changes
from pettingllms.config.trial_file import read_trial
from pettingllms.errors import RefusedError
from pettingllms.runs.checkpoints import (
    TRIAL,
    checkpoint_root,
    checkpoint_step,
    checkpoints,
    newest_to_go_on,
    set_aside,
)
from pettingllms.runs.records import cut_records, has_saved, keep_records
from pettingllms.training.events import EventStream


def continued(folder: Path, config: ExperimentConfig, events: EventStream, *, begun: bool) -> Path | None:
    """The checkpoint that the run in `folder` goes on from; None where it begins.

    `begun`: a run has begun in this folder before. Then the folder is put in order: records of steps that
    will be computed again are taken out, and so are checkpoints that are damaged. Raises RefusedError when
    the checkpoints are another run's, or were written by another version or under an experiment that differs
    in what must not change, and CheckpointError when none of them is whole; nothing is changed then.
    """
    root = checkpoint_root(folder, config.training.model_checkpoints_dir)
    if not begun:
        if checkpoints(root):
            raise RefusedError(
                f"{root} holds checkpoints of another run",
                help="move them away, or set training.model_checkpoints_dir to another folder",
            )
        return None
    events.status("looking for the newest whole checkpoint")
    begin = newest_to_go_on(root, events.warning)
    step = -1
    if begin is not None:
        _require_continuable(config, begin, events)
        step = checkpoint_step(begin)
    elif has_saved(folder):
        kept = keep_records(folder)
        events.warning(
            f"the run wrote checkpoints, and {root} holds none: it begins anew, and its records until now "
            f"are in {kept}"
        )
    else:
        events.warning("there is no checkpoint: the run begins anew")
    set_aside(root, after=step)
    for half in root.glob(".step_*.partial"):
        shutil.rmtree(half, ignore_errors=True)
    cut_records(folder, step)
    return begin


def _require_continuable(config: ExperimentConfig, begin: Path, events: EventStream) -> None:
    found = changes(read_trial(begin / TRIAL), config)
    refuse_changes(found, begin)
    for change in found:
        events.status(f"changed since {begin.name}: {change}")
    total = config.training.total_training_steps
    if checkpoint_step(begin) > total:
        raise RefusedError(
            f"the run has done {checkpoint_step(begin)} steps, and training.total_training_steps is {total}",
            help="set it to at least as many",
        )
