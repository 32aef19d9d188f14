"""`pettingllms lint`: check files, folders or stdin."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pettingllms.cli.arguments import Overlays, Sets
from pettingllms.cli.experiment_files import experiments_in
from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Diagnostic, Severity

STDIN = Path("<stdin>")
_YAML = re.compile(r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n|---[ \t]*\r?\n)*[\w\"'-]+[ \t]*:(?:\s|\Z)")
"""What standard input begins with where it is YAML: a first key that is followed by a colon."""
Format = Literal["text", "concise", "json"]
FailOn = Literal["error", "warning", "info"]
_log = logging.getLogger(__name__)


def lint(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, or - for stdin (TOML, or YAML by its look).",
            show_default=False,
        ),
    ],
    sets: Sets = None,
    overlays: Overlays = None,
    output_format: Annotated[Format, typer.Option("--format", help="Form of the output.")] = "text",
    fail_on: Annotated[FailOn, typer.Option(help="Least severity that gives exit code 1.")] = "warning",
    here: Annotated[bool, typer.Option("--here", help="Check against this machine too.")] = False,
    select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Only codes with these beginnings.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="No codes with these beginnings.")
    ] = None,
) -> None:
    """Check experiment files, and every cell of their sweeps, against the schema and the rules."""
    from pettingllms.lint.engine import check_experiment
    from pettingllms.lint.facts import Facts

    selected, ignored = _codes(select), _codes(ignore)
    facts = Facts.here() if here else None
    reports = []
    for path, text in read_paths(paths):
        report = check_experiment(path, sets or (), facts=facts, text=text, overlays=overlays or ())
        reports.append(report.filtered(selected, ignored))
    diagnostics = [found for report in reports for found in report.diagnostics]
    typer.echo(_formatted(diagnostics, output_format), nl=False)
    _log.info("%s", summary(len(reports), [found.severity for found in diagnostics]))
    raise typer.Exit(max((report.exit_code(Severity(fail_on)) for report in reports), default=0))


def _formatted(diagnostics: list[Diagnostic], output_format: Format) -> str:
    from pettingllms.lint.formats import FORMATTERS
    from pettingllms.lint.formats.text import format_coloured, wants_colour

    if output_format == "text" and wants_colour(sys.stdout):
        return format_coloured(diagnostics)
    return FORMATTERS.load(output_format)(diagnostics)


def _codes(words: list[str] | None) -> list[str]:
    """The code prefixes of options that may be repeated or hold commas.

    Raises UsageError for one that no rule starts with: a typo would switch the linter off.
    """
    from pettingllms.lint.rule import RULES

    codes = [code.strip().upper() for word in words or () for code in word.split(",") if code.strip()]
    for code in codes:
        if not any(known.startswith(code) for known in RULES):
            raise UsageError(f"no rule's code starts with {code}", help="`pettingllms rule` lists them")
    return codes


def summary(files: int, severities: list[Severity]) -> str:
    """One line: how many files, how many diagnostics of each severity."""
    counted = f"{files} file{'s' * (files != 1)} checked"
    if not severities:
        return f"{counted}, nothing found"
    parts = [
        f"{severities.count(severity)} {severity}{'s' * (severities.count(severity) != 1)}"
        for severity in Severity
        if severity in severities
    ]
    return f"{counted}: {', '.join(parts)}"


def read_paths(paths: list[Path]) -> list[tuple[Path, str | None]]:
    """The files to check; a text where it is not read from the path."""
    files: list[tuple[Path, str | None]] = []
    for path in paths:
        if str(path) == "-":
            text = _stdin()
            files.append((STDIN.with_suffix(".yaml") if _YAML.search(text) else STDIN, text))
        elif path.is_dir():
            files += [(file, None) for file in experiments_in(path)]
        else:
            files.append((path, None))
    return files


def _stdin() -> str:
    from pettingllms.documents.files import decode, read_stdin
    from pettingllms.documents.source import DocumentError
    from pettingllms.errors import RefusedError

    try:
        return decode(read_stdin(STDIN), STDIN)
    except DocumentError as error:
        raise RefusedError(f"{STDIN}: {error}", help=error.help) from None
