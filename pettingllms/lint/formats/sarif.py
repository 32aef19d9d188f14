"""Diagnostics as SARIF 2.1.0, which code scanning services and editors read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms import __version__
from pettingllms.compose.secrets import redacted_line
from pettingllms.documents.source import Lines, Span
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.formats.fingerprint import unique_fingerprints
from pettingllms.lint.formats.parts import is_file, one_line, posix, words
from pettingllms.lint.rule import RULES, Rule

Replacement = tuple[Span, str]
"""A region of the text of a diagnostic's file, and what shall stand there."""

FINGERPRINT = "pettingllms/v1"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def format_sarif(
    diagnostics: Sequence[Diagnostic],
    _files: Sequence[str] = (),
    *,
    replacements: Mapping[int, Sequence[Replacement]] | None = None,
) -> str:
    """One run with the rules that occur and a result for each diagnostic.

    `replacements`: what the fixes do to the text, by index of the diagnostic. The fix of a diagnostic
    that it does not name is left out, unless it says by itself which text takes which place.
    """
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    known = replacements or {}
    results = [
        _result(diagnostic, codes.index(diagnostic.code), mark, known.get(index))
        for index, (diagnostic, mark) in enumerate(
            zip(diagnostics, unique_fingerprints(diagnostics), strict=True)
        )
    ]
    driver = {"name": "pettingllms", "version": __version__, "rules": [_rule(code) for code in codes]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def replacement(before: str, after: str) -> Replacement:
    """The smallest region of `before` that changes, and what stands there in `after`."""
    shorter = min(len(before), len(after))
    start = _shared(before, after, shorter)
    end = _shared(before[::-1], after[::-1], shorter - start)
    return Lines(before).span(start, len(before) - end), after[start : len(after) - end]


def _shared(one: str, other: str, most: int) -> int:
    """How many characters both texts begin with, at most `most`; a search by halves."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _rule(code: str) -> dict[str, Any]:
    rule: Rule | None = RULES.get(code)
    if rule is None:
        return {"id": code}
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": rule.page.partition("\n")[0]},
        "fullDescription": {"text": rule.page},
        "help": {"text": rule.page, "markdown": f"### {code} {rule.name}\n\n{rule.page}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(
    diagnostic: Diagnostic, rule_index: int, mark: str, given: Sequence[Replacement] | None
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": words(diagnostic)},
        "locations": _locations(diagnostic),
        "partialFingerprints": {FINGERPRINT: mark},
    }
    changes = _changes(diagnostic, given)
    if diagnostic.fix is not None and changes:
        replaced = [{"deletedRegion": _region(span), "insertedContent": {"text": t}} for span, t in changes]
        change = {"artifactLocation": _artifact(diagnostic.file), "replacements": replaced}
        title = {"text": one_line(diagnostic.fix.title)}
        result["fixes"] = [{"description": title, "artifactChanges": [change]}]
    return result


def _locations(diagnostic: Diagnostic) -> list[dict[str, Any]]:
    location: dict[str, Any] = {}
    if is_file(diagnostic.file):
        span = Span(diagnostic.line, diagnostic.column, diagnostic.line, diagnostic.end_column)
        place = {"artifactLocation": _artifact(diagnostic.file), "region": _region(span)}
        location["physicalLocation"] = place
    if diagnostic.path:
        location["logicalLocations"] = [{"fullyQualifiedName": diagnostic.path, "kind": "property"}]
    return [location] if location else []


def _changes(diagnostic: Diagnostic, given: Sequence[Replacement] | None) -> list[Replacement]:
    """What the fix does to the text, where that is known and gives no secret away."""
    if diagnostic.fix is None or not is_file(diagnostic.file):
        return []
    found = list(given or ())
    if given is None:
        steps = diagnostic.fix.changes
        found = [(step.span, str(step.value)) for step in steps if step.kind == "text" and step.span]
        if len(found) != len(steps):
            return []
    return found if all(redacted_line(text) == text for _, text in found) else []


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _artifact(name: str) -> dict[str, str]:
    """Where the file is: below the root of the sources where its name says so, else absolute."""
    path = PurePath(posix(name))
    if path.parts[:1] == ("..",):
        # A name that leads out of the root must not be relative to it.
        path = PurePath(posix(str(Path.cwd() / name)))
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix().encode("utf-8", "surrogateescape")), "uriBaseId": "%SRCROOT%"}
