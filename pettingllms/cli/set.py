"""`pettingllms set`: values changed in a file, everything else as it was."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pettingllms.cli.arguments import Sets
from pettingllms.errors import UsageError

if TYPE_CHECKING:
    from pettingllms.documents.source import Document, Finding
    from pettingllms.lint.diagnostic import Diagnostic

WRONG_VALUE = ("PLM005", "PLM006")
"""Faults of a value itself, which no further change of the file can mend."""
_log = logging.getLogger(__name__)


def set_values(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to change.", show_default=False)],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="K=V...", help="Changes, written as overrides are.", show_default=False),
    ] = None,
    sets: Sets = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print the change, and write nothing.")] = False,
) -> None:
    """Change values in an experiment file; comments, order and all other lines stay as they are.

    K=V changes, +K=V adds, ++K=V does either, ~K deletes, K:=V replaces a table or list, K+=[V]
    appends. The changed text is read again before it is written: it must give exactly the values
    that were asked for, none of a wrong type or out of range, or the file stays as it is. A key that
    another file gives is set in FILE.
    """
    from pettingllms.compose.amend import amend, overruled
    from pettingllms.config.fields import ExperimentSchema
    from pettingllms.documents.atomic import write_text
    from pettingllms.documents.edit import edit
    from pettingllms.documents.read import parse_document

    changes = [*(sets or []), *(words or [])]
    if not changes:
        raise UsageError("no change is named", help="write it as section.key=value")
    document = _read(file)
    amendment = amend(document, changes, ExperimentSchema())
    if amendment.findings:
        raise typer.Exit(_print(amendment.findings))
    text = edit(document, amendment.data, amendment.written)
    change = _difference(document, text, amendment.data)
    if diff:
        typer.echo(change, nl=False)
        raise typer.Exit
    if text == document.text:
        _log.info("%s already says so; nothing was written", file)
        raise typer.Exit
    faults = _new_faults(document, text)
    wrong = [fault for fault in faults if fault.code in WRONG_VALUE]
    if wrong:
        _show(f"{file} was not written; this would be wrong in it:\n", wrong)
        raise typer.Exit(1)
    write_text(file, ("\ufeff" if document.bom else "") + text, force=True)
    _log.info("%s", change.rstrip("\n"))
    for note in [*amendment.notes, *overruled(parse_document(text, file), amendment, ExperimentSchema())]:
        _log.info("note: %s", note)
    if faults:
        _show(f"{file} was written; this is wrong in it now:\n", faults)
    raise typer.Exit(int(bool(faults)))


def _read(file: Path) -> Document:
    from pettingllms.documents.read import read_document
    from pettingllms.documents.source import DocumentError

    try:
        return read_document(file)
    except DocumentError as error:
        raise typer.Exit(_print([error.finding])) from None


def _print(findings: list[Finding]) -> int:
    from pettingllms.cli.composed import printed
    from pettingllms.documents.source import DocumentError
    from pettingllms.lint.engine import unread

    return max(printed(unread(DocumentError(finding))) for finding in findings)


def _new_faults(document: Document, text: str) -> list[Diagnostic]:
    """The errors of the changed text that the document does not have."""
    from pettingllms.lint.diagnostic import Severity
    from pettingllms.lint.engine import check_experiment

    before = {
        (found.code, found.path, found.message)
        for found in check_experiment(document.path, text=document.text).diagnostics
    }
    return [
        found
        for found in check_experiment(document.path, text=text).diagnostics
        if found.severity is Severity.ERROR and (found.code, found.path, found.message) not in before
    ]


def _show(head: str, faults: list[Diagnostic]) -> None:
    from pettingllms.cli.composed import printed
    from pettingllms.lint.engine import Report

    typer.echo(head, err=True)
    printed(Report(tuple(faults)))


def _difference(document: Document, text: str, data: dict[str, Any]) -> str:
    """The changed lines as a unified diff, without the values of secrets."""
    from difflib import unified_diff

    from pettingllms.compose.secrets import secret_texts, shown

    name, old, new = str(document.path), document.text.splitlines(), text.splitlines()
    lines = "\n".join(unified_diff(old, new, name, name, lineterm="", n=1))
    hidden = [*secret_texts(document.data), *secret_texts(data)]
    return f"{shown(lines, (), hidden)}\n" if lines else ""
