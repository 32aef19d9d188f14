"""`pettingllms show`: an experiment after composition and overrides, or fully resolved."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pettingllms.cli.arguments import File, Overlays, Sets, Words

if TYPE_CHECKING:
    from pettingllms.compose.resolution import Resolution
    from pettingllms.documents.source import DocumentError, Finding

Form = Literal["toml", "yaml", "json"]
REMARKS = ("PLM209", "PLM210", "PLM215", "PLM6")
"""Findings that are never errors, known here so that they cost no import of the rules."""


def show(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="With references replaced and swept values at their default.")
    ] = False,
    form: Annotated[Form, typer.Option("--as", help="Form of the output.")] = "toml",
    json: Annotated[bool, typer.Option("--json", help="The same as --as json.")] = False,
) -> None:
    """Print an experiment after its defaults list and overrides; with --resolved, without references.

    Keys that neither a file nor an override sets have the schema's defaults, which are not printed. A
    reference without a value stays as it is, and its fault goes to standard error; `lint` says what
    else is wrong. Values that come from environment variables are shown as references, and those of
    keys that look like secrets are left out.
    """
    from pettingllms.compose.secrets import redacted
    from pettingllms.compose.tree import MISSING, get
    from pettingllms.compose.untyped import read_untyped
    from pettingllms.config.on_demand import SchemaOnDemand
    from pettingllms.documents.source import DocumentError
    from pettingllms.hiding import in_the_open

    overrides = [*(sets or []), *(words or [])]
    try:
        found = read_untyped(file, overrides, schema=SchemaOnDemand(), overlays=overlays or ())
    except DocumentError as error:
        raise typer.Exit(_complain_unread(error)) from None
    if found.composition.complete:
        resolution = found.resolution
        if resolved and get(found.composition.tree.data, ("sweep", "space")) is not MISSING:
            resolution = _with_space(file, overrides, overlays or ())
        data = resolution.data if resolved else found.composition.tree.data
        tree = redacted(data, resolution if resolved else None)
        with in_the_open():
            typer.echo(_written(tree, "json" if json else form), nl=False)
    raise typer.Exit(_complain(found.findings, file, overrides, overlays or ()))


def _with_space(file: Path, overrides: list[str], overlays: Sequence[Path]) -> Resolution:
    """The experiment with the axes of `[sweep.space]` in their places, at their defaults."""
    from pettingllms.config.load import choose, draft_experiment

    draft = draft_experiment(file, overrides, overlays=overlays)
    return choose(draft, {axis.path: axis.default for axis in draft.axes})


def _written(tree: dict[str, Any], form: Form) -> str:
    if form == "json":
        from json import dumps

        return dumps(_plain(tree), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    from pettingllms.documents.arrange import arrange
    from pettingllms.documents.outline_data import outline_of

    outline = outline_of(tree)
    if form == "yaml":
        from pettingllms.documents.write_yaml import write_yaml

        return write_yaml(outline)
    from pettingllms.documents.write_toml import write_toml

    arrange(outline, lambda *_: None)
    return write_toml(outline)


def _complain(findings: Sequence[Finding], file: Path, overrides: list[str], overlays: Sequence[Path]) -> int:
    """Write the errors among `findings` to standard error; return the exit code."""
    if all(finding.code.startswith(REMARKS) for finding in findings):
        return 0
    from pettingllms.cli.composed import printed
    from pettingllms.config.load import draft_experiment
    from pettingllms.lint.diagnostic import Severity
    from pettingllms.lint.engine import Report, diagnose

    draft = draft_experiment(file, overrides, overlays=overlays)
    found = diagnose(draft, findings)
    return printed(Report(tuple(one for one in found if one.severity is Severity.ERROR)))


def _complain_unread(error: DocumentError) -> int:
    from pettingllms.cli.composed import printed
    from pettingllms.lint.engine import unread

    return printed(unread(error))


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
