"""Fixes put into the text of a file: each one whole or not at all, and only where nothing else changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from pettingllms.compose.evaluation import CYCLE, UNKNOWN_REFERENCE
from pettingllms.compose.mounted import ABSOLUTE, FELL_BACK
from pettingllms.compose.special_values import special_kind
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.shape import BAD_VALUE, WRONG_TYPE
from pettingllms.documents.edit_text import Text, stands_for_more
from pettingllms.documents.literals import same
from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import Change, Document, DocumentError, Fix, KeyPath, dotted
from pettingllms.lint.diagnostic import Diagnostic, Severity

ROUNDS = 10
"""How often a file is checked and mended again: a mended key may show a fault that it hid."""
VALUE_FAULTS = (WRONG_TYPE, BAD_VALUE)
"""What is found about a value itself: where that is written under an old key, the key is mended first."""
REFERENCES = (UNKNOWN_REFERENCE, CYCLE, FELL_BACK, ABSOLUTE)
"""What is found where a reference does not reach its key."""


class Checked(Protocol):
    """What a check of a text gives."""

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """What was found."""


class Mended(NamedTuple):
    """A fix and what it was for; `line` is the line in the text as it was then."""

    code: str
    title: str
    line: int


@dataclass(frozen=True, slots=True)
class FixResult:
    """The text of a file before and after; both without the byte order mark that `bom` tells of.

    `applied`: the fixes that it took. `refused`: those that would have changed something else, or made
    an error appear.
    """

    before: str
    after: str
    bom: bool = False
    applied: tuple[Mended, ...] = ()
    refused: tuple[Mended, ...] = ()


_Found = list[tuple[Mended, Fix | None]]


def fixed_text(document: Document, fixes: Sequence[Fix], package: KeyPath = ()) -> tuple[str, list[Fix]]:
    """Return the text of `document` with `fixes`, and those of them that were applied.

    `package`: where the root of the document lies in the experiment. A fix that meets what an earlier
    one has changed waits for another time, and one that the text cannot take without changing something
    else is left out.
    """
    text, applied = Text(document), []
    for fix in fixes:
        local = _in_file(fix, package)
        after = text.after(local) if local is not None else None
        if after is not None:
            text = after
            applied.append(fix)
    return text.document.text, applied


def fix_file(
    path: Path,
    check: Callable[[str], Checked],
    *,
    unsafe: bool,
    text: str | None = None,
    package_of: Callable[[str], KeyPath] = lambda _: (),
    wanted: Callable[[Diagnostic], bool] = lambda _: True,
) -> FixResult:
    """Mend the file at `path`, or `text` in its place, as long as that finds something; nothing is written.

    `check` lints a text in the place of the file, and finds all errors. Only what is `wanted` and placed
    in this file is mended, with fixes that are safe unless `unsafe`; whatever makes the errors more is
    taken back. `package_of`: where the root of the file of this name lies in the experiment.
    """
    try:
        document = read_document(path) if text is None else parse_document(text, path)
    except DocumentError:
        # The check says what is wrong with it.
        return FixResult(text or "", text or "")
    before, package = document, package_of(str(path))
    report = check(document.text)
    applied: list[Mended] = []
    refused: list[Mended] = []
    for _ in range(ROUNDS):
        diagnostics = [found for found in report.diagnostics if found.file == str(path)]
        eligible = [found for found in diagnostics if wanted(found)]
        found = _to_mend(document, diagnostics, eligible, package, unsafe=unsafe)
        document, report, done = _mended(document, report, found, check)
        applied += [found[index][0] for index in done]
        refused = [mend for index, (mend, _) in enumerate(found) if index not in done]
        if not done:
            break
    return FixResult(before.text, document.text, before.bom, tuple(applied), tuple(refused))


def placed_fix(document: Document, diagnostic: Diagnostic, package: KeyPath = ()) -> Fix | None:
    """The fix of a diagnostic of `document` as its text needs it; None where it does not belong there.

    A swept value is mended where it is listed, and as the default where that is the same.
    """
    fix = None if diagnostic.fix is None else _in_file(diagnostic.fix, package)
    if fix is None:
        return None
    changes: list[Change] = []
    for change in fix.changes:
        own = diagnostic.code in VALUE_FAULTS or dotted((*package, *change.path)) == diagnostic.path
        placed = _where_written(document, diagnostic, change) if own and change.kind == "set" else [change]
        if placed is None:
            return None
        changes += placed
    return replace(fix, changes=tuple(changes))


def _where_written(document: Document, diagnostic: Diagnostic, change: Change) -> list[Change] | None:
    """The change of the value that the diagnostic is about, where that is written."""
    place, path = (diagnostic.line, diagnostic.column), change.path
    spans = document.spans
    if path in spans and place in [(span.line, span.column) for span in spans[path]]:
        return None if stands_for_more(get(document.data, path), change.value) else [change]
    here = [known for known, (_, span) in spans.items() if (span.line, span.column) == place]
    for known in here:
        depth = next((n for n in range(1, len(known)) if _is_swept(document, known[:n])), 0)
        tail = known[depth + 2 :] if known[depth] == "values" else known[depth + 1 :]
        is_value = depth and known[depth] in ("values", "default")
        if is_value and len(here) == 1 and tail == path[len(path) - len(tail) :]:
            return _swept(document, known, depth, replace(change, path=known))
    is_missing = not any(isinstance(get(document.data, known), str | int | float) for known in here)
    return [change] if path not in spans and is_missing else None


def _is_swept(document: Document, path: KeyPath) -> bool:
    return special_kind(get(document.data, path)) == "sweep"


def _swept(document: Document, path: KeyPath, depth: int, change: Change) -> list[Change]:
    """The change of a listed value at `path` of a swept table, and of the default that is the same value."""
    value, default = path[: depth + 2], (*path[:depth], "default")
    listed, chosen = get(document.data, value), get(document.data, default)
    if path[depth] != "values" or chosen is MISSING or not same(listed, chosen):
        return [change]
    return [change, replace(change, path=(*default, *path[depth + 2 :]))]


def _to_mend(
    document: Document,
    diagnostics: Sequence[Diagnostic],
    wanted: Sequence[Diagnostic],
    package: KeyPath,
    *,
    unsafe: bool,
) -> _Found:
    """The fixes to try, those of errors first."""
    errors = (found for found in diagnostics if found.severity is Severity.ERROR and found.fix is not None)
    wrong = {(found.line, found.column) for found in errors}
    mends: _Found = []
    for found in sorted(wanted, key=lambda found: -found.severity.rank):
        if found.fix is None or not (found.fix.safe or unsafe):
            continue
        if found.severity is not Severity.ERROR and (found.line, found.column) in wrong:
            # How a value is written may tell what was meant, as long as that is to be mended.
            continue
        mend = (Mended(found.code, found.fix.title, found.line), placed_fix(document, found, package))
        if mend not in mends:
            mends.append(mend)
    return mends


def _mended(
    document: Document, report: Checked, found: _Found, check: Callable[[str], Checked]
) -> tuple[Document, Checked, list[int]]:
    """The document after those fixes that do not make its errors more, its report, and which they are."""
    text, done = Text(document), []
    for index, (_, fix) in enumerate(found):
        after = text.after(fix) if fix is not None else None
        if after is not None:
            text = after
            done.append(index)
    if not done:
        return document, report, []
    checked = check(text.document.text)
    if not _errors(checked) - _errors(report) and not _lost(checked) - _lost(report):
        return text.document, checked, done
    # Which of them made new ones appear? Each may show at most as many errors as it mends.
    text, done = Text(document), []
    for index, (_, fix) in enumerate(found):
        after = text.after(fix) if fix is not None else None
        if after is not None:
            checked = check(after.document.text)
            more = _errors(checked).total() > _errors(report).total()
            if not more and not _lost(checked) - _lost(report):
                text, report = after, checked
                done.append(index)
    return text.document, report, done


def _errors(report: Checked) -> Counter[tuple[str, str, str]]:
    errors = (found for found in report.diagnostics if found.severity is Severity.ERROR)
    return Counter((found.code, found.path, found.message) for found in errors)


def _lost(report: Checked) -> set[tuple[str, str]]:
    """References that lead nowhere, whether that is an error or not: no fix may take their key away."""
    return {(found.code, found.path) for found in report.diagnostics if found.code in REFERENCES}


def _in_file(fix: Fix, package: KeyPath) -> Fix | None:
    """The fix with paths of the file; None where it lies outside of the file's package."""
    changes: list[Change] = []
    for change in fix.changes:
        paths = [path for path in (change.path, change.to) if path and change.kind != "text"]
        if any(path[: len(package)] != package or path == package for path in paths):
            return None
        to = change.to[len(package) :] if change.to else ()
        changes.append(change if not paths else replace(change, path=change.path[len(package) :], to=to))
    return replace(fix, changes=tuple(changes))
