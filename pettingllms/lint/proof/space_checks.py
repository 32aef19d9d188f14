"""The space that axes make: which cells it has, and what is wrong with its conditions and constraints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pettingllms.compose.tree import get
from pettingllms.config.fields import annotation_at, did_you_mean
from pettingllms.config.load import Draft
from pettingllms.config.shape import MAX_ADVICE, written
from pettingllms.documents.source import Finding, KeyPath, Place, Span, dotted
from pettingllms.lint.proof.cells import MAX_CELLS, SAMPLE, Space
from pettingllms.lint.proof.study_checks import sampler_of
from pettingllms.space.cells import (
    Cell,
    TooManyCellsError,
    cell_count,
    corners_and_sample,
    default_cell,
    expand,
    fulfils,
    label,
)
from pettingllms.space.expressions import (
    EvaluationError,
    Expression,
    ExpressionError,
    UnknownPathError,
    parse,
)
from pettingllms.space.units import ConditionError, CycleError, ValueOf, is_plain

TOO_LARGE, ENDLESS, OUTSIDE, BAD_EXPRESSION, UNKNOWN_PATH = "PLM404", "PLM407", "PLM408", "PLM409", "PLM410"
NEVER, CYCLE, EXCLUDED, SAME = "PLM411", "PLM413", "PLM415", "PLM416"
CONSTRAINTS: KeyPath = ("sweep", "constraints")
_MANY, _MORE = 10**9, f"more than {MAX_CELLS} cells"


def space_of(draft: Draft, value_of: ValueOf) -> Space:
    """The cells of a draft: all of a finite space, the corners and a sample of any other.

    Conditions and constraints that are faulty are findings, and are left out. Where no cell is left, the
    defaults are the one cell.
    """
    return _Checks(draft, value_of).run()


class _Checks:
    def __init__(self, draft: Draft, value_of: ValueOf) -> None:
        self.draft, self.value_of = draft, value_of
        self.axes = list(draft.axes)
        self.grid = sampler_of(value_of) == "grid"
        self.findings: list[Finding] = []

    def run(self) -> Space:
        for number, axis in enumerate(self.axes):
            if axis.when is not None and self.expression((*axis.home, "when"), axis.when) is None:
                self.axes[number] = replace(axis, when=None)
        if self.grid:
            self.findings += self.endless()
        constraints = dict(self.constraints())
        cells, complete = self.cells()
        kept = {number: self.fulfilling(number, one, cells) for number, one in constraints.items()}
        sound = {number: found for number, found in kept.items() if found is not None}
        self.findings += self.excluded(constraints, sound, complete)
        if complete:
            self.findings += self.never(cells)
            self.findings += self.same(cells)
        left_out = [not all(cell.number in found for found in sound.values()) for cell in cells]
        proved = tuple(cell for cell, out in zip(cells, left_out, strict=True) if not out)
        excluded = tuple(cell for cell, out in zip(cells, left_out, strict=True) if out)
        defaults = {axis.path: axis.default for axis in self.axes}
        only = Cell(0, defaults, frozenset(defaults))
        return Space(proved or (only,), excluded, complete, tuple(self.findings), bool(proved))

    def constraints(self) -> Iterator[tuple[int, Expression]]:
        texts = get(self.draft.tree.data, CONSTRAINTS)
        for number, text in enumerate(texts if isinstance(texts, list) else ()):
            found = self.expression((*CONSTRAINTS, number), text) if isinstance(text, str) else None
            if found is not None:
                yield number, found

    def expression(self, path: KeyPath, text: str) -> Expression | None:
        """The text at `path` as an expression over keys that exist; None, with findings, where it is none."""
        try:
            found = parse(text)
        except ExpressionError as error:
            self.findings.append(self.in_text(path, text, error))
            return None
        if any(_is_named(axis, found) for axis in self.draft.faulty_axes):
            # What it names has a fault of its own, and no value.
            return None
        unknown = {key.path: key for key in reversed(found.keys) if not self.exists(key.path)}
        for name, key in unknown.items():
            message = f"there is no key {dotted(name)}"
            if annotation_at(name) is not None:
                message = f"{dotted(name)} is not written, and follows other keys: name one of those"
            fault = UnknownPathError(name, message, key.start, key.end - key.start)
            self.findings.append(self.in_text(path, text, fault))
        return None if unknown else found

    def exists(self, path: KeyPath) -> bool:
        if any(path[: len(axis.path)] == axis.path for axis in self.axes):
            return True
        try:
            self.value_of({}, path)
        except KeyError:
            return False
        return True

    def endless(self) -> Iterator[Finding]:
        """Axes of a grid that have no end of values, and defaults that it would not try."""
        for axis in self.axes:
            name, numbers = dotted(axis.path), axis.range
            if axis.count is None:
                what = "whole number" if axis.kind == "int" else "number"
                message = f"{name}: a grid cannot try every {what} from {axis.low} to {axis.high}"
                help_text = "give points = …" if axis.log else "give step = … or points = …"
                yield Finding(axis.home, message, help=help_text, code=ENDLESS)
            elif axis.points is not None and axis.values is not None and numbers is not None:
                inside = numbers.low <= axis.default <= numbers.high
                if inside and axis.default not in axis.values:
                    near = min(axis.values, key=lambda value: abs(value - axis.default))
                    message = f"{name}: the default {axis.default} is none of the {axis.points} points"
                    help_text = f"the nearest is {near}"
                    yield Finding((*axis.home, "default"), message, help=help_text, code=OUTSIDE)

    def cells(self) -> tuple[list[Cell], bool]:
        """The cells, and whether they are all; conditions that have no value are reported and left out."""
        while True:
            try:
                return self.with_conditions()
            except CycleError as error:
                axis = next(axis for axis in self.axes if axis.path == error.paths[0])
                help_text = "let one of them go, or let it name something else"
                where = (*axis.home, "when")
                self.findings.append(Finding(where, error.message, help=help_text, code=CYCLE))
            except ConditionError as error:
                axis = error.axis
                self.findings.append(self.in_text((*axis.home, "when"), str(axis.when), error.cause))
            self.axes = [
                replace(one, when=None) if one.path == axis.path or (one.zip and one.zip == axis.zip) else one
                for one in self.axes
            ]

    def with_conditions(self) -> tuple[list[Cell], bool]:
        count = cell_count(self.axes)
        conditional = any(axis.when is not None for axis in self.axes)
        if count <= MAX_CELLS or (conditional and count < math.inf):
            try:
                return expand(self.axes, self.value_of, MAX_CELLS), True
            except TooManyCellsError:
                pass
        if self.grid and count < math.inf:
            exact = f"{count} cells, more than {MAX_CELLS}"
            message = f"the axes make {exact if count < _MANY and not conditional else _MORE}"
            found = Finding(self.axes[-1].home, message, "sweep fewer values", code=TOO_LARGE)
            if found not in self.findings:
                self.findings.append(found)
        return corners_and_sample(self.axes, self.value_of, seed=self.seed(), limit=SAMPLE), False

    def seed(self) -> int:
        seed = get(self.draft.tree.data, ("sweep", "seed"))
        return seed if isinstance(seed, int) else 0

    def never(self, cells: Sequence[Cell]) -> Iterator[Finding]:
        swept = frozenset().union(*(cell.active for cell in cells))
        told: set[str] = set()
        for axis in self.axes:
            if axis.when is None or axis.path in swept or axis.zip in told:
                continue
            told |= {axis.zip} if axis.zip else set()
            message = f"no cell fulfils the condition of {dotted(axis.path)}"
            help_text = f"it is {written(axis.default)} in every cell"
            yield Finding((*axis.home, "when"), message, help=help_text, code=NEVER)

    def excluded(
        self, constraints: Mapping[int, Expression], sound: Mapping[int, set[int]], complete: bool
    ) -> Iterator[Finding]:
        """Constraints that leave no cell, or not the one of the defaults.

        `sound`: the numbers of the cells that fulfil each constraint.
        """
        none = [number for number, found in sound.items() if not found]
        if complete and none:
            for number in none:
                yield Finding((*CONSTRAINTS, number), "no cell fulfils this constraint", code=EXCLUDED)
            return
        if complete and sound and not set.intersection(*sound.values()):
            yield Finding(CONSTRAINTS, "no cell fulfils all constraints", code=EXCLUDED)
            return
        for number in sound:
            yield from self.without_defaults(number, constraints[number])

    def without_defaults(self, number: int, expression: Expression) -> Iterator[Finding]:
        try:
            defaults = default_cell(self.axes, self.value_of).values
            if fulfils(defaults, expression, self.value_of):
                return
        except EvaluationError:
            # The defaults are no cell, which is a finding of its own.
            return
        named = [path for path in defaults if _is_named(path, expression)] or defaults
        shown = ", ".join(f"{dotted(path)}={written(defaults[path])}" for path in named)
        message = "the defaults do not fulfil this constraint" + (f": {shown}" if shown else "")
        help_text = "choose defaults that do; a plain train uses them" if shown else None
        yield Finding((*CONSTRAINTS, number), message, help=help_text, code=EXCLUDED)

    def fulfilling(self, number: int, expression: Expression, cells: Sequence[Cell]) -> set[int] | None:
        """The numbers of the cells that fulfil a constraint; None, with a finding, where it has no value."""
        try:
            return {cell.number for cell in cells if fulfils(cell.values, expression, self.value_of)}
        except EvaluationError as error:
            self.findings.append(self.in_text((*CONSTRAINTS, number), expression.text, error))
            return None

    def same(self, cells: Sequence[Cell]) -> Iterator[Finding]:
        """Cells that differ only in texts that refer to the same value."""
        plain = {axis.path for axis in self.axes if all(map(is_plain, axis.values or ()))}
        referring = [axis for axis in self.axes if axis.path not in plain]
        if not referring:
            return
        first: dict[tuple[Any, ...], Cell] = {}
        told: set[KeyPath] = set()
        for cell in cells:
            values = cell.values.items()
            key = tuple(label(v if path in plain else self.resolved(cell, path)) for path, v in values)
            earlier = first.setdefault(key, cell)
            for axis in referring if earlier is not cell else ():
                one, other = earlier.values[axis.path], cell.values[axis.path]
                indexes = [index for index, value in enumerate(axis.values or ()) if value is other]
                where = (*axis.home, "values", *indexes[:1])
                if one is other or not indexes or where in told:
                    continue
                told.add(where)
                message = (
                    f"{dotted(axis.path)}: {written(other)} is the same value as {written(one)}, so that "
                )
                message += f"cells {earlier.number} and {cell.number} are the same"
                yield Finding(where, message, "remove one", code=SAME)

    def resolved(self, cell: Cell, path: KeyPath) -> Any:
        try:
            return self.value_of(cell.values, path)
        except KeyError:
            return cell.values[path]

    def in_text(self, path: KeyPath, text: str, error: ExpressionError) -> Finding:
        """The finding of a fault in the expression at `path`, placed at the characters that it is about."""
        code, help_text, message = BAD_EXPRESSION, error.help, error.message
        if isinstance(error, UnknownPathError):
            code = UNKNOWN_PATH
            advise = len(self.findings) < MAX_ADVICE and annotation_at(error.path) is None
            help_text = did_you_mean(error.path, self.draft.tree.data) if advise else None
            if advise and len(error.path) == 1 and (help_text is None or help_text.startswith("keys here")):
                help_text = f"a text is quoted: {written(error.path[0])}"
        place = _characters(self.draft, path, text, error)
        if place is None and error.length < len(text):
            message += f", at character {error.offset + 1}"
        return Finding(path, f"{dotted(path)}: {message}", help=help_text, place=place, code=code)


def _is_named(path: KeyPath, expression: Expression) -> bool:
    return any(path[: len(name)] == name[: len(path)] for name in expression.paths)


def _characters(draft: Draft, path: KeyPath, text: str, error: ExpressionError) -> Place | None:
    """Where the characters of a fault stand, if the text is written on one line and without escapes."""
    found = draft.tree.spans.get(path)
    if found is None or found[2].line != found[2].end_line:
        return None
    source, _, span = found
    raw = source.line(span.line)[span.column - 1 : span.end_column - 1]
    start = next((number for number in (0, 1) if raw[number : len(raw) - number] == text), None)
    if start is None:
        return None
    first = span.column + start + min(error.offset, len(text))
    last = min(first + max(error.length, 1), span.column + start + len(text) + 1)
    return Place(source, Span(span.line, first, span.line, last))
