"""From the rows of a study to cells that run: resolved, typed and, where a sampler made them, linted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingllms.config.load import Draft, choose
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.errors import RefusedError
from pettingllms.lint.engine import CheckedCell
from pettingllms.lint.facts import Facts
from pettingllms.lint.proof.influence import Influence
from pettingllms.lint.proof.prove import prove
from pettingllms.lint.report import refuses
from pettingllms.space.cells import Cell
from pettingllms.sweep.ledger.rows import Row


class StudyCells:
    """The cells of one experiment by the values of its axes. `facts`: the machine that they shall run on."""

    def __init__(self, draft: Draft, facts: Facts | None) -> None:
        self._draft, self._facts = draft, facts
        self._paths = {dotted(axis.path): axis.path for axis in draft.axes}
        self._influence = Influence(draft)

    def of(self, row: Row) -> CheckedCell:
        """The cell of a row. Raises RefusedError where the experiment has other axes or cannot be typed."""
        values = self.values(row.values)
        typed = type_cell(choose(self._draft, values))
        if typed.config is None:
            raise RefusedError(f"cell {row.number} cannot run: {typed.findings[0].message}")
        return CheckedCell(row.number, values, typed.config, typed.stored)

    def values(self, values: Mapping[str, Any]) -> dict[KeyPath, Any]:
        """Values by dotted path as values by path, in the order of the file."""
        if set(values) != set(self._paths):
            raise RefusedError(
                f"the study sweeps {', '.join(values) or 'nothing'}, and the file "
                f"{', '.join(self._paths) or 'nothing'}"
            )
        return {path: values[name] for name, path in self._paths.items()}

    def refusal(self, values: Mapping[str, Any], active: tuple[str, ...]) -> str | None:
        """Why a cell cannot run: what the linter refuses about it; None where it may."""
        cell = Cell(0, self.values(values), frozenset(self._paths[name] for name in active))
        found = prove(self._draft, [cell], self._facts, self._influence).found
        return next((f"{one.code}: {one.message}" for one in found if refuses(one)), None)
