"""What critics expect of the samples of a rollout, before any of them is trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from math import isfinite

import torch

from pettingllms.errors import RolloutError
from pettingllms.training.batching import build_batch, micro_batches, rows
from pettingllms.training.critic import Critic
from pettingllms.training.memory import Room, fitting
from pettingllms.types import Episode, Scored, Turn


def valued(
    episodes: Sequence[Episode],
    critics: Mapping[str, Critic],
    agents: Set[str],
    check: Callable[[], None],
    room: Room,
) -> list[Episode]:
    """The episodes with `Sample.values` set where a critic judges the policy of one of `agents`.

    `check` is called between micro-batches; `room`: what fits into memory. Raises RolloutError for a value
    that is no finite number.
    """
    found: dict[int, tuple[float, ...]] = {}
    for policy, critic in critics.items():
        turns = [
            turn for one in episodes for turn in one.turns if turn.policy == policy and turn.agent in agents
        ]
        found |= _fitted(critic, turns, check, room)
    return [
        replace(episode, turns=tuple(_valued(turn, found) for turn in episode.turns)) for episode in episodes
    ]


def _valued(turn: Turn, found: Mapping[int, tuple[float, ...]]) -> Turn:
    if not any(id(sample) in found for sample in turn.samples):
        return turn
    return replace(turn, samples=tuple(replace(one, values=found.get(id(one))) for one in turn.samples))


def _fitted(
    critic: Critic, turns: Sequence[Turn], check: Callable[[], None], room: Room
) -> dict[int, tuple[float, ...]]:
    return room.fit(critic.name, lambda: _values(critic, turns, check, room))


def _values(
    critic: Critic, turns: Iterable[Turn], check: Callable[[], None], room: Room
) -> dict[int, tuple[float, ...]]:
    """What `critic` expects at the tokens of each sample, by the sample's `id`."""
    scored = [
        Scored(sample, turn.prompt_ids, turn.sampling, 0.0, images=turn.images)
        for turn in turns
        for sample in turn.samples
        if sample.completion.token_ids
    ]
    found: dict[int, tuple[float, ...]] = {}
    all_rows = rows(scored, range(len(scored)), shared=critic.packed)
    with torch.no_grad():
        for micro_batch in micro_batches(
            all_rows,
            token_budget=room.tokens(critic.name, critic.plan.token_budget),
            sequences=None,
            packed=critic.packed,
        ):
            check()
            batch = build_batch(micro_batch, critic.device, packed=critic.packed)
            with fitting(batch):
                parts = critic.values(batch).split(batch.length_S.tolist())
            for index, values in zip(batch.samples, parts, strict=True):
                found[id(scored[index].sample)] = tuple(values.tolist())
    if not all(isfinite(value) for values in found.values() for value in values):
        raise RolloutError(
            f"the critic of policy {critic.plan.name!r} expects what is no finite number",
            help="lower critic.optim.lr, or critic.grad_clip",
        )
    return found
