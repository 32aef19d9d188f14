"""The training loop: roll out, update, send the weights, validate, save."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch

from pettingllms.config.homes import PolicyPlan
from pettingllms.config.training import TrainingConfig
from pettingllms.config.turns import whose_turn
from pettingllms.errors import Interrupted
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.seeds import derive
from pettingllms.training.batch import Distances, StepBatch, refuse_without_rewards, step_batch
from pettingllms.training.checkpoint import checkpoint_root, save_checkpoint
from pettingllms.training.critic import Critic
from pettingllms.training.critic_update import CriticUpdate
from pettingllms.training.events import EventStream
from pettingllms.training.memory import Room
from pettingllms.training.nonfinite import NonFinite
from pettingllms.training.penalties import KlControl, penalised
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.records import (
    EpochMeans,
    episode_metrics,
    rollout_metrics,
    sampled_tokens,
    write_samples,
)
from pettingllms.training.tasks import TaskSchedule
from pettingllms.training.token_update import UpdateResult
from pettingllms.training.update import Update
from pettingllms.training.valuation import valued
from pettingllms.types import Episode, Split, Task


@dataclass(slots=True)
class TrainingLoop:
    """One run of one trial, on one of its ranks.

    `held_out`: tasks of the validation and test split. `controls`: the KL weights of the policies whose
    rewards hold one. `critics`: of the policies that have one. `shares_device`: the engine sleeps while
    policies are updated.
    """

    training: TrainingConfig
    resolve: bool
    batched_init: bool
    schedule: TaskSchedule
    held_out: dict[Split, Sequence[Task]]
    rollout: Rollout
    policies: Policies
    ranks: Ranks
    controls: dict[str, KlControl]
    critics: dict[str, Critic]
    loggers: Fanout
    events: EventStream
    folder: Path
    shares_device: bool
    check: Callable[[], None]
    nonfinite: NonFinite = field(default_factory=NonFinite)
    room: Room = field(init=False)
    """What fits into the memory of this rank."""
    _epoch: EpochMeans = field(default_factory=EpochMeans)
    _saved: int | None = None
    """The step of the newest checkpoint."""

    def __post_init__(self) -> None:
        self.room = Room(self.events.warning)

    def run(self) -> None:
        """Validate, train `total_training_steps` steps, test; a stop request leaves a checkpoint."""
        total = self.training.total_training_steps
        done = 0
        try:
            # The engine starts from the base model: a policy that starts from an adapter is sent before all.
            self._send([name for name, plan in self._used().items() if plan.adapter_path is not None], 0)
            self._log({"step": 0, **self._evaluate("val", 0), **self._evaluate("test", 0)})
            for step in range(1, total + 1):
                record = self._step(step)
                done = step
                if step % self.training.val_freq == 0 or step == total:
                    record |= self._evaluate("val", step)
                if step == total:
                    record |= self._evaluate("test", step)
                self._epoch.add(record)
                if ends := self.schedule.ends_epoch(step):
                    record |= self._epoch.close(self.schedule.epoch(step))
                self._log({"step": step, **record})
                every = self.training.save_freq
                if step == total or ends or (every and step % every == 0):
                    self._save(step)
        except Interrupted:
            if self._saved != done:
                self._save(done)
            raise

    def _step(self, step: int) -> dict[str, float]:
        """One training step; a stop request before its end leaves all policies as they were."""
        before = self.policies.snapshot()
        critics = {policy: critic.state() for policy, critic in self.critics.items()}
        coefs = {policy: control.coef for policy, control in self.controls.items()}
        try:
            return self._trained(step)
        except Interrupted:
            self.policies.restore(before)
            for policy, coef in coefs.items():
                self.controls[policy].coef = coef
            for policy, state in critics.items():
                self.critics[policy].load_state(*state)
            raise

    def _trained(self, step: int) -> dict[str, float]:
        clock = _Clock()
        batch = self._batch(step)
        clock.lap("rollout")
        if self.ranks.leads:
            write_samples(self.folder / "samples", "train", step, batch.episodes, batch.groups)
        record = episode_metrics("train", batch.episodes)
        record |= rollout_metrics(batch.episodes, batch.groups, batch.played)
        for policy, distances in batch.distances.items():
            self.controls[policy].follow(distances)
            if distances:
                record[f"train/kl_reward/{policy}"] = fmean(distances)
                record[f"train/kl_coef/{policy}"] = self.controls[policy].coef
        with self._device_to_itself():
            measured, results = self._update(step, batch)
        record |= measured
        clock.lap("train")
        self._send([policy for policy, result in results.items() if result.steps], step)
        clock.lap("sync")
        self.nonfinite.follow(step, results)
        record["perf/rollout_tokens_per_second"] = sampled_tokens(batch.episodes) / clock.laps["rollout"]
        return record | clock.record()

    @contextmanager
    def _device_to_itself(self) -> Iterator[None]:
        """The engine sleeps inside the block, where it shares its device with the trainer."""
        if not self.shares_device:
            yield
            return
        self.ranks.together(self.rollout.engine.sleep)
        yield
        # What the trainer's allocator keeps for later is what the engine needs now.
        torch.cuda.empty_cache()
        self.ranks.together(self.rollout.engine.wake)

    def _used(self) -> dict[str, PolicyPlan]:
        """The policies that agents sample from, which are all that the engine serves."""
        used = {member.policy for member in self.rollout.team.members}
        return {name: plan for name, plan in self.policies.plans.items() if name in used}

    def _batch(self, step: int) -> StepBatch:
        """Play the tasks of `step`, and more where a policy refills its batch; for those whose turn it is."""
        members = [member for member in self.rollout.team.members if member.trained]
        trained = {member.policy for member in members}
        taking_part = [name for name in self.policies.plans if name in trained]
        turn = whose_turn(taking_part, step, self.training.alternate_every)
        agents = {member.name for member in members if member.policy in turn}
        controls = {name: control for name, control in self.controls.items() if name in turn}
        critics = {name: critic for name, critic in self.critics.items() if name in turn}

        def scores(played: Sequence[Episode]) -> tuple[list[Episode], Distances]:
            judged = valued(played, critics, agents, self.check, self.room)
            return penalised(judged, self.policies, controls, self.check, self.room)

        def play(tasks: Sequence[tuple[int, Task]], attempt: int) -> tuple[list[Episode], Distances]:
            own = self.ranks.share(tasks)
            shares = self.ranks.together(lambda: self._play("train", step, own, attempt))
            scored: list[tuple[list[Episode], Distances]] = [(share, {}) for share in shares]
            # Penalties and values need the trainer's models; each rank looks at its own episodes.
            overlong = any(plan.algorithm.overlong_penalty for plan in self._used().values())
            if controls or critics or overlong:
                played = shares[self.ranks.rank]
                with self._device_to_itself():
                    scored = self.ranks.together(lambda: scores(played))
            episodes = [episode for share, _ in scored for episode in share]
            episodes.sort(key=lambda episode: (episode.place, episode.branch))
            return episodes, {
                policy: [value for _, share in scored for value in share[policy]] for policy in controls
            }

        return step_batch(
            self.schedule,
            step,
            play,
            {name: plan for name, plan in self.policies.plans.items() if name in turn},
            self.policies.versions,
            trained=agents,
            tree=self.training.rollout_mode == "tree",
            max_failed_share=self.training.max_failed_share,
        )

    def _update(self, step: int, batch: StepBatch) -> tuple[dict[str, float], dict[str, UpdateResult]]:
        """Update every policy that has groups, after its critic; one without gradient takes no step.

        Returns what was measured by metric and policy, and how the updates of policies went.
        """
        own = {name: batch.of_policy(name) for name in self.policies.plans}
        own = {name: groups for name, groups in own.items() if groups}
        seed = derive(self.training.seed, "update", step)
        measured: dict[str, float] = {}
        results: dict[str, UpdateResult] = {}
        for number, (policy, groups) in enumerate(own.items()):
            self.events.write("phase", step=step, phase="train", done=number, total=len(own))
            if critic := self.critics.get(policy):
                judged = CriticUpdate(
                    critic, groups, self.ranks, seed=seed, check=self.check, room=self.room
                ).run()
                measured |= {f"train/{key}/{policy}": value for key, value in judged.metrics.items()}
                self._tell_left_out(f"the critic of policy {policy!r}", step, judged)
                if step <= critic.settings.warmup:
                    continue
            result = results[policy] = Update(
                self.policies, policy, groups, self.ranks, seed=seed, check=self.check, room=self.room
            ).run()
            measured |= {f"train/{key}/{policy}": value for key, value in result.metrics.items()}
            self._tell_left_out(f"policy {policy!r}", step, result)
        return measured, results

    def _tell_left_out(self, whose: str, step: int, result: UpdateResult) -> None:
        if result.nonfinite:
            self.events.warning(
                f"{whose}: in step {step} its loss or gradient is no number, "
                f"{result.nonfinite} of its optimizer steps were left out"
            )
        elif result.left_out and not result.steps:
            self.events.warning(
                f"{whose} was not updated in step {step}: its gradient is above grad_norm_threshold"
            )

    def _send(self, policies: Sequence[str], step: int) -> None:
        """Hand the new adapters to the engine; each rank writes for its own, whose disk it may not share.

        The newest of each policy stays on the disk, as an engine may read it again; older ones go.
        """
        self.events.write("phase", step=step, phase="sync", done=0, total=1)

        def hand_over() -> None:
            for policy in policies:
                version = self.policies.versions[policy]
                number = list(self.policies.plans).index(policy)
                root = self.folder / "engine" / f"rank{self.ranks.rank}-policy{number}"
                target = root / str(version)
                self.policies.export(policy, target)
                self.rollout.engine.load_policy(policy, version, target)
                for older in root.iterdir():
                    if older != target:
                        shutil.rmtree(older)

        self.ranks.together(hand_over)

    def _evaluate(self, split: Split, step: int) -> dict[str, float]:
        """Success and rewards on a held-out split, by plain sampling; empty when the split is."""
        tasks = self.held_out[split]
        if not tasks:
            return {}
        begin = time.perf_counter()
        repeated = [task for task in tasks for _ in range(self.training.validate_sample_num)]
        own = self.ranks.share(list(enumerate(repeated)))
        shares = self.ranks.together(lambda: self._play(split, step, own, 0))
        episodes = sorted((one for share in shares for one in share), key=lambda one: one.place)
        refuse_without_rewards(f"{split} at step {step}", episodes, self.training.max_failed_share)
        if self.ranks.leads:
            write_samples(self.folder / "samples", split, step, episodes, [])
        return episode_metrics(split, episodes) | {f"time/{split}": time.perf_counter() - begin}

    def _play(
        self, split: Split, step: int, tasks: Sequence[tuple[int, Task]], attempt: int
    ) -> list[Episode]:
        training = split == "train"
        settings = RolloutSettings(
            mode=self.training.rollout_mode if training else "independent",
            candidates=self.training.train_sample_num if training else 1,
            reward_alpha=self.training.reward_alpha,
            greedy=self.training.if_greedy,
            resolve=self.resolve,
            together=self.batched_init,
            evaluation=not training,
            seed=derive(self.training.seed, split, step, attempt),
        )
        phase = "rollout" if training else split

        def on_progress(done: int, total: int) -> None:
            self.events.write("phase", step=step, phase=phase, done=done, total=total)
            self.check()

        return self.rollout.play(tasks, settings, on_progress)

    def _log(self, record: dict[str, float]) -> None:
        if self.ranks.leads:
            self.loggers.log(record)

    def _save(self, step: int) -> None:
        if not self.ranks.leads:
            return
        self.events.write("phase", step=step, phase="checkpoint", done=0, total=1)
        root = checkpoint_root(self.folder, self.training.model_checkpoints_dir)
        coefs = {policy: control.coef for policy, control in self.controls.items()}
        saved = save_checkpoint(self.policies, coefs, step, root, self.training.keep_checkpoints)
        self._saved = step
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
