"""The training loop: roll out, update, send the weights, validate, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pettingllms.advantages import ADVANTAGES
from pettingllms.advantages.grouping import Group, agent_turn_groups
from pettingllms.config.training import TrainingConfig
from pettingllms.errors import Interrupted
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.seeds import derive
from pettingllms.rollout.tree import TreeRollout, TreeSettings
from pettingllms.training.checkpoint import checkpoint_root, save_checkpoint
from pettingllms.training.events import EventStream
from pettingllms.training.policies import Policies
from pettingllms.training.records import episode_metrics, rollout_metrics, sampled_tokens, write_samples
from pettingllms.training.tasks import TaskSchedule
from pettingllms.training.update import accumulate_gradients, apply_gradients
from pettingllms.types import Episode, Split, Task


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """One run of one trial. `held_out`: tasks of the validation and test split."""

    training: TrainingConfig
    resolve: bool
    batched_init: bool
    schedule: TaskSchedule
    held_out: dict[Split, Sequence[Task]]
    rollout: TreeRollout
    policies: Policies
    loggers: Fanout
    events: EventStream
    folder: Path
    check: Callable[[], None]

    def run(self) -> None:
        """Validate, train `total_training_steps` steps, test; a stop request leaves a checkpoint."""
        total = self.training.total_training_steps
        done = 0
        try:
            self.loggers.log({"step": 0, **self._evaluate("val", 0), **self._evaluate("test", 0)})
            for step in range(1, total + 1):
                record = self._step(step)
                done = step
                if step % self.training.val_freq == 0 or step == total:
                    record |= self._evaluate("val", step)
                if step == total:
                    record |= self._evaluate("test", step)
                self.loggers.log({"step": step, **record})
                if step == total or (self.training.save_freq and step % self.training.save_freq == 0):
                    self._save(step)
        except Interrupted:
            self._save(done)
            raise

    def _step(self, step: int) -> dict[str, float]:
        """One training step; a stop request before its end leaves all policies as they were."""
        clock = _Clock()
        episodes = self._play("train", step, self.schedule.batch(step))
        clock.lap("rollout")
        plans = self.policies.plans
        estimators = {name: ADVANTAGES.load(plan.algorithm.adv_estimator) for name, plan in plans.items()}
        groups = agent_turn_groups(episodes, estimators)
        write_samples(self.folder / "samples", "train", step, episodes, groups)
        record = episode_metrics("train", episodes) | rollout_metrics(episodes, groups)
        measured = self._update(step, groups)
        record |= {f"train/{key}/{policy}": value for (key, policy), value in measured.items()}
        clock.lap("train")
        self._send({policy for key, policy in measured if key == "grad_norm"}, step)
        clock.lap("sync")
        record["perf/rollout_tokens_per_second"] = sampled_tokens(episodes) / clock.laps["rollout"]
        return record | clock.record()

    def _update(self, step: int, groups: Sequence[Group]) -> dict[tuple[str, str], float]:
        """Gradients of every policy first, then all optimizer steps, so that a stop tears none apart.

        A policy whose groups are all flat has no gradient and takes no step. Returns what was measured
        by (metric, policy).
        """
        members = {member.name: member for member in self.rollout.team.members if member.trained}
        temperatures = {name: member.train.temperature for name, member in members.items()}
        trained = [group for group in groups if group.key.agent in members]
        by_policy = {
            policy: [group for group in trained if group.policy == policy]
            for policy in self.policies.plans
            if any(group.policy == policy for group in trained)
        }
        measured: dict[tuple[str, str], float] = {}
        stepping = []
        for number, (policy, own) in enumerate(by_policy.items()):
            self.events.write("phase", step=step, phase="train", done=number, total=len(by_policy))
            result = accumulate_gradients(self.policies, policy, own, temperatures, self.check)
            measured |= {(key, policy): value for key, value in result.metrics().items()}
            if result.scored_tokens:
                stepping.append(policy)
        for policy in stepping:
            measured["grad_norm", policy] = apply_gradients(self.policies, policy)
        return measured

    def _send(self, policies: set[str], step: int) -> None:
        """Hand the new adapters to the engine."""
        self.events.write("phase", step=step, phase="sync", done=0, total=1)
        for policy in sorted(policies):
            version = self.policies.versions[policy]
            target = self.folder / "engine" / f"{list(self.policies.plans).index(policy)}-{version}"
            self.policies.export(policy, target)
            self.rollout.engine.load_policy(policy, version, target)

    def _evaluate(self, split: Split, step: int) -> dict[str, float]:
        """Success and rewards on a held-out split, by plain sampling; empty when the split is."""
        tasks = self.held_out[split]
        if not tasks:
            return {}
        begin = time.perf_counter()
        repeated = [task for task in tasks for _ in range(self.training.validate_sample_num)]
        episodes = self._play(split, step, repeated)
        write_samples(self.folder / "samples", split, step, episodes, [])
        return episode_metrics(split, episodes) | {f"time/{split}": time.perf_counter() - begin}

    def _play(self, split: Split, step: int, tasks: Sequence[Task]) -> list[Episode]:
        training = split == "train"
        settings = TreeSettings(
            candidates=self.training.train_sample_num if training else 1,
            reward_alpha=self.training.reward_alpha,
            greedy=self.training.if_greedy,
            resolve=self.resolve,
            together=self.batched_init,
            evaluation=not training,
            seed=derive(self.training.seed, split, step),
        )
        phase = "rollout" if training else split

        def on_turn(done: int, total: int) -> None:
            self.events.write("phase", step=step, phase=phase, done=done, total=total)
            self.check()

        on_turn(0, self.rollout.team.max_turns)
        return self.rollout.play(tasks, settings, on_turn)

    def _save(self, step: int) -> None:
        self.events.write("phase", step=step, phase="checkpoint", done=0, total=1)
        root = checkpoint_root(self.folder, self.training.model_checkpoints_dir)
        saved = save_checkpoint(self.policies, step, root, self.training.keep_checkpoints)
        self.events.write("checkpoint", path=str(saved))


class _Clock:
    """Seconds of a step, lap by lap."""

    def __init__(self) -> None:
        self._begin = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now

    def record(self) -> dict[str, float]:
        whole = {"time/step": self._last - self._begin}
        return whole | {f"time/{name}": seconds for name, seconds in self.laps.items()}
