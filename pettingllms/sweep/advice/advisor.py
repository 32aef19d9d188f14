"""What Optuna says about a study: values for the next cell, and whether a trial is hopeless.

The rows of the ledger are the truth. Optuna's study follows them: each row that was started is one trial,
written whole, with the number of its cell. A proposal depends on the seed, the number of its cell and the
trials of other cells; not on what was killed or refused before, nor on this process.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any

from pettingllms.config.sweep import SweepConfig
from pettingllms.documents.source import dotted
from pettingllms.errors import RefusedError
from pettingllms.hiding import hidden
from pettingllms.space.expressions import EvaluationError
from pettingllms.sweep.advice.history import (
    CELL,
    LOST,
    OF_STUDY,
    REFUSED,
    History,
    by_cell,
    learned,
    refusals,
    study_notes,
    without,
)
from pettingllms.sweep.advice.pruners import make_pruner
from pettingllms.sweep.advice.samplers import derived_seed, make_sampler, random_sampler
from pettingllms.sweep.advice.space import OutsideError, Point, SearchSpace
from pettingllms.sweep.advice.storage import quiet_optuna
from pettingllms.sweep.advice.trials import (
    active_names,
    objective_fault,
    proposed_trial,
    row_notes,
    started_trial,
    whole_trial,
)
from pettingllms.sweep.ledger.rows import ENDED, Proposal, Row

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

PATIENCE = 50
"""Proposals of a sampler for one cell that may break constraints; those after them are drawn at random."""
DRAWS = 1000
"""Proposals for one cell that may break constraints before the study gives up."""
REFUSALS = 100
"""Proposals for one cell that may turn out to be impossible before the study gives up."""


class OptunaAdvisor:
    """The advisor of a study (see `rows.Advisor`), on any of Optuna's storages.

    `name`: of the study in the storage, which is made where it is missing. Raises RefusedError where the
    study there has other objectives, or other values of an axis: Optuna takes no change of these.
    """

    def __init__(self, space: SearchSpace, sweep: SweepConfig, storage: BaseStorage, name: str) -> None:
        import optuna

        self.space, self.sweep, self.name = space, sweep, name
        self._storage = storage
        self._directions = [objective.direction for objective in sweep.objectives]
        with quiet_optuna():
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=list(self._directions),
                load_if_exists=True,
                # Both are made anew for each question, over the history of the cells.
                sampler=optuna.samplers.RandomSampler(seed=0),
                pruner=optuna.pruners.NopPruner(),
            )
            self._id = storage.get_study_id_from_name(name)
            self._require_same()

    def reconcile(self, rows: Mapping[int, Row]) -> None:
        """Tell Optuna what it has missed: rows that ended, rows it lost, and trials that no row knows of."""
        from optuna.trial import TrialState

        with quiet_optuna():
            self._restore(rows)
            trials = self._trials()
            open_trials = {t.number for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)}
            known = {row.advice for row in rows.values()}
            for number in sorted(open_trials - known):
                self._fail(trials[number], {LOST: True})
            for row in rows.values():
                if row.state in ENDED and row.advice in open_trials:
                    self.tell(row)

    def enqueue(self, row: Row) -> int:
        """The Optuna trial of a row whose values are given; the one that it has, if that has not ended.

        A row that runs once more gets a trial of the same values. Raises RefusedError where the space has no
        such values.
        """
        with quiet_optuna():
            former = None if row.advice is None else self._trials()[row.advice]
            if former is not None and not former.state.is_finished():
                return int(former.number)
            try:
                return self._add(started_trial(self.space, row, former))
            except OutsideError as error:
                raise RefusedError(
                    f"cell {row.number} is not in the space of the study: {error}",
                    help="start another study with --new-study",
                ) from error

    def propose(self, number: int) -> Proposal:
        """Values for the row `number`: those of a plain run for row 0, else what the sampler says.

        Raises RefusedError where no proposal fulfils the constraints, or none can run.
        """
        with quiet_optuna():
            trials = self._trials()
            refused = refusals(trials, number)
            if len(refused) >= REFUSALS:
                raise RefusedError(
                    f"{REFUSALS} proposals for cell {number} cannot run; the last: {refused[-1]}",
                    help="write what must hold as a constraint in [sweep] constraints",
                )
            if number == 0 and not refused:
                return self._kept(number, self.space.defaults(), {})
            point, noted = self._sampled(number, trials, len(refused))
            return self._kept(number, point, noted)

    def refuse(self, advice: int, reason: str) -> None:
        """The proposal cannot run; it is no row."""
        with quiet_optuna():
            self._fail(self._trials()[advice], {REFUSED: hidden(reason)})

    def report(self, advice: int, step: int, value: float) -> bool:
        """Take in the objective at `step`; True where the trial is hopeless.

        A step that is reported again, after a trial went on from a checkpoint, has its new value. With
        several objectives Optuna knows no values of steps, and stops nothing.
        """
        if len(self._directions) > 1:
            return False
        with quiet_optuna():
            trial = self._trials()[advice]
            if trial.state.is_finished():
                return False
            self._storage.set_trial_intermediate_value(self._identity(advice), step, value)
            return self.sweep.pruner is not None and self._is_hopeless(advice, step)

    def tell(self, row: Row) -> None:
        """The row has ended. Nothing happens where Optuna knows that, or has no trial of the row."""
        from optuna.trial import TrialState

        if row.advice is None or row.state not in ENDED:
            return
        with quiet_optuna():
            trial = self._trials()[row.advice]
            if trial.state.is_finished():
                return
            goals = self.sweep.objectives
            for key, value in row_notes(row, goals).items():
                if trial.user_attrs.get(key) != value:
                    self._storage.set_trial_user_attr(self._identity(trial.number), key, value)
            if row.state == "pruned":
                self._study.tell(trial.number, state=TrialState.PRUNED)
            elif row.state == "failed" or row.objectives is None or objective_fault(row, goals):
                self._study.tell(trial.number, state=TrialState.FAIL)
            else:
                self._study.tell(trial.number, list(row.objectives))

    def rebuild(self, rows: Mapping[int, Row], former: Sequence[FrozenTrial] = ()) -> dict[int, int]:
        """Fill this study with `rows`; returns the number of the trial of each.

        Trials that are there already, of a worker that was killed meanwhile, are not written again.
        `former`: the trials that they were, for the values of their steps. Rows that the space does
        not have, and those that were never started, get no trial.
        """
        with quiet_optuna():
            old, there = by_cell(former), by_cell(self._trials())
            found = {}
            for number, row in sorted(rows.items()):
                if row.state == "waiting" and row.advice is None:
                    continue
                try:
                    trial = whole_trial(self.space, row, self.sweep.objectives, old.get(number))
                except OutsideError:
                    continue
                own = there.get(number)
                same = own is not None and _told(own) == _told(trial)
                found[number] = own.number if own is not None and same else self._add(trial)
            return found

    def _trials(self) -> Sequence[FrozenTrial]:
        """All trials by number. They belong to the storage: nobody changes them."""
        found = self._storage.get_all_trials(self._id, deepcopy=False)
        return sorted(found, key=attrgetter("number"))

    def _identity(self, number: int) -> int:
        """What the storage calls the trial of this number."""
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))

    def _sampled(
        self, number: int, trials: Sequence[FrozenTrial], refused: int
    ) -> tuple[Point, dict[str, Any]]:
        """A point that fulfils the constraints, and what the sampler noted down for the study."""
        before = study_notes(trials)
        notes, past = before, learned(trials)
        if self.sweep.sampler == "cmaes":
            # It gives up on the first trial that lacks a number which those before had.
            past = without(past, [p.name for p in self.space.parameters if p.is_conditional])
        why = "the conditions contradict each other"
        for draw in range(DRAWS):
            seed = derived_seed(self.sweep.seed, number, refused, draw)
            at_random = draw >= PATIENCE or self.sweep.sampler == "random"
            history = History(
                self.name,
                self._directions,
                {} if at_random else past,
                count=0 if at_random else number,
                sampler=random_sampler(seed) if at_random else make_sampler(self.sweep, seed),
                pruner=make_pruner(self.sweep.pruner),
                notes=notes,
            )
            asked = history.study.ask()
            try:
                point = self.space.point(methodcaller("suggested", asked))
            except EvaluationError as error:
                point, why = None, error.message
            notes = copy.deepcopy(history.notes)
            if point is not None:
                broken = self.space.refusal(point)
                if broken is None:
                    own = dict(history.trial(asked.number).system_attrs)
                    new = {key: value for key, value in notes.items() if before.get(key) != value}
                    return point, {**own, OF_STUDY: new} if new else own
                why = broken
        raise RefusedError(
            f"no values for cell {number} in {DRAWS} proposals; the last one breaks: {why}",
            help="loosen [sweep] constraints, or sweep less",
        )

    def _kept(self, number: int, point: Point, noted: Mapping[str, Any]) -> Proposal:
        advice = self._add(proposed_trial(self.space, number, point, noted))
        values = {dotted(path): value for path, value in point.values.items()}
        return Proposal(values, active_names(self.space, point), advice)

    def _is_hopeless(self, advice: int, step: int) -> bool:
        trial = copy.deepcopy(self._trials()[advice])
        # Steps after this one are of an attempt before the checkpoint that this one started from.
        trial.intermediate_values = {n: v for n, v in trial.intermediate_values.items() if n <= step}
        cell = int(trial.user_attrs[CELL])
        trials = {**by_cell(self._trials()), cell: trial}
        pruner = make_pruner(self.sweep.pruner)
        history = History(self.name, self._directions, trials, count=max(trials) + 1, pruner=pruner)
        hopeless = pruner.prune(history.study, history.trial(cell))
        for key, value in history.trial(cell).system_attrs.items():
            if trial.system_attrs.get(key) != value:
                self._storage.set_trial_system_attr(self._identity(advice), key, value)
        return bool(hopeless)

    def _fail(self, trial: FrozenTrial, noted: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        if not trial.state.is_finished():
            for key, value in noted.items():
                self._storage.set_trial_user_attr(self._identity(trial.number), key, value)
            self._storage.set_trial_state_values(self._identity(trial.number), TrialState.FAIL)

    def _add(self, trial: FrozenTrial) -> int:
        """Write a trial in one piece; returns its number."""
        return int(self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._id, trial)))

    def _restore(self, rows: Mapping[int, Row]) -> None:
        """Write trials anew that rows know and the storage has lost, under their numbers."""
        from optuna.trial import TrialState, create_trial

        owners = {row.advice: row for row in rows.values() if row.advice is not None}
        for number in range(len(self._trials()), max(owners, default=-1) + 1):
            owner = owners.get(number)
            lost = create_trial(state=TrialState.FAIL, user_attrs={LOST: True})
            self._add(lost if owner is None else whole_trial(self.space, owner, self.sweep.objectives, None))

    def _require_same(self) -> None:
        """Refuse a study of other objectives or axes, which Optuna would mix up or crash on."""
        help_text = "start another study with --new-study, or carry this one over with --extend"
        known = [direction.name.lower() for direction in self._study.directions]
        if known != self._directions:
            told = (
                f"its objectives are to {', '.join(known)}, and the file says {', '.join(self._directions)}"
            )
            raise RefusedError(f"the study {self.name} is another one: {told}", help=help_text)
        own = {parameter.name: parameter.distribution for parameter in self.space.parameters}
        for trial in self._trials():
            for name, distribution in trial.distributions.items():
                if own.get(name) != distribution:
                    now = own.get(name, "not swept")
                    told = f"{name} was {distribution}, and is {now}"
                    raise RefusedError(f"the study {self.name} has another space: {told}", help=help_text)


def _told(trial: FrozenTrial) -> tuple[Any, ...]:
    """What a row decides about its trial."""
    return trial.state, trial.values, trial.params, trial.user_attrs
