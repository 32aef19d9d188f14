"""What `pettingllms eval` does: check everything first, then play each side, then count and compare."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pettingllms.agents.sandboxed import require_sandbox, weak_sandbox
from pettingllms.config.trial_file import trial_toml
from pettingllms.errors import RefusedError, UsageError
from pettingllms.evaluation import play_file, report
from pettingllms.evaluation.changes import Changes, as_played, require_varied
from pettingllms.evaluation.play_file import Play, require_tasks
from pettingllms.evaluation.source import Source, read_source
from pettingllms.evaluation.statistics import paired_difference
from pettingllms.evaluation.summary import Summary, read_samples, summarise
from pettingllms.runs.checkpoints import TRIAL
from pettingllms.sweep.folders import create_folder
from pettingllms.sweep.packages import require_packages
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.report import sandbox_json, show_failure, write_json
from pettingllms.sweep.runner import TrialResult, run_trial
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial
from pettingllms.types import Split

PLAYER = "pettingllms.training.evaluate"
"""The module that plays, with the folder of one side as its only argument."""
PARTS = 10
"""How often progress is told."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks to evaluate.

    `named`: a run, a checkpoint or an experiment file; `other`: what it is compared with. `step`: which
    checkpoint of the run `named`. `changes` are made to `named` only, but for the temperature. `overrides`
    are laid over both. `tasks`: how many of the split; None for all.
    """

    named: Path
    split: Split
    samples: int
    ks: tuple[int, ...]
    changes: Changes
    other: Path | None = None
    step: int | None = None
    tasks: int | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared, or the only one. `name`: of its folder, too."""

    name: str
    source: Source
    changes: Changes
    play: Play
    tree: Mapping[str, Any]

    @property
    def title(self) -> str:
        """How people tell it from the other one."""
        return ", ".join([self.source.title, *self.changes.words(self.source.config)])


def start_evaluation(asked: Asked, output: Path, *, as_json: bool) -> int:
    """Evaluate as `asked`; returns the exit status.

    The result goes to standard output, all files into a new folder in `output`. Raises
    UsageError, RefusedError or CheckpointError before anything is played.
    """
    sides = _sides(asked)
    require_packages([side.source.config for side in sides], playing=True)
    if weak := require_sandbox(side.source.config for side in sides):
        _say(f"warning: {weak_sandbox(weak)}")
    folder = _folder(output, sides)
    summaries: list[Summary] = []
    with StopRequest() as stop:
        for side in sides:
            played = _play(side, folder / side.name, stop)
            if played.status != "complete":
                what = f"the evaluation of {side.title}"
                if played.status == "failed":
                    show_failure(what, played.reason, played.log_path, sys.stderr)
                else:
                    sys.stderr.write(f"interrupted; folder: {folder}\n")
                return played.exit_code
            summaries.append(_summary(side, folder / side.name))
    result = _result(asked, sides, summaries, folder) | sandbox_json(weak)
    with (folder / "result.json").open("w", encoding="utf-8") as file:
        write_json(result, file)
    if as_json:
        write_json(result, sys.stdout)
    else:
        report.show(result, sys.stdout)
    return 0


def _sides(asked: Asked) -> list[Side]:
    if sys.platform == "win32":
        raise RefusedError("evaluations need a POSIX system", help="run under Linux, macOS or WSL")
    subject = read_source(asked.named, asked.step, asked.overrides)
    tasks = require_tasks(subject.config, asked.split, asked.tasks)
    seed = subject.config.training.seed
    sides = [_side("subject", asked, subject, asked.changes, seed)]
    if asked.other is not None:
        other = read_source(asked.other, None, asked.overrides)
        if require_tasks(other.config, asked.split, asked.tasks) != tasks:
            raise UsageError(
                f"{asked.named} and {asked.other} have different {asked.split} tasks, which cannot be paired",
                help="compare runs with the same env section and the same training.seed",
            )
        sides.append(_side("other", asked, other, Changes(temperature=asked.changes.temperature), seed))
    return sides


def _side(name: str, asked: Asked, source: Source, changes: Changes, seed: int) -> Side:
    require_varied(source.config, changes, asked.samples)
    saved = source.checkpoint.policies if source.checkpoint else {}
    play = Play(
        split=asked.split,
        samples=asked.samples,
        tasks=asked.tasks,
        seed=seed,
        step=source.checkpoint.step if source.checkpoint else 0,
        policies={policy: (one.version, one.folder.absolute()) for policy, one in saved.items()},
    )
    return Side(name, source, changes, play, as_played(source.stored, source.config, changes))


def _folder(output: Path, sides: list[Side]) -> Path:
    files = {}
    for side in sides:
        files[f"{side.name}/{TRIAL}"] = trial_toml(side.tree)
        files[f"{side.name}/{play_file.NAME}"] = side.play.text()
    wanted = output / "evaluations" / datetime.now().strftime("%Y%m%d-%H%M%S")
    return create_folder(wanted, files).absolute()


def _play(side: Side, folder: Path, stop: StopRequest) -> TrialResult:
    quiet = not _log.isEnabledFor(logging.WARNING)
    view = SilentView() if quiet else _Lines(side.title)
    trial = Trial(0, folder, {}, side.source.config, side.title)
    return run_trial(trial, view, stop, argv=[sys.executable, "-m", PLAYER, str(folder)])


def _summary(side: Side, folder: Path) -> Summary:
    summary = summarise(read_samples(folder / side.play.samples_file))
    if summary.failed:
        plays = sum(map(len, summary.rows))
        sys.stderr.write(
            f"warning: {summary.failed} of {plays} plays of {side.title} failed through no fault of "
            f"the policies; they count as not solved; see {folder}\n"
        )
    return summary


def _result(asked: Asked, sides: list[Side], summaries: list[Summary], folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "split": asked.split,
        "tasks": len(summaries[0].successes),
        "samples": asked.samples,
        "seed": sides[0].play.seed,
        "folder": str(folder),
    }
    for side, summary in zip(sides, summaries, strict=True):
        about = report.about(side.source, side.changes, folder / side.name / side.play.samples_file)
        result[side.name] = about | report.figures(summary, asked.ks)
    if len(summaries) > 1:
        first, second = summaries
        result["difference"] = report.difference(
            paired_difference(first.rows, second.rows, sides[0].play.seed)
        )
    return result


class _Lines(SilentView):
    """Writes to standard error what takes time, and how far it is."""

    def __init__(self, title: str) -> None:
        self._told = 0
        _say(title)

    def event(self, record: Mapping[str, Any]) -> None:
        """Write what begins, warnings, and every tenth of the plays."""
        match record:
            case {"event": "status" | "warning" as kind, "text": text}:
                _say(f"  {'warning: ' if kind == 'warning' else ''}{text}")
            case {"event": "phase", "done": int(done), "total": int(total)} if total:
                part = PARTS * done // total
                if part > self._told:
                    self._told = part
                    _say(f"  {done} of {total} turns")

    def say(self, text: str) -> None:  # noqa: ARG002 - it speaks of a checkpoint, and there is none
        """Write that the play is stopping."""
        _say("stopping; once more to stop at once")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
