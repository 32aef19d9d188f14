"""Which cells of a sweep are proved: all of a finite space, the corners and a sample of any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.fields import ExperimentSchema, annotation_at
from pettingllms.config.load import Draft, choose
from pettingllms.documents.source import KeyPath
from pettingllms.lint.proof.influence import Influence
from pettingllms.space.cells import Cell, TooManyCellsError, allowed, corners_and_sample, expand, is_finite
from pettingllms.space.expressions import Expression, ExpressionError, parse
from pettingllms.space.units import ValueOf

MAX_CELLS = 4096
"""Cells of a grid; each is proved before the first trial starts, and each is a training run."""
SAMPLE = 256
"""Cells of a space that has no end or too many of them."""


@dataclass(frozen=True, slots=True)
class Space:
    """The cells to prove, and those that a constraint leaves out.

    `complete` is False where there are more than these.
    """

    cells: tuple[Cell, ...]
    excluded: tuple[Cell, ...] = ()
    complete: bool = True


def cells_of(draft: Draft, value_of: ValueOf) -> Space:
    """The cells of a draft; the defaults alone where its conditions or constraints are faulty."""
    defaults = {axis.path: axis.default for axis in draft.axes}
    try:
        cells, complete = _listed(draft, value_of)
        constraints = constraints_of(draft)
        kept = [allowed(cell, constraints, value_of) for cell in cells]
    except (ExpressionError, KeyError):
        return Space((Cell(0, defaults, frozenset(defaults)),), complete=False)
    chosen = tuple(cell for cell, keep in zip(cells, kept, strict=True) if keep)
    excluded = tuple(cell for cell, keep in zip(cells, kept, strict=True) if not keep)
    return Space(chosen or (Cell(0, defaults, frozenset(defaults)),), excluded, complete)


def _listed(draft: Draft, value_of: ValueOf) -> tuple[Sequence[Cell], bool]:
    """The cells without regard to constraints, and whether they are all."""
    if is_finite(draft.axes):
        try:
            return expand(draft.axes, value_of, MAX_CELLS), True
        except TooManyCellsError:
            pass
    return corners_and_sample(draft.axes, value_of, seed=_seed(draft), limit=SAMPLE), False


def constraints_of(draft: Draft) -> list[Expression]:
    """The parsed `[sweep] constraints`. Raises ExpressionError."""
    written = get(draft.tree.data, ("sweep", "constraints"))
    return [parse(text) for text in written if isinstance(text, str)] if isinstance(written, list) else []


def _seed(draft: Draft) -> int:
    seed = get(draft.tree.data, ("sweep", "seed"))
    return seed if isinstance(seed, int) else 0


class ValueReader:
    """Reads one value of the experiment under given axis values, for conditions and constraints.

    What a value is made of is found once for every combination of values that it depends on.
    """

    def __init__(self, draft: Draft, influence: Influence) -> None:
        self.draft, self.influence = draft, influence
        self.schema = ExperimentSchema()
        self.known: dict[tuple[KeyPath, tuple[int, ...]], tuple[Any, Any]] = {}

    def __call__(self, values: Mapping[KeyPath, Any], path: KeyPath) -> Any:
        """Return the value at `path`. Raises KeyError where the experiment has no such key."""
        numbers = sorted(self.influence.of(path))
        paths = [self.draft.axes[number].path for number in numbers]
        # An axis without a value yet counts with its default.
        chosen = {axis.path: values.get(axis.path, axis.default) for axis in self.draft.axes}
        key = (path, tuple([id(chosen[axis]) for axis in paths]))
        if key not in self.known:
            # The values are kept beside what was found: while they live, nothing else has their identity.
            self.known[key] = (self._read(chosen, path), chosen)
        return self.known[key][0]

    def _read(self, values: Mapping[KeyPath, Any], path: KeyPath) -> Any:
        plain = values.get(path, get(self.draft.tree.data, path))
        if isinstance(plain, (bool, int, float)) or (isinstance(plain, str) and "${" not in plain):
            return plain
        found = get(choose(self.draft, values).data, path)
        if found is not MISSING:
            return found
        if annotation_at(path) is None:
            raise KeyError(path)
        return self.schema.default(path)
