"""`sweep status` and `sweep retry`: how a study stands, and cells that are to run once more."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.documents.source import dotted
from pettingllms.sweep.ledger.claims import counts, is_stale, retry
from pettingllms.sweep.ledger.rows import ENDED, Row
from pettingllms.sweep.report import PLAIN_WIDTH, write_json
from pettingllms.sweep.study.export import finite
from pettingllms.sweep.study.outcome import short_names
from pettingllms.sweep.study.reading import Reading, read_study
from pettingllms.sweep.study.shelves import Study
from pettingllms.sweep.trial import shown

SHOWN_REASON = 60
"""Characters of a reason in the table."""


def show_status(study: Study, stream: TextIO, *, as_json: bool) -> None:
    """Write how the study stands: all its cells, and how many are in which state."""
    reading, now = read_study(study), time.time()
    if as_json:
        write_json(status_json(reading, now), stream)
        return
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(status_table(reading, now))
    stream.write("\n".join(_sums(reading, now)) + "\n")


def status_json(reading: Reading, now: float) -> dict[str, Any]:
    """The same for programs; `now` in Unix seconds."""
    outcome = reading.outcome
    return {
        "study": reading.study.name,
        "folder": str(reading.study.folder),
        "storage": None if reading.study.database is None else reading.study.database.shown,
        "experiment": reading.header.get("source"),
        "revision": reading.study.revision,
        "sampler": reading.sweep.sampler,
        "objectives": [objective.model_dump() for objective in reading.sweep.objectives],
        "planned": outcome.planned,
        "counts": counts(reading.rows),
        "best": outcome.best.number if outcome.best is not None else None,
        "front": [row.number for row in outcome.front],
        "cells": [_cell(row, now) for _, row in sorted(reading.rows.items())],
    }


def status_table(reading: Reading, now: float) -> Table:
    """One row per cell: number, values, objectives, attempts, step, seconds, state, and why it has none."""
    metrics = [objective.metric for objective in reading.sweep.objectives]
    table = Table(title=reading.study.name, title_justify="left")
    table.add_column("trial", justify="right")
    for name in (*short_names(reading.axes).values(), *metrics, "attempts", "step", "seconds"):
        table.add_column(Text(name), justify="right")
    table.add_column("state")
    table.add_column("", overflow="fold")
    names = [dotted(path) for path in reading.axes]
    for _, row in sorted(reading.rows.items()):
        values = [shown(row.swept[name]) if name in row.swept else "-" for name in names]
        objectives = [
            "-" if value is None else f"{value:.4g}" for value in row.objectives or [None] * len(metrics)
        ]
        step = f"{row.step}/{row.total_steps}" if row.total_steps else "-"
        cells = [str(row.number), *values, *objectives, str(row.attempt), step, f"{row.seconds:.0f}"]
        table.add_row(*map(Text, [*cells, row.state, _remark(row, now)]))
    return table


def retry_cells(study: Study, numbers: Collection[int] | None, stream: TextIO, *, as_json: bool) -> None:
    """Let ended cells wait again: those of `numbers`, by default all that failed; write which.

    Raises UsageError for a number that is no cell, RefusedError for one that has not ended.
    """
    with study.ledger.transaction() as table:
        again = retry(table, numbers)
    if as_json:
        write_json({"study": study.name, "waiting": [row.number for row in again]}, stream)
    elif again:
        told = ", ".join(str(row.number) for row in again)
        stream.write(f"waiting again: {told}; `sweep run` runs them from their newest checkpoints\n")
    else:
        stream.write(f"study {study.name} has no failed cells\n")


def _cell(row: Row, now: float) -> dict[str, Any]:
    found = finite(asdict(row))
    return {**found, "stale": is_stale(row, now)}


def _remark(row: Row, now: float) -> str:
    words = []
    if row.outside:
        words.append("not in the space any more")
    if is_stale(row, now):
        words.append(
            f"nothing heard of {row.worker} since its lease ended, {now - row.lease_until:.0f} s ago"
        )
    elif row.state == "running" and row.worker:
        words.append(row.worker)
    if row.state == "waiting" and row.not_before > now:
        words.append(f"in {row.not_before - now:.0f} s")
    if row.reason:
        line = row.reason.splitlines()[0] if row.reason.strip() else row.reason
        words.append(line if len(line) <= SHOWN_REASON else line[: SHOWN_REASON - 1] + "…")
    return "; ".join(words)


def _sums(reading: Reading, now: float) -> list[str]:
    outcome = reading.outcome
    told = ", ".join(f"{count} {state}" for state, count in counts(reading.rows).items() if count)
    lines = [f"{told or 'no cells yet'}; {outcome.planned} planned"]
    if outcome.planned > len(outcome.rows):
        lines[0] += f", of which {outcome.planned - len(outcome.rows)} are yet to be proposed"
    if outcome.best is not None and outcome.best.objectives:
        metric = outcome.objectives[0].metric
        lines.append(
            f"best so far: trial {outcome.best.number} with {metric} = {outcome.best.objectives[0]:.4g}"
        )
    elif outcome.front:
        numbers = ", ".join(str(row.number) for row in outcome.front)
        lines.append(f"trials that no other one beats in every objective: {numbers}")
    stale = [row.number for row in reading.rows.values() if is_stale(row, now)]
    if stale:
        lines.append(
            f"left by their workers: {', '.join(map(str, stale))}; the next worker goes on with them"
        )
    if (
        outcome.rows
        and all(row.state in ENDED for row in outcome.rows)
        and len(outcome.rows) == outcome.planned
    ):
        lines.append("the study has ended")
    lines.append(str(reading.study.folder))
    return lines
