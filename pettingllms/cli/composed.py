"""A composed experiment for the verbs that look into one; its errors are printed where it cannot be had."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pettingllms.compose.resolution import Resolution
    from pettingllms.config.load import Draft
    from pettingllms.lint.engine import Report


def composed(file: Path, overrides: Sequence[str], overlays: Sequence[Path]) -> tuple[Draft, Resolution]:
    """Compose `file`, and resolve it with its swept values at their defaults.

    A file that cannot be read or is not complete ends the command, as does an override that cannot
    be applied; other faults of the file do not.
    """
    from pettingllms.config.load import choose, draft_experiment
    from pettingllms.documents.source import DocumentError
    from pettingllms.lint.engine import Report, diagnose, unread

    try:
        draft = draft_experiment(file, overrides, overlays=overlays)
    except DocumentError as error:
        raise typer.Exit(printed(unread(error))) from None
    wrong = [finding for finding in draft.findings if not draft.complete or _of_command_line(finding)]
    report = Report(diagnose(draft, wrong))
    if report.refused:
        raise typer.Exit(printed(report))
    return draft, choose(draft, {axis.path: axis.default for axis in draft.axes})


def _of_command_line(finding: object) -> bool:
    from pettingllms.compose.tree import COMMAND_LINE

    place = getattr(finding, "place", None)
    return place is not None and place.source.name == COMMAND_LINE


def printed(report: Report) -> int:
    """Write the diagnostics of `report` to standard error; return the exit code."""
    from pettingllms.lint.formats.text import format_coloured, format_text, wants_colour

    form = format_coloured if wants_colour(sys.stderr) else format_text
    typer.echo(form(report.diagnostics), err=True, nl=False)
    return report.exit_code()
