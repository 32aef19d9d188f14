"""Lints one experiment: composes it, proves every cell of its sweep, and says where each fault is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.compose.secrets import REDACTED, secret_texts
from pettingllms.config.load import Draft, LoadedExperiment, choose, draft_experiment, loaded
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import DocumentError, Finding, dotted
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.placing import diagnostics_of, in_file_order, placed, without_secrets
from pettingllms.lint.proof.axis_checks import axis_findings
from pettingllms.lint.proof.cells import Space, ValueReader
from pettingllms.lint.proof.influence import Influence
from pettingllms.lint.proof.prove import Proof, in_cells, prove
from pettingllms.lint.proof.space_checks import space_of
from pettingllms.lint.proof.study_checks import study_findings
from pettingllms.lint.report import Cells, CheckedCell, Report, refuses

__all__ = ["CheckedCell", "Report", "check_experiment", "checked_cells", "diagnose", "unread"]

WITHOUT_EFFECT = "PLM421"
IDLE = ("PLM905", "PLM906", "PLM907")
"""What says of a key that it has no effect whatever its value is."""


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
    space = space_of(draft, value_of)
    proof = prove(draft, space.cells, facts, influence)
    swept = [*axis_findings(draft.axes), *study_findings(draft, value_of), *space.findings]
    swept += _without_effect(draft, proof, len(space.cells))
    found, cells = _judged(draft, space, proof, drop_invalid=drop_invalid)
    everywhere = diagnose(draft, [*draft.findings, *swept], proof.secrets)
    common = (*filter(refuses, everywhere), *cells.common)
    cells = dataclasses.replace(cells, common=common)
    diagnostics = in_file_order(draft, dict.fromkeys([*everywhere, *found]))
    found_here = tuple(_with_fix_that_fits(draft, one) for one in diagnostics)
    report = Report(found_here, None, cells, draft, tuple(sorted(proof.unchecked)))
    return report if report.refused else dataclasses.replace(report, experiment=_experiment(draft))


def _with_fix_that_fits(draft: Draft, diagnostic: Diagnostic) -> Diagnostic:
    """The diagnostic without a fix that would not go into the text of the main file as it stands."""
    main = draft.documents[0]
    if diagnostic.fix is None or diagnostic.file != str(main.path):
        return diagnostic
    from pettingllms.lint.fixes import placed_fix

    fits = placed_fix(main, diagnostic) is not None
    return diagnostic if fits else dataclasses.replace(diagnostic, fix=None)


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


def diagnose(
    draft: Draft, findings: Sequence[Finding], secrets: Mapping[str, str] | None = None
) -> tuple[Diagnostic, ...]:
    """The findings of a draft that hold in all its cells, each with its place, in file order.

    `secrets`: texts that must not be shown beside those of the draft, and what is shown in their place.
    """
    hidden = {**(secrets or {}), **dict.fromkeys(secret_texts(draft.tree.data), REDACTED)}
    found = (without_secrets(one, hidden) for one in diagnostics_of(draft, findings, {}, {}, {}))
    return in_file_order(draft, found)


def _judged(
    draft: Draft, space: Space, proof: Proof, *, drop_invalid: bool
) -> tuple[list[Diagnostic], Cells]:
    """The diagnostics of all cells, each once, and which cells may run."""
    total = len(space.cells)
    reasons: dict[int, list[Diagnostic]] = {}
    common = []
    for diagnostic, places in proof.found.items():
        if refuses(diagnostic) and len(places) == total:
            common.append(diagnostic)
        for place in places if refuses(diagnostic) and len(places) < total else ():
            reasons.setdefault(place, []).append(diagnostic)
    defaults = {axis.path: axis.default for axis in draft.axes}
    by_default = [place for place, cell in enumerate(space.cells) if dict(cell.values) == defaults]
    # A plain `train` uses the defaults: they cannot be dropped.
    dropped = drop_invalid and not any(place in reasons for place in by_default)
    found = []
    for diagnostic, places in proof.found.items():
        told = diagnostic
        if len(places) < total:
            told = in_cells(diagnostic, [space.cells[place] for place in places], total)
            if dropped and refuses(told):
                told = dataclasses.replace(told, severity=Severity.INFO)
        found.append(told)
    # Where constraints leave no cell, the one that was looked at is none.
    own = enumerate(space.cells if space.any_left else ())
    runnable = tuple(cell for place, cell in own if place not in reasons)
    impossible = tuple((space.cells[place], tuple(why)) for place, why in sorted(reasons.items()))
    return found, Cells(runnable, impossible, space.excluded, space.complete, tuple(common))


def _without_effect(draft: Draft, proof: Proof, total: int) -> Iterator[Finding]:
    idle = {found.path for found, cells in proof.found.items() if found.code in IDLE and len(cells) == total}
    for axis in draft.axes:
        if axis.path in proof.without_effect or dotted(axis.path) in idle:
            message = f"{dotted(axis.path)} has no effect, so that its trials would all be the same"
            yield Finding(axis.path, message, "sweep another key", at_key=True, code=WITHOUT_EFFECT)


def _experiment(draft: Draft) -> LoadedExperiment:
    resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
    return loaded(draft, type_cell(resolution))
