"""The search for better prompts as a run: step by step, with records, checkpoints and a winner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import Interrupted, RefusedError
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.seeds import derive
from pettingllms.training.checkpoint import checkpoint_root
from pettingllms.training.events import EventStream
from pettingllms.training.prompt_checkpoint import load_search, save_search
from pettingllms.training.prompt_gepa import Pool, search
from pettingllms.training.prompt_memory import Memory
from pettingllms.training.prompt_pool import write_pool
from pettingllms.training.prompt_texts import Candidate
from pettingllms.training.prompt_trials import PromptTrials, Trial
from pettingllms.training.ranks import Ranks
from pettingllms.training.records import write_samples
from pettingllms.training.reflection import Reflection
from pettingllms.types import Split, Task


@dataclass(slots=True)
class PromptSearch:
    """One run of a trial with `specialization = "prompt"`, on one of its ranks.

    A step is a step of `prompt_gepa`: `training.prompt.proposals` reflections and what comes of them. It
    ends when `total_training_steps` are done, `max_episodes` were played, or a candidate solves all of
    validation. `tasks`: of every split; those of training are reflected on, those of validation decide, those
    of test are played with the first candidate and with the winner. `begin`: the checkpoint to go on from.
    `trial`: the experiment as TOML, for checkpoints.
    """

    training: TrainingConfig
    tasks: dict[Split, Sequence[Task]]
    start: Candidate
    trials: PromptTrials
    reflection: Reflection
    memory: Memory
    begin: Path | None
    trial: str
    ranks: Ranks
    loggers: Fanout
    events: EventStream
    folder: Path
    check: Callable[[], None]
    _begin: float = field(default=0.0, init=False)
    _saved: int | None = field(default=None, init=False)
    _validation: dict[str, float] = field(default_factory=dict, init=False)
    """That of the best candidate after the last whole step."""

    def run(self) -> None:
        """Search, or go on from a checkpoint; a stop request leaves one of the last whole step."""
        if not self.tasks["val"]:
            raise RefusedError(
                "a search for prompts needs validation tasks: they decide which prompts are better",
                help="set env.benchmark, or give the validation split a size in env.options",
            )
        if self.begin is not None:
            load_search(self.begin, self.memory)
            self._saved = self.memory.step
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
        except Interrupted:
            if self.memory.step >= 0 and self._saved != self.memory.step:
                self._save()
            raise

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
            self._save()
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

    def _save(self) -> None:
        if not self.ranks.leads:
            return
        self.events.write("phase", step=self.memory.step, phase="checkpoint", done=0, total=1)
        root = checkpoint_root(self.folder, self.training.model_checkpoints_dir)
        keep = self.training.keep_checkpoints
        saved = save_search(self.memory, self._validation, self.trial, root, keep)
        self._saved = self.memory.step
        self.events.write("checkpoint", path=str(saved))
