"""The values that flow from a task to a trained sample; plain Python, no tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "val", "test"]


class Message(NamedTuple):
    """One chat message. `images`: PNG files, which stand before its text."""

    role: Role
    content: str
    images: tuple[bytes, ...] = ()


class StopReason(StrEnum):
    """Why an episode ended. `FAILED`: at some turn no candidate could be generated or carried out."""

    MAX_TURNS = "max_turns"
    SOLVED = "solved"
    FAILED = "failed"


class FinishReason(StrEnum):
    """Why a completion ended.

    `STOP`: the model sampled one of its end tokens. `STOP_STRING`: its text came to hold a stop string.
    `LENGTH`: the token limit cut it off. `FAILED`: the engine could not answer; there is nothing to train.
    """

    STOP = "stop"
    STOP_STRING = "stop_string"
    LENGTH = "length"
    FAILED = "failed"


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
class Images:
    """The images of a prompt, whose token ids hold placeholders for what the model sees of them.

    `files`: PNG files, in their order. `text`: the prompt with one mark for each image; `short_ids`: its
    token ids, from which the placeholders are still missing.
    """

    files: tuple[bytes, ...]
    text: str
    short_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to draw: token ids in, from `policy`, with its own seed.

    `images`: those that `prompt_ids` have placeholders for.
    """

    policy: str
    prompt_ids: tuple[int, ...]
    sampling: TokenSampling
    seed: int
    images: Images | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answers: token ids as sampled and their log-probabilities.

    `logprobs`: nats, one per token of `token_ids`, of the distribution that was sampled from: at the
    sampling temperature, after truncation. `version`: number of updates behind the weights that sampled
    it. `error`: what went wrong, where it failed; it has no tokens then.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    version: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Reward:
    """What an action earned. `local` is the agent's own part, `team` the shared part.

    Both lie in [-1, 1] and carry a reason code; `total` = `reward_alpha * team + local`. `local` is None
    where nothing says what the action is worth by itself; `total` is then `(reward_alpha + 1) * team`.
    `penalty`: what the trainer takes off, for the distance to the reference policy or for length.
    """

    local: float | None
    team: float
    total: float
    reason: str
    penalty: float = 0.0

    @property
    def trained(self) -> float:
        """What advantages are computed from."""
        return self.total - self.penalty


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of a candidate: the exact tokens, what the text did, what it earned.

    `candidate`: which of the K actions of its turn it belongs to; an action of `sample_num` completions
    has as many samples, which share its reward. `reward`: None where there is none, because generation,
    the agent, the environment or the machinery around it failed. `masked`: why the sample is not trained
    on. `error`: what the agent, the environment or the machinery said, where one of them failed.
    `success`: whether the task is solved in the state that the candidate leads to. `values`: where the
    policy has a critic, what it expected to be earned from the state before each token on.
    """

    completion: Completion
    text: str
    seed: int
    candidate: int
    reward: Reward | None
    success: bool
    masked: str | None = None
    values: tuple[float, ...] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One agent acting once: K candidates for the same prompt; candidate `chosen` goes on.

    `chosen` is None where every candidate failed, which ends the episode. `sampling`: how its tokens
    were drawn.
    """

    index: int
    agent: str
    policy: str
    prompt_ids: tuple[int, ...]
    prompt_text: str
    sampling: TokenSampling
    samples: tuple[Sample, ...]
    chosen: int | None
    images: Images | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """One play of a task: its turns in order, and whether the team solved it.

    `place`: of the task in its batch. `branch`: which of several separate plays of one task it is. `error`:
    why it has no further turn, where the state could not be set up or shown.
    """

    task: Task
    place: int
    branch: int
    turns: tuple[Turn, ...]
    success: bool
    stop_reason: StopReason
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


class GroupKey(NamedTuple):
    """Names the samples that share a baseline: same task and agent, and the same turn.

    `turn` is None where whole trajectories are compared.
    """

    task: str
    agent: str
    turn: int | None


@dataclass(frozen=True, slots=True)
class TokenCredit:
    """What the tokens of a sample get where a critic judges them; one number per token each.

    `returns`: what the critic should have expected before the token.
    """

    advantages: tuple[float, ...]
    returns: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A sample with what the update needs beside its tokens.

    `advantage`: that of each token; with a critic, the mean of theirs. `dropped`: why it is left out of the
    loss: masked, or the name of the filter that removed it. `per_token`: with a critic, what each token
    gets; None where the sample has no reward.
    """

    sample: Sample
    prompt_ids: tuple[int, ...]
    sampling: TokenSampling
    advantage: float
    dropped: str | None = None
    per_token: TokenCredit | None = None
    images: Images | None = None

    @property
    def advantages(self) -> tuple[float, ...]:
        """The advantage of each token."""
        if self.per_token is not None:
            return self.per_token.advantages
        return (self.advantage,) * len(self.sample.completion.token_ids)


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one policy that share a baseline. `place`: of their task in its batch.

    `rewards`: one per candidate that has one, in order: what the baseline was computed from. `failed`:
    candidates without one.
    """

    key: GroupKey
    place: int
    policy: str
    members: tuple[Scored, ...]
    rewards: tuple[float, ...]
    failed: int = 0

    @property
    def flat(self) -> bool:
        """True when all rewards are equal but for rounding: to compare them teaches nothing.

        Equal: no further apart than 1e-6 of the largest, or of 1 where all are smaller, as
        `advantages.equality` says it.
        """
        return not self.rewards or math.isclose(
            max(self.rewards), min(self.rewards), rel_tol=1e-6, abs_tol=1e-6
        )
