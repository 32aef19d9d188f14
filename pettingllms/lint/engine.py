"""Lints one experiment: composes it, proves every cell of its sweep, and says where each fault is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.compose.secrets import REDACTED, secret_texts
from pettingllms.config.load import Draft, LoadedExperiment, choose, draft_experiment, loaded
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import DocumentError, Finding, dotted
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.placing import diagnostics_of, in_file_order, placed, without_secrets
from pettingllms.lint.proof.cells import Space, ValueReader, cells_of
from pettingllms.lint.proof.influence import Influence
from pettingllms.lint.proof.prove import Proof, in_cells, prove
from pettingllms.lint.report import Cells, CheckedCell, Report
from pettingllms.lint.rules.sweep import axis_findings, space_findings

__all__ = ["CheckedCell", "Report", "check_experiment", "checked_cells", "diagnose", "unread"]

WITHOUT_EFFECT = "PLM421"


def check_experiment(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    facts: Facts | None = None,
    text: str | None = None,
    overlays: Sequence[Path] = (),
    drop_invalid: bool = False,
) -> Report:
    """Check the file at `path`, or `text` in its place, with `overlays` and then `overrides` on top.

    `facts`: the machine that the experiment shall run on; rules about it are left out where None.
    `drop_invalid`: cells with an error are left out of the sweep, and their errors are informations.
    """
    try:
        draft = draft_experiment(path, overrides, text, overlays)
    except DocumentError as error:
        return unread(error)
    if not draft.complete:
        return Report(diagnose(draft, draft.findings), draft=draft)
    influence = Influence(draft)
    value_of = ValueReader(draft, influence)
    space = cells_of(draft, value_of)
    proof = prove(draft, space.cells, facts, influence)
    swept = [*axis_findings(draft.axes), *space_findings(draft, value_of), *_without_effect(draft, proof)]
    found, cells = _judged(draft, space, proof, drop_invalid=drop_invalid)
    everywhere = diagnose(draft, [*draft.findings, *swept])
    diagnostics = in_file_order(draft, dict.fromkeys([*everywhere, *found]))
    report = Report(diagnostics, None, cells, draft, tuple(sorted(proof.unchecked)))
    return report if report.refused else dataclasses.replace(report, experiment=_experiment(draft))


def checked_cells(report: Report) -> tuple[CheckedCell, ...]:
    """Every cell that may run, resolved and typed. Raises ValueError for a report that is refused."""
    if report.draft is None or report.experiment is None:
        raise ValueError("a refused experiment has no cells to run")
    found = []
    for cell in report.cells.runnable:
        typed = type_cell(choose(report.draft, cell.values))
        if typed.config is None:
            raise ValueError(f"cell {cell.number} was not typed")
        found.append(CheckedCell(cell.number, cell.values, typed.config, typed.stored))
    return tuple(found)


def unread(error: DocumentError) -> Report:
    """The report of a file that could not be read."""
    return Report((placed(error.finding, error.finding.place, ""),))


def diagnose(draft: Draft, findings: Sequence[Finding]) -> tuple[Diagnostic, ...]:
    """The findings of a draft that hold in all its cells, each with its place, in file order."""
    hidden = dict.fromkeys(secret_texts(draft.tree.data), REDACTED)
    found = (without_secrets(one, hidden) for one in diagnostics_of(draft, findings, {}, {}, {}))
    return in_file_order(draft, found)


def _judged(
    draft: Draft, space: Space, proof: Proof, *, drop_invalid: bool
) -> tuple[list[Diagnostic], Cells]:
    """The diagnostics of all cells, each once, and which cells may run."""
    total = len(space.cells)
    reasons: dict[int, list[Diagnostic]] = {}
    for diagnostic, places in proof.found.items():
        if diagnostic.severity is Severity.ERROR and len(places) < total:
            for place in places:
                reasons.setdefault(place, []).append(diagnostic)
    defaults = {axis.path: axis.default for axis in draft.axes}
    by_default = [place for place, cell in enumerate(space.cells) if dict(cell.values) == defaults]
    # A plain `train` uses the defaults: they cannot be dropped.
    dropped = drop_invalid and not any(place in reasons for place in by_default)
    found = []
    for diagnostic, places in proof.found.items():
        if len(places) < total:
            told = in_cells(diagnostic, [space.cells[place] for place in places], total)
            drop = dropped and told.severity is Severity.ERROR
            found.append(dataclasses.replace(told, severity=Severity.INFO) if drop else told)
        else:
            found.append(diagnostic)
    runnable = tuple(cell for place, cell in enumerate(space.cells) if place not in reasons)
    impossible = tuple((space.cells[place], tuple(why)) for place, why in sorted(reasons.items()))
    return found, Cells(runnable, impossible, space.excluded, space.complete)


def _without_effect(draft: Draft, proof: Proof) -> Iterator[Finding]:
    for axis in draft.axes:
        if axis.path in proof.without_effect:
            message = f"{dotted(axis.path)} has no effect, so that its trials would all be the same"
            yield Finding(axis.path, message, "sweep another key", at_key=True, code=WITHOUT_EFFECT)


def _experiment(draft: Draft) -> LoadedExperiment:
    resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
    return loaded(draft, type_cell(resolution))
