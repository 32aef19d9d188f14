"""Which samples share a baseline, and the advantages that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pettingllms.advantages import Estimator
from pettingllms.types import Episode, GroupKey, Sample, Turn


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one prompt that share a baseline."""

    key: GroupKey
    policy: str
    prompt_ids: tuple[int, ...]
    samples: tuple[Sample, ...]

    @property
    def flat(self) -> bool:
        """True when all rewards are equal: nothing can be learned from the group."""
        totals = [sample.reward.total for sample in self.samples]
        return max(totals) == min(totals)


def agent_turn_groups(episodes: Iterable[Episode], estimators: Mapping[str, Estimator]) -> list[Group]:
    """One group per turn of each episode, its samples carrying the advantages of its policy's estimator.

    In `tree` mode the K candidates of a turn are the samples of one (task, turn, agent), and all of
    them saw the same prompt.
    """
    return [
        _group(episode.task.id, turn, estimators[turn.policy])
        for episode in episodes
        for turn in episode.turns
    ]


def _group(task: str, turn: Turn, estimator: Estimator) -> Group:
    advantages = estimator([sample.reward.total for sample in turn.samples])
    samples = tuple(
        replace(sample, advantage=advantage)
        for sample, advantage in zip(turn.samples, advantages, strict=True)
    )
    return Group(GroupKey(task, turn.index, turn.agent), turn.policy, turn.prompt_ids, samples)
