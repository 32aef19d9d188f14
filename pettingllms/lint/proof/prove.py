"""The proof of a sweep: every cell through all rules, each fault worked out once for what it depends on.

A key is typed, and a rule is run, once for every combination of values of the axes that can change it
(`influence`), not once for every cell. What is found holds in all cells with these values, so that a
thousand cells cost little more than the few that bring something new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.references import UNKNOWN_REFERENCE
from pettingllms.compose.secrets import REDACTED, secret_texts
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.edits import is_in
from pettingllms.config.fields import known_keys
from pettingllms.config.load import Draft, choose
from pettingllms.config.shape import UNKNOWN_KEY, written
from pettingllms.config.typed import Typed, type_cell
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.hiding import forms, replaced
from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.facts import Facts
from pettingllms.lint.placing import diagnostics_of, without_echoes, without_secrets
from pettingllms.lint.proof.influence import NOTHING, AxisSet, Influence
from pettingllms.lint.rule import RULES, Context, Rule, overlap
from pettingllms.registry import closest
from pettingllms.space.cells import Cell

MOUNTED = ("PLM209", "PLM210")
Values = tuple[int, ...]
"""The values of some axes, by identity."""


@dataclass(slots=True)
class Proof:
    """What was found. `found`: each diagnostic, and the numbers of the cells that have it, in order.

    `evaluated`: how many cells were resolved and typed. `without_effect`: axes that no cell reads.
    `secrets`: texts that come from environment variables, and what is shown in their place.
    """

    found: dict[Diagnostic, list[int]] = field(default_factory=dict)
    unchecked: set[str] = field(default_factory=set)
    evaluated: int = 0
    without_effect: set[KeyPath] = field(default_factory=set)
    secrets: dict[str, str] = field(default_factory=dict)


def prove(
    draft: Draft,
    cells: Sequence[Cell],
    facts: Facts | None,
    influence: Influence,
    *,
    incremental: bool = True,
) -> Proof:
    """Push every one of `cells` through all rules; `influence` is that of the draft.

    `incremental`: False runs everything for every cell, which finds the same.
    """
    prover = _Prover(draft, facts, influence, incremental=incremental)
    known = 0
    # A fault of a whole section shows only when it is met that it depends on several axes together.
    while known != len(prover.sets):
        known = len(prover.sets)
        for cell in cells:
            prover.look_at(cell)
    return prover.result(cells)


class _Prover:
    def __init__(self, draft: Draft, facts: Facts | None, influence: Influence, *, incremental: bool) -> None:
        self.draft, self.facts, self.influence = draft, facts, influence
        everything: AxisSet = frozenset(range(len(draft.axes)))
        self.incremental = incremental
        self.rules: dict[str, AxisSet] = {
            code: self.influence.of_rule(rule) if incremental else everything
            for code, rule in RULES.items()
            if rule.check is not None
        }
        touched = {self.influence.of(path) for path in self.influence.touched}
        self.sets: list[AxisSet] = list({NOTHING, *touched, *self.rules.values()})
        if not incremental:
            self.sets = [everything]
        self.everything = everything
        self.seen: dict[AxisSet, set[Values]] = {axes: set() for axes in self.sets}
        self.found: dict[AxisSet, dict[Values, dict[Diagnostic, None]]] = {}
        self.proof = Proof(without_effect={axis.path for axis in draft.axes})
        self.hidden = dict.fromkeys(secret_texts(draft.tree.data), REDACTED)

    def look_at(self, cell: Cell) -> None:
        """Work out what this cell brings that no earlier one did."""
        values = [id(cell.values[axis.path]) for axis in self.draft.axes]
        keys = {axes: tuple([values[number] for number in sorted(axes)]) for axes in self.sets}
        new = {axes for axes in self.sets if keys[axes] not in self.seen[axes]}
        if not new:
            return
        self.proof.evaluated += 1
        typed, typing = self.typed(cell)
        ruled = list(self.ruled(typed, new)) if typed.config is not None else []
        findings = without_echoes([*typing, *ruled], typed.origins, self.draft.faulty_axes)
        for axes in new:
            self.seen[axes].add(keys[axes])
        for finding in findings:
            axes = self.axes_of(finding)
            if axes in new:
                for diagnostic in self.placed([finding], cell, typed):
                    self.found.setdefault(axes, {}).setdefault(keys[axes], {})[diagnostic] = None

    def typed(self, cell: Cell) -> tuple[Typed, list[Finding]]:
        resolution = choose(self.draft, cell.values)
        typed = type_cell(resolution, self.draft.faulty_axes)
        self.proof.secrets |= typed.secrets
        self.proof.without_effect -= {path for path in self.proof.without_effect if _has_effect(path, typed)}
        # What a key without effect refers to is of no interest, nor that a misspelt key is missing.
        misspelt = _meant_by_misspelt_keys(typed)
        misses = dict(resolution.absolute_misses)
        kept = [
            one
            for one in resolution.findings
            if not (one.code in MOUNTED and is_in(one.path, typed.idle))
            and not (one.code == UNKNOWN_REFERENCE and self.stands_there(misses.get(one.path, ()), misspelt))
        ]
        return typed, [*kept, *typed.findings]

    def stands_there(self, path: KeyPath, misspelt: Mapping[KeyPath, KeyPath]) -> bool:
        """True where `path` is there, under the misspelt name of a key around it."""
        for right, wrong in misspelt.items():
            below = path[len(right) :]
            if path[: len(right)] == right and get(self.draft.tree.data, (*wrong, *below)) is not MISSING:
                return True
        return False

    def ruled(self, typed: Typed, new: set[AxisSet]) -> Iterator[Finding]:
        """Run the rules that see something new, and whose keys are sound: else they would repeat faults."""
        assert typed.config is not None
        context = Context(typed.config, typed.data, self.facts, self.draft.packages)
        for code, axes in self.rules.items():
            if axes in new and _is_sound(RULES[code], typed.dropped):
                check = RULES[code].check
                assert check is not None
                for finding in check(context):
                    yield dataclasses.replace(finding, code=code)
        secrets = forms({**typed.secrets, **self.hidden})
        self.proof.unchecked |= {replaced(text, secrets) for text in context.unchecked}

    def axes_of(self, finding: Finding) -> AxisSet:
        """The axes that a finding depends on: those of its rule, else those of its key."""
        if not self.incremental:
            return self.everything
        axes = self.rules.get(finding.code)
        if axes is None:
            axes = self.influence.of(finding.path)
        return axes if axes in self.seen else self.add(axes)

    def add(self, axes: AxisSet) -> AxisSet:
        self.sets.append(axes)
        self.seen[axes] = set()
        return axes

    def placed(self, findings: Iterable[Finding], cell: Cell, typed: Typed) -> Iterator[Diagnostic]:
        secrets = {**typed.secrets, **self.hidden}
        for one in diagnostics_of(self.draft, findings, cell.values, typed.origins, typed.moved):
            yield without_secrets(one, secrets)

    def result(self, cells: Sequence[Cell]) -> Proof:
        """Carry what was found to every cell that it holds in."""
        for axes, by_values in self.found.items():
            numbers = sorted(axes)
            paths = [self.draft.axes[number].path for number in numbers]
            for place, cell in enumerate(cells):
                key = tuple([id(cell.values[path]) for path in paths])
                for diagnostic in by_values.get(key, ()):
                    self.proof.found.setdefault(diagnostic, []).append(place)
        return self.proof


def _meant_by_misspelt_keys(typed: Typed) -> dict[KeyPath, KeyPath]:
    """The keys that were most likely meant by those that the schema does not have: right → wrong."""
    found: dict[KeyPath, KeyPath] = {}
    for finding in typed.findings:
        if finding.code == UNKNOWN_KEY:
            near = closest(str(finding.path[-1]), known_keys(finding.path[:-1]))
            found |= {(*finding.path[:-1], near): finding.path} if near is not None else {}
    return found


def _has_effect(path: KeyPath, typed: Typed) -> bool:
    """True where the key at `path`, or what it is read as, is part of the typed experiment."""
    old = (old for old in typed.moved.values() if path[: len(old)] == old)
    return get(typed.data, path) is not MISSING or next(old, None) is not None


def _is_sound(rule: Rule, dropped: set[KeyPath]) -> bool:
    return not any(overlap(path, read) for path in dropped for read in rule.reads)


def in_cells(diagnostic: Diagnostic, cells: Sequence[Cell], total: int) -> Diagnostic:
    """The diagnostic with the axis values that all of `cells` share; without any, those of the first."""
    first = cells[0].values
    shared = {
        path: value
        for path, value in first.items()
        if all(type(c.values[path]) is type(value) and c.values[path] == value for c in cells)
    }
    named = values_in_words(shared or first)
    lead = "" if shared else "the first is "
    message = f"{diagnostic.message} (in {len(cells)} of {total} cells: {lead}{named})"
    return dataclasses.replace(diagnostic, message=message)


def values_in_words(values: Mapping[KeyPath, Any]) -> str:
    """`a.b=1, c=2`, as on a command line."""
    return ", ".join(f"{dotted(path)}={written(value)}" for path, value in values.items())
