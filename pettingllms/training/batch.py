"""What a step trains on: its episodes as groups with advantages, refilled and filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from pettingllms.advantages import estimator_of
from pettingllms.advantages.filtering import filtered, informative_places
from pettingllms.advantages.gae import credit_tokens
from pettingllms.advantages.grouping import check_groups, credit, groups_of
from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import RolloutError
from pettingllms.training.tasks import TaskSchedule
from pettingllms.types import Episode, Group, Task

Distances = dict[str, list[float]]
"""By policy whose reward has a KL penalty: how far each of its sequences is from the reference, per token."""
Play = Callable[[Sequence[tuple[int, Task]], int], tuple[list[Episode], Distances]]
"""Plays tasks under their places, at an attempt from 0: episodes of all ranks in the order of places."""

VERSION_LAG = 0
"""Updates that may lie between the weights that sampled and those that are trained: rollout and update take
turns."""


@dataclass(frozen=True, slots=True)
class StepBatch:
    """All episodes of a step, and the groups that it trains on, filtered.

    `played`: places of all tasks that were played.
    """

    episodes: list[Episode]
    groups: list[Group]
    played: Set[int]
    distances: Distances

    def of_policy(self, policy: str) -> list[Group]:
        """The groups of one policy."""
        return [group for group in self.groups if group.policy == policy]


def step_batch(
    schedule: TaskSchedule,
    step: int,
    play: Play,
    plans: Mapping[str, PolicyPlan],
    versions: Mapping[str, int],
    *,
    trained: Set[str],
    tree: bool,
    max_failed_share: float = 1.0,
) -> StepBatch:
    """Play the tasks of `step`, and others in place of those that teach nothing where `dapo` asks for it.

    `trained`: names of the agents that are trained. `max_failed_share`: of actions without a reward. Raises
    RolloutError when more fail, and InvariantError when what was sampled cannot be what is trained.
    """
    size = schedule.batch_size
    episodes, distances = play(list(enumerate(schedule.batch(step))), 0)
    groups = groups_of(episodes, plans, trained)
    refilling = {name: plan for name, plan in plans.items() if plan.filter_method == "dapo"}
    if refilling:
        limit = max(plan.algorithm.filter_groups.max_num_gen_batches for plan in refilling.values())
        for attempt in range(1, limit):
            if len(informative_places(groups, refilling)) >= size:
                break
            more = schedule.more(step, attempt)
            if not more:
                break
            played, further = play(
                [(attempt * size + place, task) for place, task in enumerate(more)], attempt
            )
            episodes += played
            groups += groups_of(played, plans, trained)
            distances = {policy: values + further[policy] for policy, values in distances.items()}
        groups = _first_informative(groups, informative_places(groups, refilling), size)
    refuse_without_rewards(f"step {step}", episodes, max_failed_share)
    check_groups(groups, versions, lag=VERSION_LAG, one_prompt=tree)
    kept = []
    for name, plan in plans.items():
        own = [group for group in groups if group.policy == name]
        kept += filtered(_credited(own, plan), plan.filter_method, plan.filter_ratio)
    return StepBatch(episodes, kept, {episode.place for episode in episodes}, distances)


def _credited(groups: Sequence[Group], plan: PolicyPlan) -> list[Group]:
    """The groups of a policy with their advantages: by what its critic expected, or by comparison."""
    if plan.critic is None:
        return credit(groups, estimator_of(plan.algorithm))
    return credit_tokens(groups, gamma=plan.algorithm.gamma, lam=plan.algorithm.lam)


def refuse_without_rewards(what: str, episodes: Sequence[Episode], most: float = 1.0) -> None:
    """Raise RolloutError where no action of `what` has a reward, or more than the share `most` has none.

    Fewer failures cost their samples; beyond that, going on would only hide the reason.
    """
    samples = [sample for one in episodes for turn in one.turns for sample in turn.samples]
    failed = Counter(
        str(one.error or one.completion.error or one.masked) for one in samples if one.reward is None
    )
    failed.update(one.error for one in episodes if one.error is not None)
    rewarded = sum(sample.reward is not None for sample in samples)
    every = rewarded + failed.total()
    if rewarded and failed.total() <= most * every:
        return
    why = "; ".join(f"{reason} ({count} times)" for reason, count in failed.most_common(3))
    logs = "log.txt and engine.log of the run folder say more"
    if not rewarded:
        raise RolloutError(
            f"no action of {what} could be carried out: {why or 'all turns were skipped'}", help=logs
        )
    raise RolloutError(
        f"{failed.total()} of {every} actions of {what} could not be carried out, which is more than "
        f"training.max_failed_share = {most:g}: {why}",
        help=logs,
    )


def _first_informative(groups: Sequence[Group], informative: Set[int], size: int) -> list[Group]:
    """The groups of `size` tasks: informative ones first, in the order in which they were played."""
    places = sorted({group.place for group in groups}, key=lambda place: (place not in informative, place))
    taken = set(places[:size])
    return [group for group in groups if group.place in taken]
