"""`pettingllms convert`: YAML to TOML and back, for one file or a folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pettingllms.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from pettingllms.config.upstream import Differences
    from pettingllms.documents.convert import Conversion, Format
    from pettingllms.documents.source import Document, DocumentError, Finding

_log = logging.getLogger(__name__)
STDIN = Path("<stdin>")


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A file, a folder, or - for stdin.", show_default=False)
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DST]", help="A file or folder; default: standard output.", show_default=False
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Prove the way there and back, print the ledger, write nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    semantics: Annotated[
        Literal["documented", "upstream"],
        typer.Option(help="upstream: write what the original code would do into explicit keys."),
    ] = "documented",
    to: Annotated[
        Literal["toml", "yaml"] | None,
        typer.Option(
            help="The format to write. Default: as DST says, else the other one.", show_default=False
        ),
    ] = None,
) -> None:
    """Convert YAML to TOML or TOML to YAML, keeping values, comments, references and nulls."""
    job = _Job(check=check, force=force, upstream=semantics == "upstream")
    if source.is_dir():
        raise typer.Exit(job.folder(source, target, to or "toml"))
    raise typer.Exit(job.single(source, target, to))


class _Job:
    """One call of the command: what all its files share."""

    def __init__(self, *, check: bool, force: bool, upstream: bool) -> None:
        self.check, self.force, self.upstream = check, force, upstream

    def single(self, source: Path, target: Path | None, to: Format | None) -> int:
        """Convert one file; return the exit code."""
        from pettingllms.documents.source import DocumentError

        form = _target_format(source, target, to)
        if target is not None and target.is_dir():
            name = "converted" if str(source) == "-" else source.stem
            target = target / f"{name}.{form}"
        if target is not None and target.exists() and source.exists() and target.samefile(source):
            raise UsageError(f"{source} cannot be converted onto itself", help="name another file")
        try:
            document = _read(source, form)
        except DocumentError as error:
            return _print_unread(error)
        if document.format == form:
            raise UsageError(f"{source} is {form.upper()} already", help="there is nothing to convert")
        conversion, differences = self.convert(document, form)
        if self.check:
            return _print_ledger(conversion, differences)
        if conversion.text is None:
            return _print_refused(conversion.ledger.refused)
        if target is None:
            _print_text(conversion.text)
        else:
            self.write(target, conversion.text)
            _print_moved(document, target, {})
        _print_notes(conversion, differences)
        return 0

    def convert(self, document: Document, form: Format) -> tuple[Conversion, Differences]:
        from pettingllms.config.upstream import Differences
        from pettingllms.documents import convert as conversions

        differences = Differences(write=self.upstream)
        return conversions.convert(document, form, differences.amend), differences

    def write(self, target: Path, text: str) -> None:
        from pettingllms.documents.atomic import write_text

        write_text(target, text, force=self.force)
        _log.info("%s written", target)

    def folder(self, source: Path, target: Path | None, form: Format) -> int:
        """Convert all files of a folder that are in the other format; return the exit code."""
        if not self.check and target is None:
            raise UsageError(f"{source} is a folder", help="name the folder to write into: SRC DST")
        if target is not None and target.exists():
            if not target.is_dir():
                raise UsageError(f"{target} is a file, and {source} is a folder", help="name a folder")
            if target.samefile(source):
                raise UsageError(f"{source} cannot be converted into itself", help="name another folder")
        files, others = _files_in(source, target, form)
        sources = {file.resolve() for file in files}
        taken: dict[Path, Path] = {}
        refused = 0
        for file in files:
            goal = (target or source) / file.relative_to(source).with_suffix(f".{form}")
            if goal.resolve() in sources:
                _say(f"{file}: {goal} is one of the files to convert, by another name")
                refused += 1
                continue
            if goal in taken:
                _say(f"{file}: {taken[goal]} becomes {goal} already")
                refused += 1
                continue
            taken[goal] = file
            refused += not self.one_of_many(file, goal, form)
        self.moved(taken)
        counted = f"{len(files) - refused} of {len(files)} {'proved' if self.check else 'converted'}"
        left = f"{others} other file{'s' * (others != 1)} left alone"
        _log.info("%s: %s, %d refused, %s", source, counted, refused, left)
        return 1 if refused else 0

    def moved(self, taken: dict[Path, Path]) -> None:
        """After a whole folder was written: say which includes lead elsewhere now."""
        from pettingllms.documents.read import read_document

        converted = {goal.resolve(): file.resolve() for goal, file in taken.items()}
        for goal, file in taken.items():
            if not self.check and goal.exists():
                _print_moved(read_document(file), goal, converted)

    def one_of_many(self, file: Path, goal: Path, form: Format) -> bool:
        """Convert one file of a folder; False where it was refused, which is then printed."""
        from pettingllms.documents.source import DocumentError

        try:
            conversion, differences = self.convert(_read(file, form), form)
            if self.check:
                return _print_ledger(conversion, differences) == 0
            if conversion.text is None:
                _print_refused(conversion.ledger.refused)
                return False
            _make_folder(goal.parent)
            self.write(goal, conversion.text)
        except DocumentError as error:
            _print_unread(error)
            return False
        except (RefusedError, UsageError) as error:
            _say(f"{file}: {error}", error.help)
            return False
        _print_notes(conversion, differences)
        return True


def _target_format(source: Path, target: Path | None, to: Format | None) -> Format:
    from pettingllms.documents.read import is_yaml

    named: Format | None = None
    if target is not None and not target.is_dir():
        suffix = target.suffix.lower()
        if suffix not in (".toml", ".yaml", ".yml"):
            raise UsageError(f"{target} does not say its format", help="end it with .toml, .yaml or .yml")
        named = "yaml" if is_yaml(target) else "toml"
    if to is not None and named is not None and to != named:
        raise UsageError(f"{target} is {named.upper()} by its name, and --to says {to}", help="drop one")
    if to is None and named is None and str(source) == "-":
        raise UsageError("stdin does not say its format", help="give --to toml or --to yaml")
    return to or named or ("toml" if is_yaml(source) else "yaml")


def _read(source: Path, form: Format) -> Document:
    from pettingllms.documents.files import decode, has_bom, read_stdin
    from pettingllms.documents.read import parse_document, read_document

    if str(source) != "-":
        return read_document(source)
    name = STDIN.with_suffix(".toml" if form == "yaml" else ".yaml")
    raw = read_stdin(name)
    return parse_document(decode(raw, name), name, has_bom(raw))


def _files_in(source: Path, target: Path | None, form: Format) -> tuple[list[Path], int]:
    """The files below `source` to convert, in order of name, and how many others there are.

    Hidden folders are left out, and `target` where it lies inside.
    """
    suffixes = (".yaml", ".yml") if form == "toml" else (".toml",)
    found: list[Path] = []
    others = 0
    for parent, folders, names in os.walk(source, onerror=_unreadable):
        inside = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in inside if not _same(Path(parent) / name, target)]
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes:
                found.append(Path(parent) / name)
            else:
                others += 1
    return found, others


def _unreadable(cause: OSError) -> None:
    raise UsageError(f"the folder {cause.filename} cannot be read: {cause.strerror}") from None


def _same(folder: Path, target: Path | None) -> bool:
    return target is not None and target.exists() and folder.samefile(target)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise UsageError(f"the folder {folder} cannot be made: {reason}", help="name another") from None


def _print_text(text: str) -> None:
    # Line ends and a byte order mark go out as they are, on every system.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.buffer.flush()


def _print_unread(error: DocumentError) -> int:
    """Print why a file could not be read; return the exit code."""
    from pettingllms.cli.composed import printed
    from pettingllms.lint.engine import unread

    return printed(unread(error))


def _print_refused(findings: Sequence[Finding]) -> int:
    """Print what the other format cannot say; return the exit code."""
    for finding in findings:
        place = finding.place
        where = f"{place}:{place.span.column}: " if place is not None else ""
        _say(f"{where}{finding.message}", finding.help)
    return 1


def _say(message: str, help_text: str | None = None) -> None:
    typer.echo(f"error: {message}", err=True)
    if help_text:
        typer.echo(f"help: {help_text}", err=True)


def _print_notes(conversion: Conversion, differences: Differences) -> None:
    """Say what a reader of the converted file should know: surprising values, other meanings, other words."""
    path = conversion.document.path
    for note in conversion.document.notes:
        advice = f"; {note.help}" if note.help else ""
        _log.info("%s: %s%s", note.place, note.message, advice)
    for line, what in differences.notes:
        _log.info("%s:%d: %s", path, line, what)
    if not conversion.document.data and not conversion.ledger.comments:
        _log.info("%s: the file is empty", path)
    count = len(conversion.ledger.normalised)
    if count:
        words = "is one thing" if count == 1 else f"are {count} things"
        _log.info("%s: there %s written in another way; --check lists all", path, words)


def _print_moved(document: Document, target: Path, converted: dict[Path, Path]) -> None:
    """Say which files the `defaults` list no longer finds, or finds elsewhere, from the new folder.

    `converted`: the new files of the same conversion, each with its source.
    """
    from pettingllms.compose.defaults import read_entries
    from pettingllms.compose.names import lookup

    for entry in read_entries(document)[0]:
        for name in entry.names:
            wanted = f"{entry.group}/{name}" if entry.group else name
            before, after = lookup(wanted, document.path.parent), lookup(wanted, target.parent)
            real = after.resolve() if after is not None else None
            known = before is not None and before.resolve() in (real, converted.get(real) if real else None)
            if before is not None and not known and before.resolve() != document.path.resolve():
                leads = f"leads to {after}" if after is not None else "leads nowhere"
                _log.info("%s: %s %s from %s, and led to %s", entry.place, wanted, leads, target, before)


def _print_ledger(conversion: Conversion, differences: Differences) -> int:
    """Print what became of everything, and whether the way back leads to the same; return the exit code."""
    from pettingllms.documents.convert import prove

    faults = prove(conversion)
    typer.echo("\n".join(_ledger_lines(conversion, differences, faults)))
    return 1 if faults else 0


def _ledger_lines(conversion: Conversion, differences: Differences, faults: list[str]) -> Iterator[str]:
    ledger, path = conversion.ledger, conversion.document.path
    yield f"{path} → {conversion.format.upper()}"
    yield (
        f"  kept: {ledger.values} values ({ledger.nulls} null, {ledger.references} with references), "
        f"{ledger.comments} comments"
    )
    yield f"  normalised: {len(ledger.normalised)}"
    yield from (f"    {path}:{line}: {what}" for line, what in ledger.normalised)
    yield f"  refused: {len(ledger.refused)}"
    for finding in ledger.refused:
        place = f"{finding.place}: " if finding.place is not None else ""
        advice = f" ({finding.help})" if finding.help else ""
        yield f"    {place}{finding.message}{advice}"
    if differences.notes:
        yield f"  other meaning in the original code: {len(differences.notes)}"
        yield from (f"    {path}:{line}: {what}" for line, what in differences.notes)
    if conversion.text is not None:
        there_and_back = "the same values and comments, the second conversion byte for byte"
        yield f"  there and back: {'; '.join(faults) if faults else there_and_back}"
