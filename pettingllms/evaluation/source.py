"""What is evaluated or exported: an experiment, and the checkpoint with its policies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.errors import RefusedError, UsageError
from pettingllms.evaluation.checkpoints import (
    Checkpoint,
    checkpoint_of_step,
    checkpoint_root,
    looks_like_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    run_of,
)
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.formats.text import format_coloured, format_text, wants_colour

TRIAL = "trial.toml"


@dataclass(frozen=True, slots=True)
class Source:
    """What a person named, read and checked.

    `run`: the folder of its run, or None for an experiment file. `checkpoint`: None where policies are as the
    experiment starts them. `stored`: the resolved experiment as it may be written to files.
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

    `step`: which checkpoint of a run; None for the newest. `here`: whether it shall run on this machine. What
    there is to say goes to standard error. Raises UsageError, CheckpointError, or RefusedError where the
    experiment cannot run.
    """
    run = _run_folder(named)
    if step is not None and run is None:
        raise UsageError(f"--step {step}: {named} is an experiment file", help="name a run's folder")
    report = check_experiment(run / TRIAL if run else named, overrides, facts=Facts.here() if here else None)
    if report.refused or report.experiment is None:
        written = format_coloured if wants_colour(sys.stderr) else format_text
        sys.stderr.write(written(report.diagnostics))
        kind = UsageError if report.exit_code() == UsageError.exit_code else RefusedError
        raise kind(f"{named} cannot be used here", help="the findings above say why")
    config, stored = report.experiment.config, report.experiment.stored
    checkpoint = None
    if run is not None:
        checkpoint = _checkpoint(named, run, step, config.training.model_checkpoints_dir)
        _require_policies(checkpoint, config)
    return Source(named, run, checkpoint, config, stored)


def _run_folder(named: Path) -> Path | None:
    """The run folder that `named` is or lies in; None for a file."""
    if not named.is_dir():
        return None
    if (named / TRIAL).is_file():
        return named
    if looks_like_checkpoint(named):
        return run_of(named)
    trials = sorted(named.glob(f"trial_*/{TRIAL}"))
    if trials:
        raise UsageError(f"{named} is a study", help=f"name one of its trials, as {trials[0].parent}")
    raise UsageError(
        f"{named} is neither a run nor a checkpoint: it holds no {TRIAL} and no policies",
        help="name a run's folder, one of its checkpoints, or an experiment file",
    )


def _checkpoint(named: Path, run: Path, step: int | None, setting: str) -> Checkpoint:
    if named != run:
        if step is not None:
            raise UsageError(f"--step {step}: {named} is a checkpoint already", help=f"name {run}")
        return read_checkpoint(named)
    root = checkpoint_root(run.absolute(), setting)
    if step is not None:
        return checkpoint_of_step(root, step)
    return newest_checkpoint(root, lambda text: print(text, file=sys.stderr))


def _require_policies(checkpoint: Checkpoint, config: ExperimentConfig) -> None:
    """Refuse a checkpoint that lacks a policy of the experiment."""
    known = checkpoint.policies
    for base in config.base_models.values():
        if base.name not in known:
            raise UsageError(
                f"checkpoint {checkpoint.folder} holds no policy {base.name!r}",
                help=f"its policies: {', '.join(map(repr, known))}",
            )
