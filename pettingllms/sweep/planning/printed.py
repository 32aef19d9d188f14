"""What is printed of the plan of a sweep; nothing is started."""

from __future__ import annotations

from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.documents.source import KeyPath, dotted
from pettingllms.hiding import hidden
from pettingllms.lint.proof.plan import Plan, PlannedCell
from pettingllms.lint.sizes import size_in_words
from pettingllms.sweep.planning.plans import Outlook, hidden_in
from pettingllms.sweep.planning.words import FORMULAS, columns, explained, launch_in_words
from pettingllms.sweep.report import PLAIN_WIDTH
from pettingllms.sweep.study.outcome import short_names
from pettingllms.sweep.trial import shown

ESTIMATES = ("tokens", "time", "memory", "disk")


def plan_json(outlook: Outlook, only: int | None = None) -> dict[str, Any]:
    """The plan for programs, or of its cells the one numbered `only`."""
    plan, known = outlook.plan, outlook.known
    cells = [cell for cell in plan.cells if only in (None, cell.number)]
    budget = plan.sweep.budget
    return {
        "sampler": plan.sweep.sampler,
        "objectives": [objective.model_dump() for objective in plan.sweep.objectives],
        "complete": plan.complete,
        "fixed": [dotted(path) for path in plan.fixed],
        "runs": plan.count("runs"),
        "impossible": plan.count("impossible"),
        "excluded": plan.count("excluded"),
        "cells": [_cell_json(outlook, cell) for cell in cells],
        "total": None if outlook.total is None else outlook.total.as_json(),
        "total_unknown": outlook.why_not,
        "jobs": outlook.jobs,
        "budget": None if budget is None else budget.model_dump(),
        "calibration": {
            "runs": [str(run.folder) for run in known.runs],
            "left_out": [{"folder": str(folder), "why": hidden(why)} for folder, why in known.left_out],
        },
        "formulas": dict(FORMULAS),
    }


def _cell_json(outlook: Outlook, cell: PlannedCell) -> dict[str, Any]:
    estimate, launch = outlook.estimates.get(cell.number), outlook.launches.get(cell.number)
    return {
        "number": cell.number,
        "state": cell.state,
        "values": {dotted(path): cell.values[path] for path in cell.values if path in cell.active},
        "derived": {dotted(path): value for path, value in cell.derived.items()},
        "why": [{"code": code, "message": message} for code, message in cell.why],
        "estimate": None if estimate is None else hidden_in(estimate.as_json()),
        "launch": None if launch is None else hidden_in(launch.as_json()),
    }


def show_plan(outlook: Outlook, stream: TextIO) -> None:
    """Write the objective, the table of cells, their sums, and how the first that runs comes about."""
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    plan = outlook.plan
    stream.write(_title(plan) + "\n")
    console.print(_table(outlook))
    lines = [*_sums(plan), *_totals(outlook), *_gone_by(outlook)]
    if outlook.runs:
        first = outlook.runs[0].number
        lines += [f"cell {first}, and all others alike (--cell N shows another):", *_about(outlook, first)]
    stream.write("\n".join(lines) + "\n")


def show_cell(outlook: Outlook, number: int, stream: TextIO) -> None:
    """Write all that is known about one cell: its values, its estimates with their sums, its command."""
    cell = next(cell for cell in outlook.plan.cells if cell.number == number)
    lines = [f"cell {number}: {cell.state}"]
    lines += [f"  {dotted(path)} = {shown(cell.values[path])}" for path in cell.values if path in cell.active]
    lines += [f"  {dotted(path)} = {shown(value)}, which follows" for path, value in cell.derived.items()]
    lines += [f"  {code}: {message}" for code, message in cell.why]
    if number in outlook.estimates:
        lines += [*_about(outlook, number), *_gone_by(outlook)]
    stream.write("\n".join(lines) + "\n")


def _about(outlook: Outlook, number: int) -> list[str]:
    lines = [*explained(outlook.estimates[number]), *launch_in_words(outlook.launches[number])]
    return [f"  {hidden(line)}" for line in lines]


