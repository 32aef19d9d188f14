"""What Optuna is told about a row: its trial as it starts, as it has ended, and why objectives are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pettingllms.config.sweep import ObjectiveConfig
from pettingllms.documents.source import dotted
from pettingllms.hiding import hidden
from pettingllms.sweep.advice.history import CELL, OF_STUDY
from pettingllms.sweep.advice.space import Point, SearchSpace
from pettingllms.sweep.ledger.rows import ENDED, Row

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RUNGS = "completed_rung_"
"""Where a pruner keeps how far a trial has come."""


def proposed_trial(
    space: SearchSpace, number: int, point: Point, sampler_notes: Mapping[str, Any]
) -> FrozenTrial:
    """A trial of cell `number` that runs at `point`."""
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.RUNNING,
        params=dict(point.parameters),
        distributions=space.distributions(point.parameters),
        user_attrs={CELL: number},
        system_attrs=dict(sampler_notes),
    )


def active_names(space: SearchSpace, point: Point) -> tuple[str, ...]:
    """The dotted paths of the axes that are swept at `point`, in file order."""
    return tuple(dotted(axis.path) for axis in space.axes if axis.path in point.active)


def started_trial(space: SearchSpace, row: Row, former: FrozenTrial | None) -> FrozenTrial:
    """A trial that runs with the values of `row`, and with what a sampler noted down about it before.

    Raises OutsideError where the space does not have the values.
    """
    from optuna.trial import TrialState, create_trial

    parameters = space.parameters_of(row.values, row.active)
    before = {} if former is None else former.system_attrs
    return create_trial(
        state=TrialState.RUNNING,
        params=parameters,
        distributions=space.distributions(parameters),
        user_attrs={CELL: row.number},
        system_attrs={k: v for k, v in before.items() if k != OF_STUDY and not k.startswith(RUNGS)},
    )


def whole_trial(
    space: SearchSpace, row: Row, goals: Sequence[ObjectiveConfig], former: FrozenTrial | None
) -> FrozenTrial:
    """The trial of a row as it has run, or runs. `former`: what another study knew of it.

    Raises OutsideError where the space does not have the values.
    """
    from optuna.trial import TrialState, create_trial

    started = started_trial(space, row, former)
    steps = {} if former is None else dict(former.intermediate_values)
    state, values = TrialState.RUNNING, None
    if row.state == "complete" and row.objectives is not None and objective_fault(row, goals) is None:
        state, values = TrialState.COMPLETE, list(row.objectives)
    elif row.state == "pruned":
        state = TrialState.PRUNED
        last = steps[max(steps)] if steps else math.nan
        values = [last] if math.isfinite(last) else None
    elif row.state in ENDED:
        state = TrialState.FAIL
    noted = {} if former is None else former.system_attrs.get(OF_STUDY, {})
    # Positions in a sequence stay; what names trials does not fit the numbers of another study.
    kept = {key: value for key, value in noted.items() if isinstance(value, int)}
    return create_trial(
        state=state,
        values=values,
        params=started.params,
        distributions=started.distributions,
        user_attrs={CELL: row.number, **row_notes(row, goals)},
        system_attrs={**started.system_attrs, **({OF_STUDY: kept} if kept else {})},
        intermediate_values=steps,
    )


def row_notes(row: Row, goals: Sequence[ObjectiveConfig]) -> dict[str, Any]:
    """What a trial is told about its row beside the values."""
    reason = objective_fault(row, goals) or row.reason
    known = {
        "folder": row.folder,
        "cause": row.cause,
        "seconds": row.seconds,
        "reason": reason and hidden(reason),
    }
    return {key: value for key, value in known.items() if value is not None}


def objective_fault(row: Row, goals: Sequence[ObjectiveConfig]) -> str | None:
    """Why the objectives of a complete row cannot be told: Optuna would raise, or warn."""
    if row.state != "complete":
        return None
    found = row.objectives or ()
    if len(found) != len(goals):
        return f"objectives: {len(goals)} are asked for, {len(found)} were measured"
    faults = (
        f"the objective {goal.metric} is {value}"
        for goal, value in zip(goals, found, strict=True)
        if not math.isfinite(value)
    )
    return next(faults, None)
