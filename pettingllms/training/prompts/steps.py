"""The border to gepa (arXiv:2507.19457), which decides which prompts are changed and which stay.

gepa keeps a pool of candidates and, task by task of validation, those that do best. A step draws a candidate
from this frontier, plays a minibatch of training tasks, lets a model reflect on one component in turn, and
plays the proposal on the same minibatch. What is better there is played on all of validation and joins the
pool. The candidate with the best mean on validation wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from pettingllms.training.prompts.reflection import Reflection
from pettingllms.training.prompts.texts import Candidate
from pettingllms.training.prompts.trials import PromptTrials, Trial
from pettingllms.types import Split, Task

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates at the end of a step; step 0 is the validation of the first one.

    `parents`: the numbers of those that each was made of. `scores`: mean over the validation tasks. `best`:
    the number of the winner so far, the oldest of equals. `train_scores`: of all minibatches of the step.
    `episodes`: that minibatches and validation took so far.
    """

    step: int
    candidates: list[Candidate]
    parents: list[list[int]]
    scores: list[float]
    best: int
    train_scores: list[float]
    episodes: int


class _Carried(BaseException):
    """Carries an error of ours through gepa, which would take it for a proposal that failed."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def _carried(work: Callable[P, T]) -> Callable[P, T]:
    def guarded(*args: P.args, **named: P.kwargs) -> T:
        try:
            return work(*args, **named)
        except Exception as error:
            raise _Carried(error) from error

    return guarded


class _Adapter:
    """gepa's `GEPAAdapter` over our trials."""

    propose_new_texts = None
    """Proposals come from `_ReflectionLM`; gepa looks here first."""

    def __init__(self, trials: PromptTrials) -> None:
        self._trials = trials
        self.episodes = 0
        self.train_scores: list[float] = []

    def evaluate(self, batch: Sequence[Task], candidate: Candidate, capture_traces: bool = False) -> Any:  # noqa: ARG002 - gepa's
        return self.batch_evaluate([(candidate, batch)])[0]

    @_carried
    def batch_evaluate(self, items: Sequence[tuple[Candidate, Sequence[Task]]]) -> list[Any]:
        from gepa.core.adapter import EvaluationBatch

        trials = [Trial(candidate, tasks) for candidate, tasks in items]
        outcomes = self._trials.outcomes(trials)
        self.episodes += sum(map(self._trials.episodes_of, trials))
        self.train_scores += [
            score
            for trial, outcome in zip(trials, outcomes, strict=True)
            if trial.split == "train"
            for score in outcome.scores
        ]
        return [
            EvaluationBatch(
                outputs=[None] * len(outcome.scores),
                scores=list(outcome.scores),
                trajectories=outcome.episodes or [[] for _ in outcome.scores],
            )
            for outcome in outcomes
        ]

    @_carried
    def make_reflective_dataset(
        self, candidate: Candidate, eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        episodes = [one for own in eval_batch.trajectories for one in own]
        return {name: self._trials.records(name, candidate, episodes) for name in components_to_update}


class _ReflectionLM:
    """gepa's `ReflectionLM` over our reflection; it carries no state from one call to the next."""

    def __init__(self, reflection: Reflection) -> None:
        self._reflection = reflection

    def reflect(self, candidate: Candidate, dataset: Mapping[str, Any], components: list[str]) -> Any:
        return self.reflect_many([(candidate, dataset, components)])[0]

    @_carried
    def reflect_many(self, jobs: Sequence[tuple[Candidate, Mapping[str, Any], list[str]]]) -> list[Any]:
        from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal

        return [(ReflectionProposal(new_texts=texts), self) for texts in self._reflection.proposals(jobs)]


def search(
    start: Candidate,
    tasks: Mapping[Split, Sequence[Task]],
    trials: PromptTrials,
    reflection: Reflection,
    *,
    minibatch_size: int,
    proposals: int,
    seed: int,
    on_step: Callable[[Pool], bool],
) -> None:
    """Search until `on_step`, which is called at the end of each step, says that it is enough.

    The same for the same arguments, scores and proposals. What trials, reflection and `on_step` raise ends
    the search.
    """
    from gepa import optimize
    from gepa.strategies.proposal_sampling import IndependentSampling

    adapter = _Adapter(trials)

    @_carried
    def ends(state: Any) -> bool:
        scores = [sum(own.values()) / len(own) for own in state.prog_candidate_val_subscores]
        train_scores, adapter.train_scores = adapter.train_scores, []
        return on_step(
            Pool(
                step=state.i + 1,
                candidates=[dict(texts) for texts in state.program_candidates],
                parents=[
                    [one for one in own if one is not None] for own in state.parent_program_for_candidate
                ],
                scores=scores,
                best=scores.index(max(scores)),
                train_scores=train_scores,
                episodes=adapter.episodes,
            )
        )

    try:
        optimize(
            seed_candidate=dict(start),
            trainset=list(tasks["train"]),
            valset=list(tasks["val"]),
            adapter=adapter,
            reflection_strategy=_ReflectionLM(reflection),
            reflection_minibatch_size=minibatch_size,
            sampling_strategy=IndependentSampling(proposals),
            module_selector="round_robin",
            stop_callbacks=[ends],
            track_best_outputs=False,
            seed=seed,
        )
    except _Carried as carried:
        raise carried.error from carried.error.__cause__
