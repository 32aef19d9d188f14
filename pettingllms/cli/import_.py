"""`pettingllms import`: a launch script, Hydra command line or sweep file as one TOML experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pettingllms.errors import PettingLLMsError, RefusedError, UsageError

if TYPE_CHECKING:
    from pettingllms.foreign.sources import Imported

STDIN, COMMAND = "<stdin>", "<command>"


def import_(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SRC]",
            help="A launch script, W&B sweep, or YAML with hydra.sweeper.params; - for a script on stdin.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DST]", help="The file to write. Default: standard output.", show_default=False
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--command", metavar="TEXT", help="A command line in place of SRC.", show_default=False),
    ] = None,
    line: Annotated[
        int | None,
        typer.Option(
            "--line", metavar="N", help="Of several commands, the one at line N.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Make one TOML experiment of a launch script, a Hydra command line or a sweep file; nothing is run."""
    from pettingllms.documents.atomic import write_text

    if command is not None and target is not None:
        raise UsageError("--command takes the place of SRC", help="write: import --command TEXT [DST]")
    if command is not None and source is not None:
        target, source = Path(source), None
    if target is not None and target.suffix.lower() != ".toml":
        raise UsageError(f"{target} is no .toml file", help="import writes TOML; convert makes YAML of it")
    imported = _imported(source, command, line)
    if target is None:
        typer.echo(imported.text, nl=False)
    else:
        write_text(target, imported.text, force=force)
    _say(imported, COMMAND if command is not None else STDIN if source == "-" else str(source), target)
    if not imported.complete:
        raise typer.Exit(1)


def _imported(source: str | None, command: str | None, line: int | None) -> Imported:
    from pettingllms.documents.source import DocumentError
    from pettingllms.foreign.sources import import_file, import_text

    try:
        if command is not None:
            return import_text(command, COMMAND, Path())
        if source is None:
            raise UsageError("no source is named", help="name a file, - for stdin, or give --command TEXT")
        if source == "-":
            from pettingllms.documents.files import decode, read_stdin

            return import_text(decode(read_stdin(Path(STDIN)), Path(STDIN)), STDIN, Path(), line)
        return import_file(Path(source), line)
    except DocumentError as error:
        raise _fault(error.finding.code, str(error.finding.place), error) from None


def _fault(code: str, place: str, error: PettingLLMsError) -> PettingLLMsError:
    """A file that cannot be read ends with 2, one whose text is wrong with 1."""
    kind = UsageError if code == "PLM002" else RefusedError
    return kind(f"{place}: {error}", help=error.help)


def _say(imported: Imported, name: str, target: Path | None) -> None:
    """Notes of the import, then what the linter says about its result."""
    from pettingllms.lint.engine import check_experiment

    for note in imported.notes:
        where = f"{name}:{note.line}" if note.line else name
        typer.echo(f"{where}: {'left out' if note.left_out else 'note'}: {note.message}", err=True)
    path = target or Path("imported.toml")
    for found in check_experiment(path, text=imported.text).diagnostics:
        help_text = f" ({found.help})" if found.help else ""
        typer.echo(f"{found.file}:{found.line}: note: {found.code} {found.message}{help_text}", err=True)
