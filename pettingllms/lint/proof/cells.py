"""The cells of a sweep that are proved, and the values of the experiment in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.fields import ExperimentSchema, annotation_at
from pettingllms.config.load import Draft, choose
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.lint.proof.influence import Influence
from pettingllms.space.cells import Cell

MAX_CELLS = 4096
"""Cells of a grid; each is proved before the first trial starts, and each is a training run."""
SAMPLE = 256
"""Cells of a space that has no end or too many of them."""


@dataclass(frozen=True, slots=True)
class Space:
    """The cells to prove, those that a constraint leaves out, and what is wrong with the space.

    `complete` is False where there are more than these. `any_left` is False where constraints leave none,
    so that the defaults stand in.
    """

    cells: tuple[Cell, ...]
    excluded: tuple[Cell, ...] = ()
    complete: bool = True
    findings: tuple[Finding, ...] = ()
    any_left: bool = True


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
        default = None if annotation_at(path) is None else self.schema.default(path)
        # Entries of `models` that are not written are derived, and so are values without a default there.
        if annotation_at(path) is None or (path[0] == "models" and default is None):
            raise KeyError(path)
        return default