def _totals(outlook: Outlook) -> list[str]:
    """What the whole study takes, and what of it the budget allows."""
    plan, total = outlook.plan, outlook.total
    disks = [found.disk.peak for found in outlook.estimates.values()]
    if total is None:
        return [f"total: {outlook.why_not}"]
    jobs = "one after the other" if outlook.jobs == 1 else f"{outlook.jobs} at a time"
    words = f"total: {total.trials} trials, {jobs}: {total.hours:.2f} h, {total.gpu_hours:.2f} GPU hours"
    if plan.sweep.sampler == "grid" and None not in disks:
        words += f", at most {size_in_words(sum(size or 0 for size in disks))} of disk"
    budget = plan.sweep.budget
    if budget is None:
        return [words]
    limits = [f"{name} = {value:g}" for name, value in budget.model_dump().items() if value is not None]
    allowed = (
        f"budget ({', '.join(limits) or 'no limit'}): {total.allowed} of {total.trials} trials begin, which "
        f"take {total.allowed_hours:.2f} h and {total.allowed_gpu_hours:.2f} GPU hours"
    )
    return [words, allowed]


def _gone_by(outlook: Outlook) -> list[str]:
    known = outlook.known
    if not known.runs:
        lines = [f"no finished run to go by ({known.looked}); --from RUN names some"]
    else:
        lines = [f"by {len(known.runs)} finished runs: {known.looked}"]
    lines += [f"  {folder} is left out: {why}" for folder, why in known.left_out]
    return list(map(hidden, lines))


def _table(outlook: Outlook) -> Table:
    plan = outlook.plan
    first = plan.cells[0]
    followers = _telling(plan)
    names = short_names([*first.values, *followers])
    table = Table()
    table.add_column("cell", justify="right")
    for path in names:
        table.add_column(Text(names[path]), justify="right", style="dim" if path in followers else None)
    for name in ESTIMATES:
        table.add_column(name, justify="right")
    table.add_column("")
    for cell in plan.cells:
        swept = [shown(value) if path in cell.active else "-" for path, value in cell.values.items()]
        derived = [shown(cell.derived[path]) if path in cell.derived else "-" for path in followers]
        estimate = outlook.estimates.get(cell.number)
        taken = ["-"] * len(ESTIMATES) if estimate is None else columns(estimate)
        codes = ", ".join(dict.fromkeys(code for code, _ in cell.why))
        reason = f"{cell.state}: {codes}" if codes else cell.state
        table.add_row(*map(Text, [str(cell.number), *swept, *derived, *taken, reason]))
    return table


def _telling(plan: Plan) -> list[KeyPath]:
    """The keys that follow swept ones, and say something that no column before them says."""
    columns = [[shown(cell.values[path]) for cell in plan.cells] for path in plan.cells[0].values]
    found = []
    for path in filter(lambda path: _varies(plan, path), plan.cells[0].derived):
        column = [shown(cell.derived.get(path)) for cell in plan.cells]
        if column not in columns:
            columns.append(column)
            found.append(path)
    return found


def _varies(plan: Plan, path: KeyPath) -> bool:
    return len({shown(cell.derived.get(path)) for cell in plan.cells}) > 1


def _title(plan: Plan) -> str:
    goals = [f"{objective.direction} {objective.metric}" for objective in plan.sweep.objectives]
    return f"{plan.sweep.sampler}, {', '.join(goals)}"


def _sums(plan: Plan) -> list[str]:
    total = len(plan.cells)
    lines = [f"{plan.count('runs')} of {total} cells run"]
    if not plan.complete:
        lines = [f"{total} cells of an endless space, its corners and a sample, are shown"]
    if plan.count("impossible"):
        lines.append(f"{plan.count('impossible')} of {total} cells impossible:")
        reasons: dict[tuple[str, str], int] = {}
        for cell in plan.cells:
            for why in cell.why:
                reasons[why] = reasons.get(why, 0) + 1
        lines += [f"  {count} by {code}: {message}" for (code, message), count in reasons.items()]
    if plan.count("excluded"):
        lines.append(f"{plan.count('excluded')} of {total} cells excluded by a constraint")
    if plan.fixed:
        lines.append(f"fixed by an override: {', '.join(map(dotted, plan.fixed))}")
    return lines
