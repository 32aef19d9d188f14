"""`pettingllms show`: an experiment after overrides, or fully resolved."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file.", show_default=False)],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[K=V]...", help="Overrides, as with --set.", show_default=False),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="K=V", help="Override a value; repeatable.", show_default=False),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="With references replaced and swept values at their default.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print an experiment after overrides; with --resolved, what a plain run uses."""
    from json import dumps

    from pettingllms.config.load import trial_toml

    tree = experiment_tree(file, [*(sets or []), *(words or [])], resolved=resolved)
    if json:
        typer.echo(dumps(_plain(tree), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(trial_toml(tree), nl=False)


def experiment_tree(file: Path, overrides: list[str], *, resolved: bool) -> dict[str, Any]:
    """The tree to print. Errors are printed to stderr and end the command."""
    from pettingllms.lint.diagnostic import Severity
    from pettingllms.lint.engine import check_experiment
    from pettingllms.lint.formats.text import format_coloured, format_text, wants_colour

    report = check_experiment(file, overrides)
    if report.experiment is not None and resolved:
        return report.experiment.resolved
    if report.draft is not None and not resolved:
        return report.draft.tree.data
    errors = [found for found in report.diagnostics if found.severity is Severity.ERROR]
    written = format_coloured(errors) if wants_colour(sys.stderr) else format_text(errors)
    typer.echo(written, err=True, nl=False)
    raise typer.Exit(report.exit_code())


def _plain(value: Any) -> Any:
    """`value` in JSON's types: dates and numbers that JSON lacks become text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    unwritable = isinstance(value, float) and value - value != 0
    if unwritable or isinstance(value, (datetime.date, datetime.time)):
        return str(value)
    return value
