"""The space of a study as the parameters that Optuna knows, and the way back to values of axes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pettingllms.config.axes import Axis
from pettingllms.config.load import Draft
from pettingllms.config.ranges import Range
from pettingllms.config.shape import written
from pettingllms.config.sweep import SweepConfig
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.lint.proof.cells import ValueReader
from pettingllms.lint.proof.influence import Influence
from pettingllms.space.cells import fulfils
from pettingllms.space.expressions import EvaluationError, Expression, parse
from pettingllms.space.labels import label
from pettingllms.space.units import Unit, ValueOf, in_order, no_keys, units_of

if TYPE_CHECKING:
    import optuna

Row = tuple[Any, ...]
"""A value for each axis of a unit."""


class OutsideError(ValueError):
    """Values of a row that the space does not have."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values of all axes, those that are swept there, and Optuna's parameters, which are of these only."""

    values: Mapping[KeyPath, Any]
    active: frozenset[KeyPath]
    parameters: Mapping[str, Any]


class Parameter:
    """What Optuna samples for one unit: a number in a range, or the label of a row.

    `name`: the dotted path of an axis; `zip NAME` for zipped ones, which are one parameter. What cannot be a
    choice of Optuna's (lists, tables, rows) has its compact JSON as a label.
    """

    def __init__(self, unit: Unit) -> None:
        first = unit.axes[0]
        self.unit = unit
        self.name = dotted(first.path) if first.zip is None else f"zip {first.zip}"
        self.numbers: Range | None = None
        self.rows: dict[Any, Row] = {}
        if len(unit.axes) == 1 and first.range is not None:
            self.numbers = first.range
        elif unit.rows is None:
            # Rows of long ranges are in order: their index says which one is meant.
            self.numbers = Range(0, min(axis.count or 1 for axis in unit.axes) - 1, whole=True)
        else:
            self.rows = {self._label(row): row for row in unit.rows}

    @property
    def is_conditional(self) -> bool:
        """True where not every trial has it."""
        return self.unit.condition is not None

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """What Optuna draws from. A range ends where its steps do: Optuna would lower `high` by itself."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        numbers = self.numbers
        if numbers is None:
            return CategoricalDistribution(list(self.rows))
        missed = numbers.missed()
        high = numbers.high if missed is None else missed
        if numbers.whole:
            return IntDistribution(int(numbers.low), int(high), log=numbers.log, step=int(numbers.step or 1))
        return FloatDistribution(numbers.low, high, log=numbers.log, step=numbers.step)

    def suggested(self, trial: optuna.Trial) -> Row:
        """The row that `trial` proposes."""
        numbers = self.numbers
        if numbers is None:
            return self.rows[trial.suggest_categorical(self.name, list(self.rows))]
        own = self.distribution
        low, high, step = own.low, own.high, own.step
        if numbers.whole:
            return self._row(trial.suggest_int(self.name, low, high, step=step, log=numbers.log))
        return self._row(trial.suggest_float(self.name, low, high, step=step, log=numbers.log))

    def value(self, row: Row) -> Any:
        """What Optuna calls `row`. Raises OutsideError where it has no such value."""
        if self.numbers is None:
            found = self._label(row)
            if found not in self.rows:
                raise OutsideError(f"{self.name} has no value {written(found)}")
            return found
        if self._is_indexed:
            columns = [axis.range for axis in self.unit.axes if axis.range is not None]
            ends = range(int(self.numbers.high) + 1)
            found = next((n for n in ends if tuple(column.at(n) for column in columns) == row), None)
            if found is None:
                raise OutsideError(f"{self.name} has no row {written(list(row))}")
            return found
        number = row[0]
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not self.numbers.holds(number):
            raise OutsideError(f"{self.name} has no value {written(number)}")
        return number

    @property
    def _is_indexed(self) -> bool:
        return len(self.unit.axes) > 1

    def _row(self, number: int | float) -> Row:
        """The row of a number that Optuna proposes, which rounds steps its own way."""
        numbers = self.numbers
        assert numbers is not None
        if self._is_indexed:
            return tuple(axis.range.at(int(number)) for axis in self.unit.axes if axis.range is not None)
        if numbers.step is not None and not numbers.whole:
            index = round((number - numbers.low) / numbers.step)
            return (numbers.at(index),)
        return (number,)

    def _label(self, row: Row) -> Any:
        return label(row[0]) if len(self.unit.axes) == 1 else label(list(row))


class SearchSpace:
    """Axes with their conditions, and constraints; `value_of` gives the other keys that these name."""

    def __init__(
        self,
        axes: Sequence[Axis],
        constraints: Sequence[Expression] = (),
        value_of: ValueOf = no_keys,
    ) -> None:
        units = units_of(axes)
        self.axes = tuple(axes)
        self.constraints = tuple(constraints)
        self.parameters = tuple(map(Parameter, units))
        self._units, self._order, self._value_of = units, in_order(units), value_of

    @classmethod
    def of(cls, draft: Draft, sweep: SweepConfig) -> SearchSpace:
        """The space of an experiment that the linter has passed."""
        return cls(
            draft.axes, [parse(text) for text in sweep.constraints], ValueReader(draft, Influence(draft))
        )

    def point(self, choose: Callable[[Parameter], Row]) -> Point | None:
        """Ask `choose` for a row of each unit that is swept, each after those that decide about it.

        None where conditions contradict each other there: a key that one names follows an axis that was
        decided after it. Raises ConditionError.
        """
        rows: dict[int, Row] = {}
        active = [unit.condition is None for unit in self._units]
        before: list[bool] = []
        for _ in range(len(self._units) + 1):
            for number in self._order:
                unit = self._units[number]
                if unit.condition is not None:
                    active[number] = unit.is_active(self._values(rows, active), self._value_of)
                if active[number] and number not in rows:
                    rows[number] = choose(self.parameters[number])
            if active == before:
                return self._point(rows, active)
            before = list(active)
        return None

    def refusal(self, point: Point) -> str | None:
        """The first constraint that `point` does not fulfil, in words; None where it fulfils all."""
        for constraint in self.constraints:
            try:
                fulfilled = fulfils(point.values, constraint, self._value_of)
            except EvaluationError as error:
                return f"{constraint.text}: {error.message}"
            if not fulfilled:
                return constraint.text
        return None

    def defaults(self) -> Point:
        """The point of a plain run. Raises ConditionError."""
        found = self.point(lambda parameter: tuple(axis.default for axis in parameter.unit.axes))
        if found is None:
            raise OutsideError("the conditions contradict each other at the defaults")
        return found

    def parameters_of(self, values: Mapping[str, Any], active: Collection[str]) -> dict[str, Any]:
        """Optuna's parameters of a row, whose values are by dotted path. Raises OutsideError."""
        found = {}
        for parameter in self.parameters:
            names = [dotted(axis.path) for axis in parameter.unit.axes]
            if not all(name in active for name in names):
                continue
            missing = [name for name in names if name not in values]
            if missing:
                raise OutsideError(f"there is no value of {missing[0]}")
            found[parameter.name] = parameter.value(tuple(values[name] for name in names))
        unknown = set(active) - {dotted(axis.path) for axis in self.axes}
        if unknown:
            raise OutsideError(f"{min(unknown)} is not swept")
        return found

    def distributions(self, names: Collection[str]) -> dict[str, optuna.distributions.BaseDistribution]:
        """What Optuna draws these parameters from."""
        return {p.name: p.distribution for p in self.parameters if p.name in names}

    def _values(self, rows: Mapping[int, Row], active: Sequence[bool]) -> dict[KeyPath, Any]:
        """All values; what is not swept, or not decided yet, is at its default."""
        found: dict[KeyPath, Any] = {}
        for number, unit in enumerate(self._units):
            decided = active[number] and number in rows
            found |= unit.chosen(rows[number]) if decided else unit.defaults
        return found

    def _point(self, rows: Mapping[int, Row], active: Sequence[bool]) -> Point:
        swept = [number for number, on in enumerate(active) if on]
        values = self._values(rows, active)
        return Point(
            {axis.path: values[axis.path] for axis in self.axes},
            frozenset(axis.path for number in swept for axis in self._units[number].axes),
            {self.parameters[n].name: self.parameters[n].value(rows[n]) for n in swept},
        )
