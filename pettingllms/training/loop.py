"""The training loop: roll out, update, send the weights, validate, save; from the start or a checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from pettingllms.training.checkpoint import Checkpoint, load_checkpoint
from pettingllms.training.clock import Clock
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
from pettingllms.training.saving import CheckpointSaver
from pettingllms.training.state import Part, RunState
from pettingllms.training.tasks import TaskSchedule
from pettingllms.training.token_update import UpdateResult
from pettingllms.training.update import Update
from pettingllms.training.valuation import valued
from pettingllms.types import Episode, Split, Task


@dataclass(slots=True)
class TrainingLoop:
    """One run of one trial, on one of its ranks.

    `held_out`: tasks of the validation and test split. `controls`: the KL weights of the policies whose
    rewards hold one. `critics`: of the policies that have one. `epoch`: the means of the current epoch.
    `nonfinite`, `room`: how often updates were no numbers, and what fits into the memory of this rank.
    `parts`: all that changes beside the policies, these among it. `begin`: the checkpoint to go on from, as
    the leading process knows it. `shares_device`: the engine sleeps while policies are updated.
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
    epoch: EpochMeans
    nonfinite: NonFinite
    room: Room
    parts: dict[str, Part]
    saver: CheckpointSaver
    begin: Path | None
    loggers: Fanout
    events: EventStream
    folder: Path
    shares_device: bool
    check: Callable[[], None]
    _now: RunState | None = None
    """The run after its newest whole step: what a step that is broken off goes back to."""
    _measured: dict[str, float] | None = None
    """The validation of that step, empty where there was none."""
    _saved: int | None = None
    """The step of the newest checkpoint."""

    def run(self) -> None:
        """Validate, train up to `total_training_steps`, test; a stop request leaves a checkpoint.

        From a checkpoint it does what comes after that, with the results of a run that was never stopped.
        """
        try:
            for step in range(self._start() + 1, self.training.total_training_steps + 1):
                self.saver.check()
                self._step(step)
            self.saver.wait()
        except Interrupted:
            if self._now is not None and self._saved != self._now.step:
                self._save(self._now, self._measured or {})
            self.saver.wait()
            raise
        finally:
            self.saver.close()

    def _start(self) -> int:
        """Be where the checkpoint is, or validate what there is before the first step; returns the step."""
        begin, *_ = self.ranks.together(lambda: self.begin)
        step = 0
        if begin is not None:
            step = self._saved = load_checkpoint(begin, self.policies, self.parts, self.ranks.rank)
        # The engine starts from the base model: a policy that is no longer that is sent before all.
        changed = [
            name
            for name, plan in self._used().items()
            if self.policies.versions[name] or plan.adapter_path is not None
        ]
        self._send(changed, step)
        if begin is None:
            self._measured = self._evaluate("val", 0)
            self._log({"step": 0, **self._measured, **self._evaluate("test", 0)})
        self._now = self._state_after(step)
        return step

    def _step(self, step: int) -> None:
        """One training step with its validation, and its checkpoint where one is due.

        A stop request before it is recorded leaves everything as it was before the step.
        """
        before, last = self._now, step == self.training.total_training_steps
        try:
            record = self._trained(step)
            validated = step % self.training.val_freq == 0 or last
            measured = self._evaluate("val", step) if validated else {}
            tested = self._evaluate("test", step) if last else {}
        except Interrupted:
            self._go_back(before)
            raise
        self.epoch.add(record)
        if ends := self.schedule.ends_epoch(step):
            tested |= self.epoch.close(self.schedule.epoch(step))
        self._log({"step": step, **record, **measured, **tested})
        self._now, self._measured = self._state_after(step), measured
        every = self.training.save_freq
        if last or ends or (every and step % every == 0):
            self._save(self._now, measured)

    def _state_after(self, step: int) -> RunState:
        parts = {name: part.state() for name, part in self.parts.items()}
        return RunState(step, self.policies.snapshot(), parts)

    def _go_back(self, state: RunState | None) -> None:
        if state is not None:
            self.policies.restore(state.policies)
            for name, part in self.parts.items():
                part.load_state(*state.parts[name])

    def _trained(self, step: int) -> dict[str, float]:
        clock = Clock()
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
        if attempt == 0:
            # So that a run that goes on from a checkpoint meets the cache of one that was never stopped.
            self.rollout.engine.forget_prompts()
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

    def _save(self, state: RunState, validation: dict[str, float]) -> None:
        """Hand `state` to whoever writes it; nothing is copied, as it is a copy that nobody changes."""
        own = self.ranks.together(state.of_process)
        self._saved = state.step
        if self.ranks.leads:
            self.events.write("phase", step=state.step, phase="checkpoint", done=0, total=1)
            # Seconds are no result: two runs of one seed write the same checkpoints.
            metrics = {name: value for name, value in validation.items() if name.startswith("val/")}
            self.saver.save(Checkpoint(state, own, metrics))
