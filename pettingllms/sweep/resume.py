"""Going on with a run: which folder is meant, and whether the experiment may differ from its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pettingllms.config.resume import changes, refuse_changes
from pettingllms.config.trial_file import read_trial, trial_toml
from pettingllms.documents.atomic import write_text
from pettingllms.errors import PettingLLMsError, RefusedError, UsageError
from pettingllms.lint.engine import CheckedCell
from pettingllms.runs.checkpoints import (
    TRIAL,
    checkpoint_root,
    checkpoint_step,
    newest_to_go_on,
)
from pettingllms.runs.lock import RUN_LOCK, WORKER_LOCK, FolderLock
from pettingllms.runs.named import is_checkpoint, is_run, other_meant, run_around
from pettingllms.runs.records import EVENTS, METRICS, SAMPLES, last_event
from pettingllms.sweep.folders import write_fault
from pettingllms.sweep.trial import Trial, accelerate_text

LOG = "log.txt"
"""What the run prints, of all times that it was started."""


def run_folder(folder: Path) -> Path:
    """`folder`, which must be a run folder. Raises UsageError when it is none."""
    if is_checkpoint(folder):
        raise UsageError(
            f"{folder} is a checkpoint, no run folder: a run goes on from its newest whole checkpoint",
            help=f"name the run: --resume {run_around(folder) or 'FOLDER'}",
        )
    if not is_run(folder):
        if other := other_meant(folder):
            raise UsageError(other[0], help=other[1])
        raise UsageError(
            f"{folder} is no run folder: it holds no {TRIAL}",
            help="name the folder of a run, as outputs/<date>/<time>",
        )
    return folder.absolute()


def newest_run(source: Path, output: Path) -> Path:
    """The folder of the newest run below `output` that `train` started from the file `source`.

    Raises UsageError when there is none.
    """
    found = []
    for manifest in output.glob("*/*/manifest.json"):
        try:
            told = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if told.get("source") == str(source.absolute()) and (manifest.parent / TRIAL).is_file():
            found.append((str(told.get("started")), manifest.parent))
    if not found:
        raise UsageError(
            f"there is no run of {source} below {output}",
            help="name its folder: --resume FOLDER, or start one without --resume",
        )
    return max(found)[1].absolute()


@contextmanager
def continued_trial(cell: CheckedCell, folder: Path) -> Iterator[Trial]:
    """The trial in `folder` with the experiment of `cell` in place of its own; nobody else has it meanwhile.

    Changes since the newest checkpoint are listed on standard error. Raises RefusedError where one of them is
    not allowed, where nothing is left to do, and where another process has the folder; CheckpointError where
    there are checkpoints and none is whole.
    """
    _require_writable(folder, folder)
    with FolderLock(folder, RUN_LOCK):
        with FolderLock(folder, WORKER_LOCK):
            _exchange(cell, folder)
        yield Trial(cell.number, folder, cell.values, cell.config, cell.config.training.experiment_name)


def _exchange(cell: CheckedCell, folder: Path) -> None:
    """Write the experiment of `cell` into `folder`, where it may go on there."""
    root = checkpoint_root(folder, _setting(folder, cell))
    _require_writable(folder, root, folder / SAMPLES)
    newest = newest_to_go_on(root, lambda text: print(f"warning: {text}", file=sys.stderr))
    step, total = 0, cell.config.training.total_training_steps
    if newest is not None:
        step = checkpoint_step(newest)
        found = changes(read_trial(newest / TRIAL), cell.config)
        refuse_changes(found, newest)
        sys.stderr.writelines(f"changed since {newest.name}: {change}\n" for change in found)
    if last_event(folder) == "finished" and step >= total:
        done = f"its {step} steps" if step == total else f"{step} steps, and {total} are asked for"
        raise RefusedError(
            f"the run in {folder} has finished {done}",
            help="raise training.total_training_steps to train on",
        )
    toml = trial_toml(cell.stored)
    settings = accelerate_text(cell.config)
    for name, text in {"resolved.toml": toml, "accelerate.json": settings, TRIAL: toml}.items():
        write_text(folder / name, text, force=True)


def _require_writable(run: Path, *folders: Path) -> None:
    """Refuse before anything is played what the run could not write: records, samples and checkpoints."""
    files = [file for name in (METRICS, EVENTS, LOG) if (file := run / name).exists()]
    locked = {file: "it is read-only" for file in files if not os.access(file, os.W_OK)}
    locked |= {folder: fault for folder in folders if folder.is_dir() and (fault := write_fault(folder))}
    for path, why in locked.items():
        raise RefusedError(
            f"the run in {run} cannot go on: {path} cannot be written: {why}",
            help="change its permissions, or copy the run and go on with the copy",
        )


def _setting(folder: Path, cell: CheckedCell) -> str:
    """Where the run's checkpoints are; its own file may be damaged, as it is written anew in any case."""
    try:
        return read_trial(folder / TRIAL).training.model_checkpoints_dir
    except PettingLLMsError as damaged:
        sys.stderr.write(f"warning: {folder / TRIAL} cannot be read and is written anew: {damaged}\n")
        return cell.config.training.model_checkpoints_dir
