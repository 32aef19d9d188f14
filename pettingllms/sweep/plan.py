"""What is printed of the plan of a sweep; nothing is started."""

from __future__ import annotations

from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.documents.source import KeyPath, dotted
from pettingllms.lint.proof.plan import Plan
from pettingllms.sweep.report import PLAIN_WIDTH
from pettingllms.sweep.study import short_names
from pettingllms.sweep.trial import shown


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "sampler": plan.sweep.sampler,
        "objectives": [objective.model_dump() for objective in plan.sweep.objectives],
        "complete": plan.complete,
        "fixed": [dotted(path) for path in plan.fixed],
        "runs": plan.count("runs"),
        "impossible": plan.count("impossible"),
        "excluded": plan.count("excluded"),
        "cells": [
            {
                "number": cell.number,
                "state": cell.state,
                "values": {dotted(path): cell.values[path] for path in cell.values if path in cell.active},
                "derived": {dotted(path): value for path, value in cell.derived.items()},
                "why": [{"code": code, "message": message} for code, message in cell.why],
            }
            for cell in plan.cells
        ],
    }


def show_plan(plan: Plan, stream: TextIO) -> None:
    """Write the objective, the table of cells, and the count of those that run."""
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    stream.write(_title(plan) + "\n")
    console.print(_table(plan))
    stream.write("\n".join(_sums(plan)) + "\n")


def _table(plan: Plan) -> Table:
    first = plan.cells[0]
    followers = _telling(plan)
    names = short_names([*first.values, *followers])
    table = Table()
    table.add_column("cell", justify="right")
    for path in names:
        table.add_column(Text(names[path]), justify="right", style="dim" if path in followers else None)
    table.add_column("")
    for cell in plan.cells:
        swept = [shown(value) if path in cell.active else "-" for path, value in cell.values.items()]
        derived = [shown(cell.derived[path]) if path in cell.derived else "-" for path in followers]
        reason = (
            f"{cell.state}: {', '.join(dict.fromkeys(code for code, _ in cell.why))}"
            if cell.why
            else cell.state
        )
        table.add_row(*map(Text, [str(cell.number), *swept, *derived, reason]))
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
