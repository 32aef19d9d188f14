"""What is printed when trials and studies end: results on standard output, failures on standard error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.documents.source import dotted
from pettingllms.sweep.best_prompts import best_of
from pettingllms.sweep.follow import JsonLines, log_tail
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.resume import LOG
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.study.outcome import StudyOutcome, short_names
from pettingllms.sweep.trial import Trial, shown

PLAIN_WIDTH = 160
"""Columns of the table where output is no terminal."""
TEST_METRIC = "test/success_rate"


def show_failure(name: str, reason: str | None, log: Path, stream: TextIO) -> None:
    """Write why a trial failed, the last lines of its log, and where the whole log is."""
    lines = [f"{name} failed: {reason}"]
    if tail := log_tail(log):
        lines += ["last lines of its log:", *(f"  {line}" for line in tail)]
    stream.write("\n".join([*lines, f"whole log: {log}"]) + "\n")
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
        "status": result.status,
        "reason": result.reason,
        "metrics": _finite_values(result.metrics),
        "seconds": round(result.seconds, 1),
        "folder": str(trial.folder),
        "log": str(result.log_path),
        "checkpoint": result.checkpoint,
        **_best_prompts(trial.folder),
        "exit_code": result.exit_code,
    }


def study_json(outcome: StudyOutcome) -> dict[str, Any]:
    """The result of a study for programs.

    `best`: the number of the best trial, or null. With several objectives it is null, and `front` has the
    numbers of those that none beats in all of them.
    """
    several = len(outcome.objectives) > 1
    return {
        "study": outcome.name,
        "folder": str(outcome.folder),
        "objective": outcome.objectives[0].model_dump(),
        **({"objectives": [one.model_dump() for one in outcome.objectives]} if several else {}),
        "planned": outcome.planned,
        "trials": [_row_json(row, several=several) for row in outcome.started],
        "best": outcome.best.number if outcome.best else None,
        **({"front": [row.number for row in outcome.front]} if several else {}),
        "budget": outcome.budget,
        "exit_code": outcome.exit_code,
    }


def _row_json(row: Row, *, several: bool) -> dict[str, Any]:
    folder = Path(row.folder or "")
    return {
        "number": row.number,
        "values": row.swept,
        "objective": row.objectives[0] if row.objectives else None,
        **({"objectives": row.objectives} if several else {}),
        "status": row.state,
        "reason": row.reason,
        "cause": row.cause,
        "attempts": row.attempt,
        "metrics": _finite_values(row.metrics),
        "seconds": round(row.seconds, 1),
        "folder": row.folder,
        "log": str(folder / LOG),
        "checkpoint": _newest_checkpoint(folder),
        **_best_prompts(folder),
    }


def _best_prompts(folder: Path) -> dict[str, str]:
    best = best_of(folder)
    return {"best_prompts": str(best)} if best is not None else {}


def _newest_checkpoint(folder: Path) -> str | None:
    """The checkpoint that the events of a run named last."""
    events = JsonLines(folder / "events.jsonl").read()
    saved = [str(record.get("path")) for record in events if record.get("event") == "checkpoint"]
    return saved[-1] if saved else None


def _finite_values(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def write_json(data: dict[str, Any], stream: TextIO) -> None:
    """Write `data` as one JSON object."""
    stream.write(json.dumps(data, indent=2, allow_nan=False, default=str) + "\n")


def show_study(outcome: StudyOutcome, stream: TextIO) -> None:
    """Write the table of all trials that were started, and the best one, or those that none beats."""
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(study_table(outcome))
    if outcome.refused:
        stream.write(f"proposals that could not run, and were replaced: {outcome.refused}\n")
    if outcome.budget is not None:
        stream.write(f"{outcome.budget}; no further trial was started\n")
    if not outcome.front:
        stream.write(f"no trial completed, so there is no best one; study folder: {outcome.folder}\n")
    elif outcome.best is None:
        numbers = ", ".join(str(row.number) for row in outcome.front)
        stream.write(f"trials that no other one beats in every objective: {numbers}\n  {outcome.folder}\n")
    else:
        stream.write("\n".join(_best_lines(outcome, outcome.best)) + "\n")


def _best_lines(outcome: StudyOutcome, best: Row) -> list[str]:
    value = (best.objectives or (math.nan,))[0]
    return [
        f"best: trial {best.number} with {outcome.objectives[0].metric} = {value:.4g}",
        *(f"  {name} = {shown(value)}" for name, value in best.swept.items()),
        f"  {best.folder}",
    ]


def study_table(outcome: StudyOutcome) -> Table:
    """One row per trial: number, swept values, objectives, test success, seconds, state."""
    rows, metrics = outcome.started, [one.metric for one in outcome.objectives]
    with_test = TEST_METRIC not in metrics and any(TEST_METRIC in row.metrics for row in rows)
    table = Table(title=f"{outcome.name}: {len(rows)} of {outcome.planned} trials", title_justify="left")
    table.add_column("trial", justify="right")
    for name in (*short_names(outcome.paths).values(), *metrics):
        table.add_column(Text(name), justify="right")
    if with_test:
        table.add_column(TEST_METRIC, justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("state")
    for row in rows:
        names = map(dotted, outcome.paths)
        cells = [str(row.number), *(shown(row.swept[name]) if name in row.swept else "-" for name in names)]
        cells += map(_figure, row.objectives or (None,) * len(metrics))
        if with_test:
            cells.append(_figure(row.metrics.get(TEST_METRIC)))
        cells += [f"{row.seconds:.0f}", row.state]
        table.add_row(*map(Text, cells))
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
