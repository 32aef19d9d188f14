"""The result of an evaluation: as one JSON object, and as tables for people."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pettingllms.evaluation.changes import Changes, temperatures
from pettingllms.evaluation.source import Source
from pettingllms.evaluation.statistics import (
    CONFIDENCE,
    Difference,
    average_at,
    pass_at,
    success_rate,
)
from pettingllms.evaluation.summary import Summary
from pettingllms.sweep.report import show_sandbox

PLAIN_WIDTH = 160
"""Columns of tables where output is no terminal."""
SIDES = ("subject", "other")


def about(source: Source, changes: Changes, samples: Path) -> dict[str, Any]:
    """What was evaluated, for the result."""
    return {
        "source": str(source.named),
        "checkpoint": str(source.checkpoint.folder) if source.checkpoint else None,
        "step": source.checkpoint.step if source.checkpoint else None,
        "changes": changes.words(source.config),
        "temperatures": temperatures(source.config, changes),
        "samples_file": str(samples),
    }


def figures(summary: Summary, ks: tuple[int, ...]) -> dict[str, Any]:
    """What it came to, for the result; `ks`: for which numbers of samples."""
    return {
        "success_rate": asdict(success_rate(summary.rows)),
        "at_k": [{"k": k, "avg": average_at(summary.rows, k), "pass": pass_at(summary.rows, k)} for k in ks],
        "agents": {name: asdict(agent) for name, agent in summary.agents.items()},
        "failed_plays": summary.failed,
        "successes": {task: list(row) for task, row in summary.successes.items()},
    }


def difference(found: Difference) -> dict[str, Any]:
    """The comparison of the two sides, for the result: subject minus other."""
    return asdict(found)


def show(result: dict[str, Any], stream: TextIO) -> None:
    """Write the tables of a result."""
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    plays = f"{result['tasks']} {result['split']} tasks, {result['samples']} plays of each"
    sides = [side for side in SIDES if side in result]
    show_sandbox(result.get("sandbox"), stream)
    console.print(_rates(plays, [result[side] for side in sides]))
    for side in sides:
        console.print(_agents(result[side]))
    if "difference" in result:
        stream.write(_compared(result["difference"]) + "\n")
    stream.write(f"folder: {result['folder']}\n")


def _rates(title: str, sides: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("evaluated")
    table.add_column("success rate", justify="right")
    table.add_column(f"{CONFIDENCE:.0%} interval", justify="right")
    for row in sides[0]["at_k"]:
        table.add_column(f"avg@{row['k']}", justify="right")
        table.add_column(f"pass@{row['k']}", justify="right")
    for side in sides:
        rate = side["success_rate"]
        cells = [_title(side), f"{rate['value']:.3f}", f"{rate['low']:.3f} to {rate['high']:.3f}"]
        for row in side["at_k"]:
            cells += [f"{row['avg']:.3f}", f"{row['pass']:.3f}"]
        table.add_row(*map(Text, cells))
    return table


def _agents(side: dict[str, Any]) -> Table:
    table = Table(title=f"agents of {_title(side)}", title_justify="left")
    table.add_column("agent")
    table.add_column("policy")
    for name in ("temperature", "reward", "failed", "truncated", "tokens per turn"):
        table.add_column(name, justify="right")
    table.add_column("outcomes")
    for name, agent in side["agents"].items():
        cells = [name, agent["policy"], f"{side['temperatures'][name]:g}"]
        cells += ["-" if agent["reward"] is None else f"{agent['reward']:.3f}"]
        cells += [f"{agent['failed']:.1%}", f"{agent['truncated']:.1%}", f"{agent['tokens']:.1f}"]
        cells += [", ".join(f"{reason} {share:.1%}" for reason, share in agent["reasons"].items())]
        table.add_row(*map(Text, cells))
    return table


def _title(side: dict[str, Any]) -> str:
    after = "before training" if side["step"] is None else f"step {side['step']}"
    return ", ".join([side["source"], after, *side["changes"]])


def _compared(found: dict[str, Any]) -> str:
    return (
        f"difference {found['value']:+.3f}, {CONFIDENCE:.0%} interval {found['low']:+.3f} to "
        f"{found['high']:+.3f}, p = {found['p']:.2g}: success rate of the first row minus that of the second "
        f"(paired bootstrap over {found['tasks']} tasks)"
    )
