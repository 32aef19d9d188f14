"""`pettingllms lint --fix` and `--diff`: what can be mended in the files, written or shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from pettingllms.cli.lint_files import NamedFiles
from pettingllms.cli.lint_request import LintRequest
from pettingllms.compose.secrets import REDACTED, secret_texts
from pettingllms.documents.atomic import write_text
from pettingllms.documents.read import read_document
from pettingllms.documents.source import Document, DocumentError
from pettingllms.errors import UsageError
from pettingllms.hiding import forms, replaced
from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.files.batch import check_or_raise, crashed, without_doubles
from pettingllms.lint.files.checked import CheckOptions, FileResult, Named
from pettingllms.lint.fixes import FixResult, Mended, fix_file, fixed_text, placed_fix
from pettingllms.lint.formats.sarif import Replacement, replacement

_log = logging.getLogger(__name__)


def fix_files(
    named: NamedFiles, request: LintRequest, options: CheckOptions, wanted: Callable[[Diagnostic], bool]
) -> bool:
    """Mend the named files, or show as a difference what would be mended; True where that is anything.

    What a file needs that cannot be read or parsed is not known: the check that follows says so. A file
    that cannot be written, or on which the linter itself fails, is added to the faults of `named`.
    """
    changed = False
    for file in without_doubles(named.files):
        try:
            document = read_document(file.path)
        except DocumentError as error:
            if request.diff:
                named.faults.append(f"{error.finding.place or file.path}: {error}")
            continue
        try:
            result = _mended(file, request, options, wanted)
        except Exception as error:
            # A fault of this program, which the other files shall not suffer from.
            named.faults.append(_failure(crashed(file.path, error)))
            continue
        if result.after != result.before:
            changed = True
            _finish(file.path, document, result, named, write=not request.diff)
    return changed


def _mended(
    file: Named, request: LintRequest, options: CheckOptions, wanted: Callable[[Diagnostic], bool]
) -> FixResult:
    def check(text: str) -> FileResult:
        return check_or_raise(Named(file.path, text), options)

    return fix_file(file.path, check, unsafe=request.unsafe_fixes, wanted=wanted)


def _finish(path: Path, document: Document, result: FixResult, named: NamedFiles, *, write: bool) -> None:
    """Write the mended text, or show it; say what was done, without secrets."""
    secrets = forms(dict.fromkeys(secret_texts(document.data), REDACTED))
    if write:
        try:
            write_text(path, ("\ufeff" if result.bom else "") + result.after, force=True)
        except UsageError as error:
            named.faults.append(str(error))
            return
    else:
        typer.echo(replaced(_difference(path, result), secrets), nl=False)
    for verb, mends in (("fixed" if write else "would fix", result.applied), ("not fixed", result.refused)):
        for mend in mends:
            _log.info("%s", replaced(_told(path, verb, mend), secrets))


def _told(path: Path, verb: str, mend: Mended) -> str:
    return f"{path}:{mend.line}: {verb}: {mend.code}, {mend.title}"


def _failure(result: FileResult) -> str:
    if result.traceback:
        _log.debug("%s", result.traceback)
    return f"{result.path}: the linter itself failed on this file: {result.crash}"


def _difference(path: Path, result: FixResult) -> str:
    from difflib import unified_diff

    before, after = result.before.split("\n"), result.after.split("\n")
    lines = [line.rstrip("\r") for line in unified_diff(before, after, str(path), str(path), lineterm="")]
    return "\n".join(lines) + "\n"


def replacements(
    diagnostics: Sequence[Diagnostic], results: Sequence[FileResult]
) -> dict[int, list[Replacement]]:
    """What the fix of each diagnostic does to the text of its file, by the diagnostic's position.

    Only those of files that were named: where the root of an included one lies is not known.
    """
    names, documents = {str(result.path) for result in results}, dict[str, Document | None]()
    found: dict[int, list[Replacement]] = {}
    for index, diagnostic in enumerate(diagnostics):
        if diagnostic.fix is None or diagnostic.file not in names:
            continue
        if diagnostic.file not in documents:
            documents[diagnostic.file] = _document(Path(diagnostic.file))
        document = documents[diagnostic.file]
        fix = None if document is None else placed_fix(document, diagnostic)
        if document is not None and fix is not None:
            after, applied = fixed_text(document, [fix])
            if applied:
                found[index] = [replacement(document.text, after)]
    return found


def _document(path: Path) -> Document | None:
    try:
        return read_document(path)
    except DocumentError:
        return None
