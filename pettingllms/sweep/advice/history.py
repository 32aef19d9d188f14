"""What samplers and pruners look at: a copy in memory of a study, in which trials have the numbers of cells.

Optuna derives random numbers, brackets and generations from the numbers and the order of trials. In storage
these depend on what was refused, and on when a worker was killed; in the copy they depend on the cells only.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

CELL, REFUSED, LOST = "cell", "refused", "lost"
"""User attributes: the number of the cell; why it cannot run; that no row of the study has this trial."""
OF_STUDY = "pettingllms:study"
"""System attribute of a trial: what its sampler noted down for the whole study while it was sampled."""


def by_cell(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The newest trial of each cell; those that no row has, and those that could not run, are left out."""
    found = {}
    for trial in trials:
        noted = trial.user_attrs
        if CELL in noted and REFUSED not in noted and LOST not in noted:
            found[int(noted[CELL])] = trial
    return found


def learned(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """What a sampler learns from: a cell that runs once more has the result that it had until it has another.

    Optuna's parents of a generation would be gone otherwise.
    """
    from optuna.trial import TrialState

    complete = by_cell(trial for trial in trials if trial.state is TrialState.COMPLETE)
    return {**by_cell(trials), **complete}


def without(trials: Mapping[int, FrozenTrial], names: Collection[str]) -> dict[int, FrozenTrial]:
    """The trials as if these parameters were not there."""
    found = {}
    for number, trial in trials.items():
        found[number] = copy.copy(trial)
        found[number].params = {k: v for k, v in trial.params.items() if k not in names}
        found[number].distributions = {k: v for k, v in trial.distributions.items() if k not in names}
    return found


def refusals(trials: Iterable[FrozenTrial], cell: int) -> list[str]:
    """Why proposals for a cell could not run, in order."""
    return [
        t.user_attrs[REFUSED] for t in trials if t.user_attrs.get(CELL) == cell and REFUSED in t.user_attrs
    ]


def study_notes(trials: Iterable[FrozenTrial]) -> dict[str, Any]:
    """What samplers noted down for the whole study, the newest of each."""
    found: dict[str, Any] = {}
    for trial in trials:
        if LOST not in trial.user_attrs:
            found |= trial.system_attrs.get(OF_STUDY, {})
    return found


class History:
    """The copy: trial n is the one of cell n, and a failed one where a cell has none.

    `notes`: what samplers noted down for the study.
    """

    def __init__(
        self,
        name: str,
        directions: Sequence[str],
        trials: Mapping[int, FrozenTrial],
        *,
        count: int,
        sampler: optuna.samplers.BaseSampler | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        import optuna
        from optuna.storages import InMemoryStorage
        from optuna.trial import TrialState, create_trial

        self._storage = InMemoryStorage()
        self.study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            directions=list(directions),
            sampler=sampler,
            pruner=pruner,
        )
        self._id = self._storage.get_study_id_from_name(name)
        absent = create_trial(state=TrialState.FAIL)
        for number in range(count):
            self._storage.create_new_trial(self._id, trials.get(number, absent))
        for key, value in (notes or {}).items():
            self._storage.set_study_system_attr(self._id, key, value)

    @property
    def notes(self) -> dict[str, Any]:
        """What samplers noted down for the study by now."""
        return dict(self._storage.get_study_system_attrs(self._id))

    def trial(self, number: int) -> FrozenTrial:
        """Trial `number` as it is now."""
        identity = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return self._storage.get_trial(identity)
