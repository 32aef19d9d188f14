"""What is printed when trials and studies end: results on standard output, failures on standard error."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.documents.source import dotted
from pettingllms.sweep.best_prompts import best_of
from pettingllms.sweep.follow import log_tail
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.study import FinishedTrial, StudyOutcome, short_names
from pettingllms.sweep.trial import Trial, shown

PLAIN_WIDTH = 160
"""Columns of the table where output is no terminal."""
TEST_METRIC = "test/success_rate"


def show_failure(name: str, reason: str | None, result: TrialResult, stream: TextIO) -> None:
    """Write why a trial failed, the last lines of its log, and where the whole log is."""
    lines = [f"{name} failed: {reason}"]
    if tail := log_tail(result.log_path):
        lines += ["last lines of its log:", *(f"  {line}" for line in tail)]
    stream.write("\n".join([*lines, f"whole log: {result.log_path}"]) + "\n")
    stream.flush()


def show_interruption(checkpoint: str | None, folder: Path, stream: TextIO) -> None:
    """Write that a run was interrupted and where its checkpoint is."""
    where = f"checkpoint: {checkpoint}" if checkpoint else "no checkpoint was written"
    stream.write(f"interrupted; {where}\nrun folder: {folder}\n")
    stream.flush()


def show_sandbox(weak: str | None, stream: TextIO) -> None:
    """Write that programs ran in a sandbox that is `weak`, where it is."""
    if weak is not None:
        stream.write(f"sandbox: {weak}\n")


def sandbox_json(weak: str | None) -> dict[str, Any]:
    """The same for programs; empty where the sandbox is as it shall be."""
    return {} if weak is None else {"sandbox": weak}


def show_trial(trial: Trial, result: TrialResult, stream: TextIO) -> None:
    """Write the last value of the rates that matter, and where everything is."""
    shown = {
        name: f"{value:.4g}"
        for name, value in result.metrics.items()
        if name.endswith("/success_rate") or name.startswith(("val/", "test/"))
    }
    best = best_of(trial.folder)
    prompts = {"best prompts": str(best)} if best is not None else {}
    places = prompts | {"checkpoint": result.checkpoint or "none", "run folder": str(trial.folder)}
    rows = {"finished in": f"{result.seconds:.0f} s", **dict(sorted(shown.items())), **places}
    width = max(map(len, rows))
    stream.writelines(f"{name:<{width}}  {value}\n" for name, value in rows.items())


def trial_json(trial: Trial, result: TrialResult) -> dict[str, Any]:
    """The result of a trial for programs."""
    return {
        **_result_json(trial.folder, result, result.status, result.reason),
        "exit_code": result.exit_code,
    }


def study_json(outcome: StudyOutcome) -> dict[str, Any]:
    """The result of a study for programs; `best` is the number of the best trial, or null."""
    return {
        "study": outcome.name,
        "folder": str(outcome.folder),
        "objective": outcome.objective.model_dump(),
        "planned": outcome.planned,
        "trials": [_row_json(trial) for trial in outcome.trials],
        "best": outcome.best.number if outcome.best else None,
        "exit_code": outcome.exit_code,
    }


def _row_json(row: FinishedTrial) -> dict[str, Any]:
    return {
        "number": row.number,
        "values": {dotted(path): value for path, value in row.values.items()},
        "objective": row.objective,
        **_result_json(row.folder, row.result, row.status, row.reason),
    }


def _result_json(folder: Path, result: TrialResult, status: str, reason: str | None) -> dict[str, Any]:
    best = best_of(folder)
    return {
        "status": status,
        "reason": reason,
        "metrics": {name: _finite(value) for name, value in result.metrics.items()},
        "seconds": round(result.seconds, 1),
        "folder": str(folder),
        "log": str(result.log_path),
        "checkpoint": result.checkpoint,
        **({"best_prompts": str(best)} if best is not None else {}),
    }


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def write_json(data: dict[str, Any], stream: TextIO) -> None:
    """Write `data` as one JSON object."""
    stream.write(json.dumps(data, indent=2, allow_nan=False, default=str) + "\n")


def show_study(outcome: StudyOutcome, stream: TextIO) -> None:
    """Write the table of all trials that ran, and the best one."""
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(study_table(outcome))
    best, metric = outcome.best, outcome.objective.metric
    if best is None or best.objective is None:
        stream.write(f"no trial completed, so there is no best one; study folder: {outcome.folder}\n")
        return
    lines = [f"best: trial {best.number} with {metric} = {best.objective:.4g}"]
    lines += [f"  {dotted(path)} = {shown(value)}" for path, value in best.values.items()]
    stream.write("\n".join([*lines, f"  {best.folder}"]) + "\n")


def study_table(outcome: StudyOutcome) -> Table:
    """One row per trial: number, swept values, objective, test success, seconds, state."""
    paths = list(outcome.trials[0].values) if outcome.trials else []
    with_test = any(TEST_METRIC in row.result.metrics for row in outcome.trials) and (
        outcome.objective.metric != TEST_METRIC
    )
    table = Table(
        title=f"{outcome.name}: {len(outcome.trials)} of {outcome.planned} trials", title_justify="left"
    )
    table.add_column("trial", justify="right")
    for name in short_names(paths).values():
        table.add_column(Text(name), justify="right")
    table.add_column(Text(outcome.objective.metric), justify="right")
    if with_test:
        table.add_column(TEST_METRIC, justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("state")
    for row in outcome.trials:
        cells = [str(row.number), *(shown(row.values[path]) for path in paths), _figure(row.objective)]
        if with_test:
            cells.append(_figure(row.result.metrics.get(TEST_METRIC)))
        cells += [f"{row.result.seconds:.0f}", row.status]
        table.add_row(*map(Text, cells))
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
