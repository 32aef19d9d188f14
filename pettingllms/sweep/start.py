"""What `train` does: check everything first, then run, then report; and what `sweep run` shares with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pettingllms.agents.sandboxed import require_sandbox, weak_sandbox
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import LoadedExperiment
from pettingllms.errors import RefusedError
from pettingllms.lint.engine import CheckedCell, Report, check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.formats.text import write_before_run
from pettingllms.loggers import missing_loggers
from pettingllms.runs.lock import RUN_LOCK, FolderLock
from pettingllms.sweep import report
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.folders import require_writable, training_folder
from pettingllms.sweep.packages import require_packages
from pettingllms.sweep.progress import SilentView, View
from pettingllms.sweep.resume import continued_trial, newest_run
from pettingllms.sweep.runner import run_trial
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial, create_trial
from pettingllms.sweep.view import choose_view

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks to run: a file under overlays and overrides.

    `drop_invalid`: cells with an error are left out instead of refusing all.
    """

    file: Path
    overrides: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    drop_invalid: bool = False

    def checked(self, facts: Facts | None) -> Report:
        """The report of the linter, its diagnostics written to standard error, infos in one line."""
        report = check_experiment(
            self.file,
            self.overrides,
            facts=facts,
            overlays=self.overlays,
            drop_invalid=self.drop_invalid,
        )
        write_before_run(report.diagnostics, self._lint_words, sys.stderr)
        return report

    @property
    def _lint_words(self) -> list[str]:
        overlays = [word for overlay in self.overlays for word in ("--with", str(overlay))]
        return [str(self.file), *overlays, *(word for one in self.overrides for word in ("-s", one))]


def start_training(asked: Asked, output: Path, *, as_json: bool) -> int:
    """Run one trial with the defaults of its axes; returns the exit status.

    Diagnostics go to standard error, the result to standard output. Raises RefusedError when this machine
    cannot run it.
    """

    @contextmanager
    def created(experiment: LoadedExperiment, cell: CheckedCell) -> Iterator[Trial]:
        title = cell.config.training.experiment_name
        trial = create_trial(experiment, cell, training_folder(output, datetime.now()), title)
        with FolderLock(trial.folder, RUN_LOCK):
            yield trial

    return _train(asked, created, as_json=as_json, output=output)


def resume_training(asked: Asked, output: Path, folder: Path | None, *, as_json: bool) -> int:
    """Go on with the run in `folder`, by default the newest of the file's, under the experiment asked for.

    As `start_training`; what differs from the experiment of the newest checkpoint goes to standard error.
    Raises RefusedError where it differs in what must not change, and where the run is over or held by others.
    """

    def found(experiment: LoadedExperiment, cell: CheckedCell) -> AbstractContextManager[Trial]:
        return continued_trial(cell, folder or newest_run(experiment.path, output))

    return _train(asked, found, as_json=as_json)


def _train(
    asked: Asked,
    held: Callable[[LoadedExperiment, CheckedCell], AbstractContextManager[Trial]],
    *,
    as_json: bool,
    output: Path | None = None,
) -> int:
    """Run the trial that `held` keeps for this process. `output`: where it makes a folder, if it does."""
    checked = asked.checked(Facts.here())
    if checked.refused or checked.experiment is None:
        return max(checked.exit_code(), 1)
    experiment = checked.experiment
    config = experiment.config
    said = require_machine([config], output, study=False)
    weak = require_sandbox([config])
    said |= warned(weak)
    cell = CheckedCell(0, {}, config, experiment.stored)
    with StopRequest() as stop, EngineKeeper() as engine, held(experiment, cell) as trial:
        result = run_trial(trial, _view(config, said), stop, engine=engine)
    if result.status == "failed":
        report.show_failure("the run", result.reason, result.log_path, sys.stderr)
    elif result.status == "interrupted":
        report.show_interruption(result.checkpoint, trial.folder, sys.stderr)
    if as_json:
        report.write_json(report.trial_json(trial, result) | report.sandbox_json(weak), sys.stdout)
    elif result.status == "complete":
        report.show_sandbox(weak, sys.stdout)
        report.show_trial(trial, result, sys.stdout)
    return result.exit_code


def _view(config: ExperimentConfig, said: Collection[str]) -> View:
    quiet = not _log.isEnabledFor(logging.WARNING)
    return SilentView() if quiet else choose_view(config.training, said)


def require_machine(configs: Sequence[ExperimentConfig], output: Path | None, *, study: bool) -> set[str]:
    """Refuse what cannot run here before anything starts; returns the warnings that were printed."""
    if sys.platform == "win32":
        raise RefusedError("trials need a POSIX system", help="run under Linux, macOS, or WSL on Windows")
    require_packages(configs, study=study)
    if output is not None:
        require_writable(output, "--output")
    for folder in _absolute_checkpoint_folders(configs):
        require_writable(folder, "training.model_checkpoints_dir")
    said = {line for config in configs for line in missing_loggers(config.training).values()}
    for line in sorted(said):
        sys.stderr.write(f"warning: {line}\n")
    return said


def warned(weak: str | None) -> set[str]:
    """Say that the sandbox is weak, where it is; returns what was printed."""
    if weak is None:
        return set()
    line = weak_sandbox(weak)
    sys.stderr.write(f"warning: {line}\n")
    return {line}


def _absolute_checkpoint_folders(configs: Iterable[ExperimentConfig]) -> set[Path]:
    folders = {Path(config.training.model_checkpoints_dir).expanduser() for config in configs}
    return {folder for folder in folders if folder.is_absolute()}
