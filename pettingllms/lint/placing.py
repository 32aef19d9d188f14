"""From findings to diagnostics: the place of each, where its value came from, and no secrets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pettingllms.compose.references import source_of
from pettingllms.compose.secrets import redacted_line
from pettingllms.config.load import Draft
from pettingllms.documents.source import Finding, KeyPath, Place, dotted
from pettingllms.hiding import forms, replaced
from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.rule import RULES


def diagnostics_of(
    draft: Draft,
    findings: Iterable[Finding],
    values: Mapping[KeyPath, Any],
    origins: Mapping[KeyPath, KeyPath],
    moved: Mapping[KeyPath, KeyPath],
) -> Iterator[Diagnostic]:
    """The findings of one cell, each with its place.

    `values`: the values of the cell's axes. `origins`: which values are references, and to what.
    `moved`: new path → old path of keys that were read as another key.
    """
    for finding in findings:
        if finding.place is not None:
            yield placed(finding, finding.place, dotted(finding.path))
            continue
        path = _written_path(finding.path, moved)
        at = dataclasses.replace(finding, path=path)
        origin = _origin(draft, path, origins)
        layer = draft.tree.layer(path)
        message = finding.message
        if origin is not None:
            message += f"; the value came from {origin}"
        place = _place(draft, at, values)
        in_main = place.source.name == str(draft.documents[0].path)
        chain = () if layer is None or in_main else tuple(str(entry) for entry in layer.included[::-1])
        told = dataclasses.replace(at, message=message, included=chain)
        yield placed(told, place, dotted(path))


def placed(finding: Finding, place: Place | None, path: str) -> Diagnostic:
    """The diagnostic of a finding at `place`."""
    if place is None:
        raise ValueError(f"a finding without a place: {finding.message}")
    span, line = place.span, place.source.line(place.span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    return Diagnostic(
        code=finding.code,
        severity=RULES[finding.code].severity,
        message=finding.message,
        file=place.source.name,
        line=span.line,
        column=span.column,
        path=path,
        help=finding.help,
        end_column=max(end, span.column + 1),
        source_line=redacted_line(line),
        fix=finding.fix,
        included=", from ".join(finding.included),
    )


def in_file_order(draft: Draft, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those of the main file first, then those of included files, those of the command line last."""
    order = {str(document.path): number for number, document in enumerate(draft.documents)}
    return tuple(sorted(diagnostics, key=lambda d: (order.get(d.file, len(order)), d.line, d.column, d.code)))


def without_secrets(diagnostic: Diagnostic, secrets: Mapping[str, str]) -> Diagnostic:
    """The diagnostic with what stands for each secret text in its place."""
    if not secrets:
        return diagnostic
    texts = forms(secrets)
    return dataclasses.replace(
        diagnostic,
        message=replaced(diagnostic.message, texts),
        help=diagnostic.help and replaced(diagnostic.help, texts),
        source_line=replaced(diagnostic.source_line, texts),
    )


def without_echoes(
    findings: Sequence[Finding], origins: Mapping[KeyPath, KeyPath], faulty_axes: frozenset[KeyPath]
) -> list[Finding]:
    """Leave out what a reference only repeats: its source has the same fault, or is a faulty axis."""
    reported = {(finding.code, finding.path) for finding in findings}
    kept = []
    for finding in findings:
        source = source_of(finding.path, origins)
        echo = (finding.code, source) in reported or source in faulty_axes
        if source == finding.path or not echo:
            kept.append(finding)
    return kept


def _written_path(path: KeyPath, moved: Mapping[KeyPath, KeyPath]) -> KeyPath:
    """Where the key at `path` is written: its old spelling, for one that was moved."""
    for length in range(len(path), 0, -1) if moved else ():
        if path[:length] in moved:
            return (*moved[path[:length]], *path[length:])
    return path


def _place(draft: Draft, finding: Finding, values: Mapping[KeyPath, Any]) -> Place:
    """Where the finding's value is written: for a swept value, the one of this cell."""
    for axis in draft.axes:
        depth = len(axis.path)
        if finding.path[:depth] == axis.path and axis.path in values:
            if finding.at_key and len(finding.path) == depth:
                return draft.tree.place(axis.home, at_key=True)
            chosen = values[axis.path]
            listed = axis.values or ()
            index = next((i for i, value in enumerate(listed) if value is chosen), None)
            below = finding.path[depth:]
            for tail in ((("values", index) if index is not None else ("default",)), ("default",), ()):
                if (*axis.home, *tail) in draft.tree.spans:
                    return draft.tree.place((*axis.home, *tail, *below), at_key=finding.at_key)
    return draft.tree.place(finding.path, at_key=finding.at_key)


def _origin(draft: Draft, path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> str | None:
    """`a.b (file:line)`: where the value at `path` was written, if it came there by reference."""
    source = source_of(path, origins)
    return None if source == path else f"{dotted(source)} ({draft.tree.place(source)})"
