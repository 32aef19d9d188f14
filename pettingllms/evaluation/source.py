"""What is evaluated or exported: an experiment, and the checkpoint with its policies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.trial_file import read_trial
from pettingllms.errors import PettingLLMsError, RefusedError, UsageError
from pettingllms.evaluation.checkpoints import (
    Checkpoint,
    checkpoint_of_step,
    newest_checkpoint,
    read_checkpoint,
)
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.formats.text import write_before_run
from pettingllms.runs.checkpoints import POLICIES, TRIAL, checkpoint_root
from pettingllms.runs.named import is_checkpoint, is_run, other_meant, run_around


@dataclass(frozen=True, slots=True)
class Source:
    """What a person named, read and checked.

    `run`: the folder of its run, where it is known. `checkpoint`: None where policies are as the experiment
    starts them. `stored`: the resolved experiment as it may be written to files.
    """

    named: Path
    run: Path | None
    checkpoint: Checkpoint | None
    config: ExperimentConfig
    stored: dict[str, Any]

    @property
    def title(self) -> str:
        """How tables name it."""
        after = f"step {self.checkpoint.step}" if self.checkpoint else "before training"
        return f"{self.named}, {after}"


def read_source(named: Path, step: int | None, overrides: Sequence[str], *, here: bool = True) -> Source:
    """Read a run's folder, a checkpoint, or an experiment file or preset, with `overrides` on top.

    A checkpoint comes with the experiment under which it was written. `step`: which checkpoint of a run; None
    for the newest. `here`: whether it shall run on this machine. What there is to say goes to standard error.
    Raises UsageError, CheckpointError, or RefusedError where the experiment cannot run.
    """
    checkpoint, run = _checkpoint(named, step) if named.is_dir() else (None, None)
    if step is not None and checkpoint is None:
        raise UsageError(f"--step {step}: {named} is an experiment file", help="name a run's folder")
    file = checkpoint.folder / TRIAL if checkpoint else named
    report = check_experiment(file, overrides, facts=Facts.here() if here else None)
    if report.refused or report.experiment is None:
        words = [str(file), *(word for one in overrides for word in ("-s", one))]
        write_before_run(report.diagnostics, words, sys.stderr)
        kind = UsageError if report.exit_code() == UsageError.exit_code else RefusedError
        raise kind(f"{named} cannot be used here", help="the findings above say why")
    config, stored = report.experiment.config, report.experiment.stored
    if checkpoint is not None:
        _require_policies(checkpoint, config)
    return Source(named, run, checkpoint, config, stored)


def _checkpoint(named: Path, step: int | None) -> tuple[Checkpoint, Path | None]:
    """The checkpoint that the folder `named` is or holds, and its run, where that is around it."""
    if is_checkpoint(named):
        run = run_around(named)
        if step is not None:
            raise UsageError(
                f"--step {step}: {named} is a checkpoint already",
                help=f"name its run, {run or 'by its folder'}",
            )
        return read_checkpoint(named), run
    if is_run(named):
        root = checkpoint_root(named.absolute(), _setting(named / TRIAL))
        if step is not None:
            return checkpoint_of_step(root, step), named
        return newest_checkpoint(root, lambda text: print(text, file=sys.stderr)), named
    trials = sorted(named.glob(f"trial_*/{TRIAL}"))
    if trials:
        raise UsageError(f"{named} is a study", help=f"name one of its trials, as {trials[0].parent}")
    if other := other_meant(named):
        raise UsageError(other[0], help=other[1])
    raise UsageError(
        f"{named} is neither a run nor a checkpoint: it holds no {TRIAL} and no {POLICIES}",
        help="name a run's folder, one of its checkpoints, or an experiment file",
    )


def _setting(trial: Path) -> str:
    """Where the run of the file `trial` has its checkpoints. Raises UsageError where it cannot be read."""
    try:
        return read_trial(trial).training.model_checkpoints_dir
    except PettingLLMsError as error:
        raise UsageError(
            f"{trial} cannot be read: {error}",
            help="name one of the run's checkpoints, each of which has its experiment",
        ) from error


def _require_policies(checkpoint: Checkpoint, config: ExperimentConfig) -> None:
    """Refuse a checkpoint that lacks a policy of the experiment, which overrides may have changed."""
    known = checkpoint.policies
    if not known and config.specialization == "prompt":
        raise UsageError(
            f"checkpoint {checkpoint.folder} is of a search for prompts, which trains no weights",
            help="its result is a file with the winning prompts: best.toml or best.yaml in the run folder",
        )
    for base in config.base_models.values():
        if base.name not in known:
            raise UsageError(
                f"checkpoint {checkpoint.folder} holds no policy {base.name!r}",
                help=f"its policies: {', '.join(map(repr, known))}",
            )
