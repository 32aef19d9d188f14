"""How much each axis of a study matters for a metric, by PED-ANOVA over the trials that completed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pettingllms.errors import RefusedError
from pettingllms.space.cells import label
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.packages import missing
from pettingllms.sweep.study.reading import Reading

if TYPE_CHECKING:
    import optuna

LEAST_TRIALS = 4
"""With fewer trials every figure is chance."""


def importances(reading: Reading, metric: str) -> dict[str, float]:
    """Shares that sum to 1, the greatest first, of the axes that every completed trial has.

    They say which axes set the trials with the best values apart from the others. Raises RefusedError with
    fewer than `LEAST_TRIALS` trials, where all have the same value, and without Optuna.
    Source: Watanabe et al. 2023 (arXiv:2304.10255).
    """
    if missing(["optuna"]):
        raise RefusedError("importances need optuna, which is not installed", help="install the extra sweep")
    values = measured(reading, metric)
    if len(values) < LEAST_TRIALS:
        raise RefusedError(
            f"{len(values)} trials have completed with {metric}: importances need {LEAST_TRIALS}",
            help="run more of them, or export a table",
        )
    if len(set(values.values())) == 1:
        raise RefusedError(f"all trials have the same {metric}: no axis matters more than another")
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = _study(reading, values, metric)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(before)
    if not found or not math.isfinite(sum(found.values())):
        raise RefusedError(f"no axis differs among the {len(values)} trials that completed")
    return {name: float(share) for name, share in sorted(found.items(), key=lambda one: -one[1])}


def measured(reading: Reading, metric: str) -> dict[int, float]:
    """The metric of each trial that completed, where it is a number."""
    goals = [objective.metric for objective in reading.sweep.objectives]
    found = {}
    for number, row in sorted(reading.rows.items()):
        if row.objectives is not None and not row.outside:
            value = row.objectives[goals.index(metric)] if metric in goals else row.metrics.get(metric)
            if value is not None and math.isfinite(value):
                found[number] = value
    return found


def _study(reading: Reading, values: Mapping[int, float], metric: str) -> optuna.Study:
    import optuna

    goals = {objective.metric: objective.direction for objective in reading.sweep.objectives}
    study = optuna.create_study(direction=goals.get(metric, "maximize"))
    space = reading.header["lock"]["space"]
    rows = [reading.rows[number] for number in values]
    axes = {name: axis for name, axis in space.items() if isinstance(axis, dict) and "kind" in axis}
    known = {name: _distribution(name, axis, rows) for name, axis in axes.items()}
    for row in rows:
        own = {name: known[name] for name in row.active if name in known}
        points = {name: _point(axes[name], row.values[name]) for name in own}
        study.add_trial(optuna.trial.create_trial(params=points, distributions=own, value=values[row.number]))
    return study


def _distribution(
    name: str, axis: Mapping[str, Any], rows: list[Row]
) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis["kind"] == "choice":
        tried = [*axis["values"], axis["default"], *(row.values[name] for row in rows)]
        return CategoricalDistribution(list(dict.fromkeys(label(value) for value in tried)))
    numbers = [axis["low"], axis["high"], *(row.values[name] for row in rows)]
    # A default may lie between the steps: what a range tells here is how values lie to each other.
    kind = IntDistribution if axis["kind"] == "int" else FloatDistribution
    return kind(min(numbers), max(numbers), log=axis.get("log", False))


def _point(axis: Mapping[str, Any], value: Any) -> Any:
    return label(value) if axis["kind"] == "choice" else value
