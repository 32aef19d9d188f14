"""The search for better prompts as a run: step by step, with records, checkpoints and a winner."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import Interrupted, RefusedError
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.seeds import derive
from pettingllms.training.checkpoint import Checkpoint, load_checkpoint
from pettingllms.training.events import EventStream
from pettingllms.training.policies import Policies
from pettingllms.training.prompts.memory import Memory
from pettingllms.training.prompts.pool import write_pool
from pettingllms.training.prompts.reflection import Reflection
from pettingllms.training.prompts.steps import Pool, search
from pettingllms.training.prompts.texts import Candidate
from pettingllms.training.prompts.trials import PromptTrials, Trial
from pettingllms.training.ranks import Ranks
from pettingllms.training.records import write_samples
from pettingllms.training.saving import CheckpointSaver
from pettingllms.training.state import RANDOM, Part, RandomNumbers, RunState
from pettingllms.types import Split, Task

PART = "prompt search"
"""The name of the search among the parts of a checkpoint."""


@dataclass(slots=True)
class PromptSearch:
    """One run of a trial with `specialization = "prompt"`, on one of its ranks.

    A step is one of `prompts.steps`: `training.prompt.proposals` reflections and what comes of them. It
    ends when `total_training_steps` are done, `max_episodes` were played, or a candidate solves all of
    validation. `tasks`: of every split; those of training are reflected on, those of validation decide, those
    of test are played with the first candidate and with the winner. `policies`: none, as nothing is trained.
    `models`: what the policies start from, which must stay the same.
    `begin`: the checkpoint to go on from, as the leading process knows it.
    """

    training: TrainingConfig
    tasks: dict[Split, Sequence[Task]]
    start: Candidate
    trials: PromptTrials
    reflection: Reflection
    memory: Memory
    random: RandomNumbers
    models: Mapping[str, Part]
    policies: Policies
    saver: CheckpointSaver
    begin: Path | None
    ranks: Ranks
    loggers: Fanout
    events: EventStream
    folder: Path
    check: Callable[[], None]
    _begin: float = field(default=0.0, init=False)
    _now: RunState | None = field(default=None, init=False)
    """The search after its newest whole step."""
    _saved: int | None = field(default=None, init=False)
    _validation: dict[str, float] = field(default_factory=dict, init=False)
    """That of the best candidate after the newest whole step."""

    def run(self) -> None:
        """Search, or go on from a checkpoint; a stop request leaves one of the last whole step."""
        if not self.tasks["val"]:
            raise RefusedError(
                "a search for prompts needs validation tasks: they decide which prompts are better",
                help="set env.benchmark, or give the validation split a size in env.options",
            )
        parts: dict[str, Part] = {RANDOM: self.random, PART: self.memory, **self.models}
        begin, *_ = self.ranks.together(lambda: self.begin)
        if begin is not None:
            self._saved = load_checkpoint(begin, self.policies, parts, self.ranks.rank)
        settings = self.training.prompt
        self._begin = time.perf_counter()
        try:
            search(
                self.start,
                self.tasks,
                self.trials,
                self.reflection,
                minibatch_size=settings.minibatch_size,
                proposals=settings.proposals,
                seed=derive(self.training.seed, "prompt search"),
                on_step=self._step_ends,
            )
            self.saver.wait()
        except Interrupted:
            if self._now is not None and self._saved != self._now.step:
                self._save(self._now)
            self.saver.wait()
            raise
        finally:
            self.saver.close()

    def _step_ends(self, pool: Pool) -> bool:
        """Log, and save what the search needs to go on; returns whether it is done."""
        limit = self.training.prompt.max_episodes
        done = (
            pool.step >= self.training.total_training_steps
            or (limit is not None and pool.episodes >= limit)
            or pool.scores[pool.best] >= 1
        )
        # A step that a checkpoint remembers was logged by the run that wrote it.
        new = pool.step > self.memory.step
        if new:
            self._record(pool, test=done or pool.step == 0)
            self.memory.settle(pool.step)
            if self.ranks.leads:
                write_pool(pool, self.folder, done=done)
            parts = {RANDOM: self.random.state(), PART: self.memory.state()}
            parts |= {name: model.state() for name, model in self.models.items()}
            self._now = RunState(pool.step, self.policies.snapshot(), parts)
            self._save(self._now)
        self.trials.step = pool.step + 1
        self._begin = time.perf_counter()
        # All processes of the run stop at the same point.
        self.ranks.together(self.check)
        return done

    def _record(self, pool: Pool, *, test: bool) -> None:
        winner = pool.candidates[pool.best]
        record: dict[str, float] = {"step": pool.step}
        self._validation = self._held_out("val", winner)
        record |= self._validation
        if test and self.tasks["test"]:
            record |= self._held_out("test", winner)
        if pool.train_scores:
            record["train/success_rate"] = sum(pool.train_scores) / len(pool.train_scores)
        record |= {"prompt/candidates": len(pool.candidates), "prompt/episodes": pool.episodes}
        record["time/step"] = time.perf_counter() - self._begin
        played, self.trials.played = self.trials.played, {}
        if self.ranks.leads:
            for split, episodes in played.items():
                write_samples(self.folder / "samples", split, pool.step, episodes, [])
            self.loggers.log(record)

    def _held_out(self, split: Split, candidate: Candidate) -> dict[str, float]:
        return self.trials.outcomes([Trial(candidate, self.tasks[split])])[0].metrics

    def _save(self, state: RunState) -> None:
        own = self.ranks.together(state.of_process)
        self._saved = state.step
        if self.ranks.leads:
            self.events.write("phase", step=state.step, phase="checkpoint", done=0, total=1)
            metrics = {name: value for name, value in self._validation.items() if name.startswith("val/")}
            self.saver.save(Checkpoint(state, own, metrics))
