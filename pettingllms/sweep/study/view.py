"""What a user sees of a study while it runs: how many cells are where, and each running trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from typing import Protocol, TextIO

from rich.console import Console

from pettingllms.documents.source import KeyPath
from pettingllms.lint.engine import CheckedCell
from pettingllms.sweep.ledger.claims import counts
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.lines import LineView
from pettingllms.sweep.progress import SilentView, View
from pettingllms.sweep.study.outcome import short_names
from pettingllms.sweep.trial import shown


class StudyView(Protocol):
    """Shows a study while a worker is at it."""

    def title(self, cell: CheckedCell, position: int, planned: int) -> str:
        """What a trial is called: the `position`-th that was started, of `planned`."""
        ...

    def trial(self, cell: CheckedCell) -> View:
        """What shows the trial of `cell`, from its `begin` to its `end`."""
        ...

    def rows(self, rows: Mapping[int, Row]) -> None:
        """How the study stands."""
        ...

    def waits(self, rows: Mapping[int, Row]) -> None:
        """No cell is free now, and some have not ended."""
        ...

    def say(self, text: str) -> None:
        """Something beside the trials happens."""
        ...

    def refresh(self) -> None:
        """Time has passed."""
        ...

    def close(self) -> None:
        """The worker leaves."""
        ...


def values_in_words(values: Mapping[KeyPath, object]) -> str:
    """The values of a cell on one line, under short names."""
    names = short_names(values)
    return "  ".join(f"{names[path]}={shown(value)}" for path, value in values.items())


def standing(rows: Mapping[int, Row], planned: int) -> str:
    """How many cells are where, as `3 of 12 ended: 2 complete, 1 failed; 1 running`."""
    found = counts(rows)
    ended = [f"{found[state]} {state}" for state in ("complete", "pruned", "failed") if found[state]]
    total = sum(found[state] for state in ("complete", "pruned", "failed"))
    text = f"{total} of {planned} ended" + (f": {', '.join(ended)}" if ended else "")
    return text + (f"; {found['running']} running" if found["running"] else "")


def waiting_for(rows: Mapping[int, Row]) -> str:
    """What a worker without work waits for."""
    found = counts(rows)
    later = [row for row in rows.values() if row.state == "waiting" and row.not_before > time.time()]
    parts = [f"{found['running']} that other workers run"] if found["running"] else []
    parts += [f"{len(later)} that are tried again in a moment"] if later else []
    return f"waiting for cells: {', '.join(parts)}" if parts else "waiting for cells"


class StudyLines:
    """Plain lines on `stream`. Where several trials run at a time each line begins with its trial.

    `said`: warnings that the user has seen. `quiet`: nothing is shown.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        said: Collection[str] = (),
        jobs: int = 1,
        quiet: bool = False,
    ) -> None:
        self._stream, self._said, self._jobs, self._quiet = stream or sys.stderr, said, jobs, quiet
        self._waits = ""

    def title(self, cell: CheckedCell, position: int, planned: int) -> str:
        """`trial 7 (8 of 12)  lora_rank=8`; without the trial where each of its lines begins with that."""
        values = values_in_words(cell.values)
        place = f"{position} of {planned}"
        title = f"trial {cell.number} ({place})" if self._jobs == 1 else place
        return title + (f"  {values}" if values else "")

    def trial(self, cell: CheckedCell) -> View:
        """Lines, where the trial logs to the console."""
        if self._quiet or "console" not in cell.config.training.logger:
            return SilentView()
        if self._jobs == 1:
            return LineView(self._stream, self._said)
        return LineView(_Prefixed(self._stream, f"trial {cell.number}: "), self._said)

    def rows(self, rows: Mapping[int, Row]) -> None:
        """Lines say it when trials end; what was waited for may have changed."""
        if any(row.state == "running" for row in rows.values()):
            self._waits = ""

    def waits(self, rows: Mapping[int, Row]) -> None:
        """Say so once."""
        if (text := waiting_for(rows)) != self._waits:
            self.say(text)
            self._waits = text

    def say(self, text: str) -> None:
        """Write a line."""
        if not self._quiet:
            self._stream.write(text + "\n")
            self._stream.flush()

    def refresh(self) -> None:
        """Lines stay as they are."""

    def close(self) -> None:
        """Lines stay as they are."""


class _Prefixed:
    """A stream each of whose lines begins with `prefix`; `LineView` writes whole lines."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix = stream, prefix

    def write(self, text: str, /) -> int:
        return self._stream.write(self._prefix + text)

    def flush(self) -> None:
        self._stream.flush()


def choose_study_view(
    name: str, metric: str, *, said: Collection[str], jobs: int, planned: int, quiet: bool
) -> StudyView:
    """The view for standard error: a live table on a terminal, lines elsewhere, nothing where `quiet`."""
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        from pettingllms.sweep.study.live_table import StudyTable

        return StudyTable(console, name, metric, said=said, planned=planned)
    return StudyLines(said=said, jobs=jobs, quiet=quiet)
