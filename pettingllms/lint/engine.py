"""Runs all rules over one experiment and every cell of its sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.compose.references import source_of
from pettingllms.compose.secrets import REDACTED, redacted_line, secret_texts
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import (
    Draft,
    LoadedExperiment,
    choose,
    draft_experiment,
    loaded,
)
from pettingllms.config.shape import written
from pettingllms.config.typed import Typed, type_cell
from pettingllms.documents.source import DocumentError, Finding, KeyPath, Place, dotted
from pettingllms.hiding import forms, replaced
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.rule import RULES, Context
from pettingllms.lint.rules.sweep import MAX_CELLS, axis_findings
from pettingllms.space.cells import Cell, cell_count, expand

USAGE_CODES = ("PLM002",)


@dataclass(frozen=True, slots=True)
class CheckedCell:
    """One valid cell of the grid; `stored` is its resolved tree as it may be written to files."""

    number: int
    values: Mapping[KeyPath, Any]
    config: ExperimentConfig
    stored: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file.

    `experiment` and `cells` are there only where every cell could be typed without an error.
    `draft` is there where the file could be read.
    """

    diagnostics: tuple[Diagnostic, ...]
    experiment: LoadedExperiment | None = None
    cells: tuple[CheckedCell, ...] = ()
    draft: Draft | None = None

    @property
    def refused(self) -> bool:
        """True where no run starts: an error, or something that this version cannot do."""
        return any(RULES[found.code].refuses for found in self.diagnostics)

    def exit_code(self, fail_on: Severity = Severity.WARNING) -> int:
        """0 clean, 1 with a diagnostic at or above `fail_on`, 2 where the file could not be read."""
        if any(found.code in USAGE_CODES for found in self.diagnostics):
            return 2
        return int(any(found.severity.rank >= fail_on.rank for found in self.diagnostics))

    def filtered(self, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> Report:
        """The report without codes that start with none of `select` or with one of `ignore`."""
        kept = tuple(
            found
            for found in self.diagnostics
            if (not select or found.code.startswith(tuple(select)))
            and not (ignore and found.code.startswith(tuple(ignore)))
        )
        return dataclasses.replace(self, diagnostics=kept)


def check_experiment(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    facts: Facts | None = None,
    text: str | None = None,
    overlays: Sequence[Path] = (),
) -> Report:
    """Check the file at `path`, or `text` in its place, with `overlays` and then `overrides` on top.

    `facts`: the machine that the experiment shall run on; rules about it are left out where None.
    """
    try:
        draft = draft_experiment(path, overrides, text, overlays)
    except DocumentError as error:
        return unread(error)
    if not draft.complete:
        return Report(diagnose(draft, draft.findings, {}, {}), draft=draft)
    common = [*draft.findings, *axis_findings(draft.axes)]
    results = [_check_cell(draft, cell, facts) for cell in _cells_to_check(draft)]
    diagnostics = _merged(draft, common, results)
    if any(RULES[found.code].refuses for found in diagnostics):
        return Report(diagnostics, draft=draft)
    return Report(diagnostics, _experiment(draft), tuple(_checked(result) for result in results), draft)


def unread(error: DocumentError) -> Report:
    """The report of a file that could not be read."""
    return Report((_placed(error.finding, error.finding.place, ""),))


def diagnose(
    draft: Draft, findings: Sequence[Finding], origins: Mapping[KeyPath, KeyPath], secrets: Mapping[str, str]
) -> tuple[Diagnostic, ...]:
    """The findings of a draft, each with its place, in file order."""
    shown = {**secrets, **dict.fromkeys(secret_texts(draft.tree.data), REDACTED)}
    found = (without_secrets(one, shown) for one in _diagnostics(draft, findings, {}, origins))
    return _in_file_order(draft, found)


@dataclass(frozen=True, slots=True)
class _Result:
    cell: Cell
    typed: Typed
    findings: list[Finding]


def _cells_to_check(draft: Draft) -> list[Cell]:
    if cell_count(draft.axes) > MAX_CELLS:
        return [Cell(0, {axis.path: axis.default for axis in draft.axes})]
    return expand(draft.axes)


def _check_cell(draft: Draft, cell: Cell, facts: Facts | None) -> _Result:
    resolution = choose(draft, cell.values)
    typed = type_cell(resolution, draft.faulty_axes)
    findings = [*resolution.findings, *typed.findings]
    if typed.config is not None:
        findings += _run_rules(Context(typed.config, typed.data, facts), typed.dropped)
    return _Result(cell, typed, _without_echoes(findings, typed.origins, draft.faulty_axes))


def _without_echoes(
    findings: list[Finding], origins: Mapping[KeyPath, KeyPath], faulty_axes: frozenset[KeyPath]
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


def _run_rules(context: Context, dropped: set[KeyPath]) -> Iterator[Finding]:
    """Run every rule whose keys are sound: one that reads a faulty key would only repeat the fault."""
    for rule in RULES.values():
        if rule.check is None or any(_overlap(path, read) for path in dropped for read in rule.reads):
            continue
        for finding in rule.check(context):
            yield dataclasses.replace(finding, code=rule.code)


def _overlap(one: KeyPath, other: KeyPath) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _merged(draft: Draft, common: list[Finding], results: list[_Result]) -> tuple[Diagnostic, ...]:
    """All diagnostics once, in file order; one that only some cells have says in which."""
    found: dict[Diagnostic, list[Cell]] = {}
    hidden = dict.fromkeys(secret_texts(draft.tree.data), REDACTED)
    for result in results:
        secrets = {**result.typed.secrets, **hidden}
        for found_here in _diagnostics(draft, result.findings, result.cell.values, result.typed.origins):
            diagnostic = without_secrets(found_here, secrets)
            cells = found.setdefault(diagnostic, [])
            # One fault may be found twice in a cell: a key that is both faulty itself and below a faulty one.
            if result.cell not in cells[-1:]:
                cells.append(result.cell)
    everywhere = [without_secrets(one, hidden) for one in _diagnostics(draft, common, {}, {})]
    some = [
        d if len(cells) == len(results) else _in_cells(d, cells, len(results)) for d, cells in found.items()
    ]
    return _in_file_order(draft, dict.fromkeys([*everywhere, *some]))


def _in_file_order(draft: Draft, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those of the main file first, then those of included files, those of the command line last."""
    order = {str(document.path): number for number, document in enumerate(draft.documents)}
    return tuple(sorted(diagnostics, key=lambda d: (order.get(d.file, len(order)), d.line, d.column, d.code)))


def without_secrets(diagnostic: Diagnostic, secrets: Mapping[str, str]) -> Diagnostic:
    """The diagnostic with what stands for each secret text in its place."""
    texts = forms(secrets)
    return dataclasses.replace(
        diagnostic,
        message=replaced(diagnostic.message, texts),
        help=diagnostic.help and replaced(diagnostic.help, texts),
        source_line=replaced(diagnostic.source_line, texts),
    )


def _in_cells(diagnostic: Diagnostic, cells: list[Cell], total: int) -> Diagnostic:
    """Name the axis values that all of `cells` share; without any, those of the first."""
    first = cells[0].values
    shared = {
        path: value
        for path, value in first.items()
        if all(type(c.values[path]) is type(value) and c.values[path] == value for c in cells)
    }
    named = ", ".join(f"{dotted(path)}={written(value)}" for path, value in (shared or first).items())
    lead = "" if shared else "the first is "
    message = f"{diagnostic.message} (in {len(cells)} of {total} cells: {lead}{named})"
    return dataclasses.replace(diagnostic, message=message)


def _diagnostics(
    draft: Draft,
    findings: Sequence[Finding],
    values: Mapping[KeyPath, Any],
    origins: Mapping[KeyPath, KeyPath],
) -> Iterator[Diagnostic]:
    for finding in findings:
        if finding.place is not None:
            yield _placed(finding, finding.place, dotted(finding.path))
            continue
        origin = _origin(draft, finding.path, origins)
        layer = draft.tree.layer(finding.path)
        message = finding.message
        if origin is not None:
            message += f"; the value came from {origin}"
        if layer is not None and layer.included:
            message += f"; included from {', from '.join(str(place) for place in layer.included[::-1])}"
        placed = dataclasses.replace(finding, message=message)
        place = _place(draft, finding, values)
        yield _placed(placed, place, dotted(finding.path))


def _place(draft: Draft, finding: Finding, values: Mapping[KeyPath, Any]) -> Place:
    """Where the finding's value is written: for a swept value, the one of this cell."""
    for axis in draft.axes:
        depth = len(axis.path)
        if finding.path[:depth] == axis.path and axis.path in values and not finding.at_key:
            chosen = values[axis.path]
            index = next((i for i, value in enumerate(axis.values) if value is chosen), "default")
            if (*axis.path, "values", index) in draft.tree.spans:
                return draft.tree.place((*axis.path, "values", index, *finding.path[depth:]))
    return draft.tree.place(finding.path, at_key=finding.at_key)


def _origin(draft: Draft, path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> str | None:
    """`a.b (file:line)`: where the value at `path` was written, if it came there by reference."""
    source = source_of(path, origins)
    return None if source == path else f"{dotted(source)} ({draft.tree.place(source)})"


def _placed(finding: Finding, place: Place | None, path: str) -> Diagnostic:
    if place is None:
        raise ValueError(f"a finding without a place: {finding.message}")
    span, line = place.span, place.source.line(place.span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    severity = RULES[finding.code].severity
    return Diagnostic(
        code=finding.code,
        severity=severity,
        message=finding.message,
        file=place.source.name,
        line=span.line,
        column=span.column,
        path=path,
        help=finding.help,
        end_column=max(end, span.column + 1),
        source_line=redacted_line(line),
        fix=finding.fix,
    )


def _experiment(draft: Draft) -> LoadedExperiment:
    resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
    return loaded(draft, type_cell(resolution))


def _checked(result: _Result) -> CheckedCell:
    if result.typed.config is None:
        raise ValueError(f"cell {result.cell.number} was not typed")
    return CheckedCell(result.cell.number, result.cell.values, result.typed.config, result.typed.stored)
