"""The live picture of a study on a terminal: each running trial with the course of its objective."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pettingllms.lint.engine import CheckedCell
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.progress import Progress, View, clock
from pettingllms.sweep.study.view import StudyLines, standing, values_in_words, waiting_for
from pettingllms.sweep.trial import Trial
from pettingllms.sweep.view import SHOWN_WARNINGS, details, sparkline

COURSE = 24
"""How many of the newest values of the objective are drawn."""


@dataclass(slots=True)
class _Shown:
    """A running trial as the table has it."""

    number: int
    values: str
    progress: Progress
    course: list[float] = field(default_factory=list)
    note: str = ""


class StudyTable:
    """Redraws itself at each refresh; no thread of its own. The last picture stays when the worker leaves.

    `metric`: the first objective, whose course is drawn. `said`: warnings that the user has seen.
    """

    def __init__(
        self, console: Console, name: str, metric: str, *, said: Collection[str] = (), planned: int = 0
    ) -> None:
        self._console, self._name, self._metric, self._said = console, name, metric, said
        self._planned = planned
        self._shown: dict[int, _Shown] = {}
        self._rows: Mapping[int, Row] = {}
        self._note = ""
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._live.start()

    def title(self, cell: CheckedCell, position: int, planned: int) -> str:
        """As in lines."""
        return StudyLines().title(cell, position, planned)

    def trial(self, cell: CheckedCell) -> View:
        """One line of the table."""
        return _Line(self, cell)

    def rows(self, rows: Mapping[int, Row]) -> None:
        """Take the counts into the picture."""
        self._rows, self._note = rows, ""

    def waits(self, rows: Mapping[int, Row]) -> None:
        """Say it below the table."""
        self._note = waiting_for(rows)

    def say(self, text: str) -> None:
        """Say it above the table, where it stays."""
        self._console.print(Text(text))

    def refresh(self) -> None:
        """Draw."""
        self._live.update(self.picture(), refresh=True)

    def close(self) -> None:
        """Draw once more and leave the picture standing."""
        self.refresh()
        self._live.stop()

    def picture(self) -> RenderableType:
        """What the user sees now; details of a trial where only one runs."""
        shown = list(self._shown.values())
        parts: list[RenderableType] = [
            Text(f"{self._name}  {standing(self._rows, self._planned or len(self._rows))}", style="bold")
        ]
        if shown:
            parts.append(_table(shown, self._metric))
        if len(shown) == 1:
            parts += details(shown[0].progress)
        for one in shown:
            told = one.progress.warnings[-SHOWN_WARNINGS:]
            parts += [Text(f"  trial {one.number}: warning: {text}", style="yellow") for text in told]
            parts += [Text(f"  trial {one.number}: {one.note}", style="bold")] if one.note else []
        if self._note:
            parts.append(Text(f"  {self._note}", style="dim"))
        return Group(*parts)

    def begin(self, cell: CheckedCell, trial: Trial) -> _Shown:
        """The trial of `cell` gets a line."""
        shown = _Shown(cell.number, values_in_words(cell.values), Progress.of(trial, self._said))
        self._shown[cell.number] = shown
        self._console.print(Text(f"{trial.title}, {trial.folder}", style="dim", overflow="fold"))
        return shown

    def take(self, shown: _Shown, record: Mapping[str, float]) -> None:
        """Take metrics into a line."""
        shown.progress.take_metrics(record)
        if self._metric in record:
            shown.course.append(record[self._metric])

    def end(self, number: int) -> None:
        """The trial loses its line."""
        self._shown.pop(number, None)


class _Line:
    """The view of one trial: a line of the table."""

    def __init__(self, table: StudyTable, cell: CheckedCell) -> None:
        self._table, self._cell = table, cell
        self._shown: _Shown | None = None

    def begin(self, trial: Trial) -> None:
        self._shown = self._table.begin(self._cell, trial)

    def event(self, record: Mapping[str, Any]) -> None:
        if self._shown is not None:
            self._shown.progress.take_event(record)

    def metrics(self, record: Mapping[str, float]) -> None:
        if self._shown is not None:
            self._table.take(self._shown, record)

    def say(self, text: str) -> None:
        if self._shown is not None:
            self._shown.note = text

    def refresh(self) -> None:
        """The worker draws the table when it has looked at all trials."""

    def end(self) -> None:
        self._table.end(self._cell.number)


def _table(shown: Sequence[_Shown], metric: str) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=True)
    table.add_column("trial", justify="right")
    table.add_column("values")
    for name in ("step", "ETA", metric):
        table.add_column(Text(name), justify="right")
    table.add_column("")
    table.add_column("")
    for one in shown:
        progress = one.progress
        left = progress.seconds_left
        table.add_row(
            str(one.number),
            Text(one.values, overflow="fold"),
            f"{progress.done}/{progress.total}",
            "" if left is None else clock(left),
            f"{one.course[-1]:.4g}" if one.course else "-",
            course(one.course),
            Text(progress.status or progress.phase, style="dim"),
        )
    return table


def course(values: Sequence[float]) -> str:
    """A bar for each of the newest values: by their size from 0 to 1, or within their range if others."""
    newest = list(values)[-COURSE:]
    finite = [value for value in newest if isfinite(value)]
    if not finite:
        return sparkline(nan for _ in newest)
    low, high = min(finite), max(finite)
    if low >= 0 and high <= 1:
        return sparkline(newest)
    return sparkline((value - low) / ((high - low) or 1) if isfinite(value) else nan for value in newest)
