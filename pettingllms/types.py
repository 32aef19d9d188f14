"""The values that flow from a task to a trained sample; plain Python, no tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "val", "test"]


class Message(NamedTuple):
    """One chat message."""

    role: Role
    content: str


class StopReason(StrEnum):
    """Why an episode ended."""

    MAX_TURNS = "max_turns"
    SOLVED = "solved"


class FinishReason(StrEnum):
    """Why a completion ended: the model stopped, or the token limit cut it off."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Task:
    """One problem of a dataset; `data` holds what its environment needs, answer included."""

    id: str
    split: Split
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenSampling:
    """How tokens are drawn: `temperature` 0 is greedy, `top_p` 1 and `top_k` -1 are off."""

    temperature: float
    max_tokens: int
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to draw: token ids in, from `policy`, with its own seed."""

    policy: str
    prompt_ids: tuple[int, ...]
    sampling: TokenSampling
    seed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answers: token ids as sampled and their log-probabilities.

    `logprobs`: nats, one per token of `token_ids`, at the sampling temperature.
    `version`: number of updates behind the weights that sampled it.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    version: int


@dataclass(frozen=True, slots=True)
class Reward:
    """What an action earned. `local` is the agent's own part, `team` the shared part.

    Both lie in [-1, 1] and carry a reason code. `total` is what is trained on:
    `reward_alpha * team + local`.
    """

    local: float
    team: float
    total: float
    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One candidate of a turn: the exact tokens, what the text did, what it earned.

    `success`: whether the task is solved in the state that the candidate leads to.
    """

    completion: Completion
    text: str
    seed: int
    reward: Reward
    success: bool
    advantage: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One agent acting once: K samples of the same prompt; sample `chosen` goes on."""

    index: int
    agent: str
    policy: str
    prompt_ids: tuple[int, ...]
    prompt_text: str
    samples: tuple[Sample, ...]
    chosen: int


@dataclass(frozen=True, slots=True)
class Episode:
    """One play of a task: its turns in order, and whether the team solved it."""

    task: Task
    turns: tuple[Turn, ...]
    success: bool
    stop_reason: StopReason
    metrics: Mapping[str, float] = field(default_factory=dict)


class GroupKey(NamedTuple):
    """Names the samples that share a baseline: same task, same turn, same agent."""

    task: str
    turn: int
    agent: str
