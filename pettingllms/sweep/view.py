"""Progress on a terminal: a live picture of the trial, redrawn as records come in."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from math import isnan
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pettingllms.config.training import TrainingConfig
from pettingllms.sweep.lines import LineView
from pettingllms.sweep.progress import Progress, SilentView, View, by_name, clock
from pettingllms.sweep.trial import Trial

SHOWN_WARNINGS = 3
_BARS = "▁▂▃▄▅▆▇█"


def choose_view(training: TrainingConfig, said: Collection[str] = ()) -> View:
    """The view for standard error: live on a terminal, lines elsewhere, nothing without `console`.

    `said`: warnings that the user has seen already.
    """
    if "console" not in training.logger:
        return SilentView()
    console = Console(stderr=True)
    return LiveView(console, said) if console.is_terminal else LineView(sys.stderr, said)


class LiveView:
    """Redraws itself at each refresh; no thread of its own. The last picture stays when the trial ends."""

    def __init__(self, console: Console, said: Collection[str] = ()) -> None:
        self._console, self._said = console, said
        self._progress = Progress(0)
        self._title = self._note = ""
        self._live: Live | None = None

    def begin(self, trial: Trial) -> None:
        """Start drawing."""
        self._progress, self._title, self._note = Progress.of(trial, self._said), trial.title, ""
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False)
        self._live.start()
        self._console.print(Text(f"{trial.folder}", style="dim", overflow="fold"))

    def event(self, record: Mapping[str, Any]) -> None:
        """Take it into the picture."""
        self._progress.take_event(record)

    def metrics(self, record: Mapping[str, float]) -> None:
        """Take them into the picture."""
        self._progress.take_metrics(record)

    def say(self, text: str) -> None:
        """Show `text` below the picture."""
        self._note = text

    def refresh(self) -> None:
        """Draw."""
        if self._live is not None:
            self._live.update(picture(self._title, self._progress, self._note), refresh=True)

    def end(self) -> None:
        """Draw once more and leave the picture standing."""
        self.refresh()
        if self._live is not None:
            self._live.stop()
            self._live = None


def picture(title: str, progress: Progress, note: str = "") -> RenderableType:
    """What the user sees of `progress`; parts that were not measured yet are absent."""
    parts: list[RenderableType] = [_head(title, progress)]
    if progress.status:
        parts.append(Text(f"  {progress.status}", style="dim"))
    parts += details(progress)
    parts += [Text(f"  warning: {text}", style="yellow") for text in progress.warnings[-SHOWN_WARNINGS:]]
    if note:
        parts.append(Text(f"  {note}", style="bold"))
    return Group(*parts)


def details(progress: Progress) -> list[RenderableType]:
    """What was measured at the newest step: agents, policies, success and times."""
    tables = (_agents(progress.latest), _policies(progress.latest))
    return [*(table for table in tables if table.row_count), *_summary(progress)]


def sparkline(values: Iterable[float]) -> str:
    """One bar per value of 0 to 1; those outside are drawn at the ends, a NaN as a dot."""
    top = len(_BARS) - 1
    return "".join("·" if isnan(v) else _BARS[round(max(0.0, min(1.0, v)) * top)] for v in values)


def _head(title: str, progress: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    left = "" if progress.seconds_left is None else f"ETA {clock(progress.seconds_left)}"
    phase = progress.phase
    if phase and progress.phase_total:
        phase += f" {progress.phase_done:.0f}/{progress.phase_total:.0f}"
    bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=24)
    row.add_row(
        Text(title, style="bold"),
        f"step {progress.step}/{progress.total}",
        bar,
        left,
        Text(phase, style="dim"),
    )
    return row


def _agents(latest: Mapping[str, float]) -> Table:
    table = _table("agent", "reward", "flat groups", "cut off")
    flat, cut = by_name(latest, "train/zero_variance/"), by_name(latest, "train/truncated/")
    for agent, reward in by_name(latest, "train/reward/").items():
        table.add_row(Text(agent), f"{reward:.3f}", _share(flat.get(agent)), _share(cut.get(agent)))
    return table


def _policies(latest: Mapping[str, float]) -> Table:
    kinds = ("loss", "kl", "entropy", "grad_norm")
    columns = {kind: by_name(latest, f"train/{kind}/") for kind in kinds}
    table = _table("policy", *kinds)
    for policy in dict.fromkeys(policy for values in columns.values() for policy in values):
        cells = [f"{columns[kind][policy]:.4g}" if policy in columns[kind] else "" for kind in kinds]
        table.add_row(Text(policy), *cells)
    return table


def _summary(progress: Progress) -> list[Text]:
    latest, lines = progress.latest, []
    rates = [f"{s} {latest[k]:.3f}" for s in ("train", "val", "test") if (k := f"{s}/success_rate") in latest]
    if rates:
        lines.append(Text(f"  success  {'  '.join(rates)}  {sparkline(progress.success)}"))
    laps = {name: latest[key] for name in ("rollout", "train", "sync") if (key := f"time/{name}") in latest}
    whole = sum(laps.values())
    split = [f"{name} {seconds:.1f} s ({seconds / whole:.0%})" for name, seconds in laps.items() if whole > 0]
    if (speed := latest.get("perf/rollout_tokens_per_second")) is not None:
        split.append(f"{speed:.0f} tokens/s")
    if split:
        lines.append(Text(f"  time     {'  '.join(split)}"))
    return lines


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=True)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
