"""The plan of a sweep: what is swept in each cell, what follows by reference, and why some cannot run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pettingllms.compose.secrets import redacted
from pettingllms.compose.tree import MISSING, get, is_section
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import Draft, choose
from pettingllms.config.sweep import SweepConfig
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import KeyPath
from pettingllms.lint.proof.influence import Influence
from pettingllms.lint.report import Report
from pettingllms.space.cells import Cell


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One cell: what is swept in it, and what follows from that by reference.

    `state`: `runs`, `impossible` or `excluded`. `why`: the code and the message of each error. `config`: of a
    cell that runs.
    """

    number: int
    values: Mapping[KeyPath, Any]
    active: frozenset[KeyPath]
    derived: Mapping[KeyPath, Any]
    state: str
    why: tuple[tuple[str, str], ...] = ()
    config: ExperimentConfig | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All cells in order of number. `complete` is False where they are only a part of an endless space.

    `fixed`: axes that an override on the command line fixed.
    """

    sweep: SweepConfig
    cells: tuple[PlannedCell, ...]
    complete: bool
    fixed: tuple[KeyPath, ...]

    def count(self, state: str) -> int:
        """How many cells are in `state`."""
        return sum(cell.state == state for cell in self.cells)


def plan_of(report: Report) -> Plan:
    """The plan of a file that could be read. Raises ValueError where it could not."""
    draft = report.draft
    if draft is None:
        raise ValueError("a file that cannot be read has no plan")
    followers = _followers(draft)
    cells = report.cells
    common = tuple((one.code, one.message) for one in cells.common)
    state = "impossible" if common else "runs"
    planned = [_planned(draft, cell, followers, state, common) for cell in cells.runnable]
    planned += [
        _planned(draft, cell, followers, "impossible", tuple((one.code, one.message) for one in why) + common)
        for cell, why in cells.impossible
    ]
    planned += [_planned(draft, cell, followers, "excluded") for cell in cells.excluded]
    planned.sort(key=lambda cell: cell.number)
    typed = type_cell(choose(draft, {axis.path: axis.default for axis in draft.axes}), draft.faulty_axes)
    sweep = typed.config.sweep if typed.config is not None else None
    return Plan(sweep or SweepConfig(), tuple(planned), cells.complete, draft.fixed)


def _followers(draft: Draft) -> list[KeyPath]:
    """Keys whose values follow swept ones by reference."""
    axes = {axis.path for axis in draft.axes}
    return [path for path in Influence(draft).touched if path not in axes and path[0] != "sweep"]


def _planned(
    draft: Draft,
    cell: Cell,
    followers: list[KeyPath],
    state: str,
    why: tuple[tuple[str, str], ...] = (),
) -> PlannedCell:
    resolution = choose(draft, cell.values)
    data = redacted(resolution.data, resolution)
    derived = {path: value for path in followers if not is_section(value := get(data, path))}
    values = {axis.path: _resolved(data, axis.path, cell.values[axis.path]) for axis in draft.axes}
    config = type_cell(resolution, draft.faulty_axes).config if state == "runs" else None
    return PlannedCell(cell.number, values, cell.active, derived, state, why, config)


def _resolved(data: Mapping[str, Any], path: KeyPath, value: Any) -> Any:
    found = get(data, path)
    return value if found is MISSING else found
