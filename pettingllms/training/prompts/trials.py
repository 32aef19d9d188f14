"""Candidates tried on tasks: many teams at once, by plain sampling, with what can be learned from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple

from pettingllms.config.agents import AgentPolicyConfigs
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.seeds import derive
from pettingllms.rollout.team import Team
from pettingllms.training.batch import refuse_without_rewards
from pettingllms.training.prompts.memory import Memory
from pettingllms.training.prompts.records import records_of
from pettingllms.training.prompts.texts import Candidate, PromptTexts, component
from pettingllms.training.ranks import Ranks
from pettingllms.training.records import episode_metrics
from pettingllms.types import Episode, Split, Task


class Trial(NamedTuple):
    """Texts, and tasks of one split that a team with these texts plays."""

    candidate: Candidate
    tasks: Sequence[Task]

    @property
    def split(self) -> Split:
        """The split of all its tasks."""
        return self.tasks[0].split


class Outcome(NamedTuple):
    """How a trial went. `scores`: of each task. `metrics`: of all its episodes together.

    `episodes`: those of each task; None where only the rest was remembered.
    """

    scores: list[float]
    metrics: dict[str, float]
    episodes: list[list[Episode]] | None


@dataclass(slots=True)
class PromptTrials:
    """Plays candidates with the rollout of the run.

    The score of a task is the share of its episodes that the team solves, which is what validation measures.
    All splits are played as validation is: agents use their evaluation sampling, nothing branches, and a
    task has the same seeds whoever plays it, so that candidates differ by their texts alone. An episode that
    the machinery around an environment fails counts as not solved, as in validation, and is told of.

    `make_team`: the team of these agents. `settings`: of evaluation. `repeats`: episodes per task of
    validation and test. `on_progress`: is told the split, the turns that are done, and all of them.
    `max_failed_share`: of the actions of a trial. `step`: which one is under way. `played`: episodes by
    split, since somebody took them last.
    """

    texts: PromptTexts
    make_team: Callable[[AgentPolicyConfigs], Team]
    rollout: Rollout
    ranks: Ranks
    memory: Memory
    settings: RolloutSettings
    repeats: int
    seed: int
    on_progress: Callable[[Split, int, int], None]
    said: Callable[[str], None]
    max_failed_share: float = 1.0
    step: int = 0
    played: dict[Split, list[Episode]] = field(default_factory=dict)

    def outcomes(self, trials: Sequence[Trial]) -> list[Outcome]:
        """How each trial goes; those that nothing is known of are played as one batch.

        Their tasks must be of one split. Raises RolloutError where an agent, an environment or the engine
        fails, or nothing could be carried out.
        """
        found: dict[int, Outcome] = {}
        for number, trial in enumerate(trials):
            if (known := self.memory.known(self._question(trial))) is not None:
                found[number] = Outcome(known["scores"], known["metrics"], None)
        new = [number for number in range(len(trials)) if number not in found]
        for number, episodes in zip(new, self._play([trials[one] for one in new]), strict=True):
            found[number] = outcome = self._judged(trials[number].split, episodes)
            kept = {"scores": outcome.scores, "metrics": outcome.metrics}
            self.memory.keep(self._question(trials[number]), kept)
        return [found[number] for number in range(len(trials))]

    def episodes_of(self, trial: Trial) -> int:
        """How many episodes it takes."""
        return len(trial.tasks) * self._repeats(trial.split)

    def records(self, name: str, candidate: Candidate, episodes: Sequence[Episode]) -> list[dict[str, Any]]:
        """What reflection reads of the component `name`: the turns of its agent, episode by episode."""
        agents = {one.name: one for one in self.texts.team(candidate).agent_configs.values()}
        agent = agents[component(name)[0]]
        frame = self.texts.tokenizers[agent.name].decode(self.texts.without_task(agent))
        return [record for one in episodes for record in records_of(one, agent.name, frame)]

    def _question(self, trial: Trial) -> dict[str, Any]:
        """What decides how a trial goes.

        The step is part of it for training tasks: their episodes are reflected on, and only scores are
        remembered.
        """
        step = {"step": self.step} if trial.split == "train" else {}
        tasks = [task.id for task in trial.tasks]
        return {"texts": trial.candidate, "split": trial.split, "tasks": tasks, **step}

    def _repeats(self, split: Split) -> int:
        return 1 if split == "train" else self.repeats

    def _judged(self, split: Split, episodes: list[list[Episode]]) -> Outcome:
        flat = [one for own in episodes for one in own]
        refuse_without_rewards(f"a trial of prompts ({split})", flat, self.max_failed_share)
        failed = sum(bool(one.metrics["failed_generations"] or one.metrics["failed_actions"]) for one in flat)
        if failed:
            self.said(f"{failed} of {len(flat)} episodes of {split} failed through no fault of the agents")
        scores = [fmean(one.success for one in own) for own in episodes]
        return Outcome(scores, episode_metrics(split, flat), episodes)

    def _play(self, trials: Sequence[Trial]) -> list[list[list[Episode]]]:
        """The episodes of each task of each trial; each process of the run plays its share."""
        if not trials:
            return []
        split, repeats = trials[0].split, self._repeats(trials[0].split)
        teams = [self.make_team(self.texts.team(trial.candidate)) for trial in trials]
        plays = [
            (number, place, task)
            for number, trial in enumerate(trials)
            for place, task in enumerate(task for task in trial.tasks for _ in range(repeats))
        ]
        own = self.ranks.share(plays)
        casts = [
            (team, [(place, task) for cast, place, task in own if cast == number])
            for number, team in enumerate(teams)
        ]
        settings = replace(self.settings, seed=derive(self.seed, split, 0, 0))

        def share() -> list[list[Episode]]:
            # A search that goes on from a checkpoint meets the same cache as one that never stopped.
            self.rollout.engine.forget_prompts()
            return self.rollout.play_casts(
                casts, settings, lambda done, total: self.on_progress(split, done, total)
            )

        shares = self.ranks.together(share)
        found = []
        for number, trial in enumerate(trials):
            episodes = sorted((one for part in shares for one in part[number]), key=lambda one: one.place)
            self.played.setdefault(split, []).extend(episodes)
            begins = range(0, len(trial.tasks) * repeats, repeats)
            found.append([episodes[begin : begin + repeats] for begin in begins])
        return found
