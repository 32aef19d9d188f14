"""The protocol of an engine, what it is told at start, and the table of engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pettingllms.errors import RolloutError
from pettingllms.registry import Registry
from pettingllms.types import Completion, Request


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything an engine is built from; plain values, sent to its process.

    `serving`: `adapter`, or `merged`, where the engine's weights are those of one policy at a time.
    `policies`: those that it serves. `max_model_len`: prompt + response, tokens. `max_lora_rank`: the
    largest rank to serve. `max_num_batched_tokens`, `enable_chunked_prefill`: None leaves the choice to
    the engine. `enforce_eager`: no CUDA graphs. `may_sleep`: the device is shared with the trainer.
    `replies`: what the scripted engine answers. `images`: prompts may hold images.
    """

    name: str
    model_folder: Path
    device: str
    dtype: str
    serving: str
    policies: tuple[str, ...]
    max_lora_rank: int
    max_model_len: int
    max_num_seqs: int
    tensor_parallel_size: int
    gpu_memory_utilization: float
    trust_remote_code: bool
    threads: int
    seed: int
    replies: tuple[str, ...]
    max_num_batched_tokens: int | None = None
    enable_chunked_prefill: bool | None = None
    enforce_eager: bool = True
    may_sleep: bool = False
    images: bool = False


class Engine(Protocol):
    """Turns token ids into token ids."""

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Take requests on, each under a number of the caller's choice that no pending one has."""

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:
        """Work until at least one pending request is done; return all that are, with their numbers.

        Returns nothing when nothing is pending. Without `wait` it works for a moment, where it can stop
        in the middle of an answer, and may return nothing.
        Log-probabilities are those of the distribution that was sampled from: at the sampling temperature,
        after truncation. The token ids are those that were sampled: an end token is among them where the
        model sampled one, and never otherwise. A request that cannot be answered comes back as `FAILED` with
        the reason; the others are not affected.
        """

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Take the weights in `folder` as `version` of `policy`; nothing may be pending.

        `folder`: a LoRA adapter in PEFT's format, or under merged serving a whole model in Hugging Face's.
        Everything cached under older weights of any policy is dropped. A policy that was never
        loaded is the base model, version 0.
        """

    def forget_prompts(self) -> None:
        """Drop what is kept of prompts that were answered; nothing may be pending.

        What is cached changes how sums are rounded: with this, equal requests that follow give equal answers.
        """

    def sleep(self) -> None:
        """Free the memory of the device for the trainer; nothing may be pending."""

    def wake(self) -> None:
        """Be ready again, with the weights as they were loaded last."""

    def restore(self) -> None:
        """Be as after the start, for the next run; nothing may be pending.

        Every policy's weights, version and cached state is forgotten. Raises RolloutError when the engine's
        weights are then not those of the start, by their fingerprint; it must not be used any more.
        """

    def close(self) -> None:
        """Free everything."""


ENGINES: Registry[Callable[[EngineSettings], Engine]] = Registry(
    "engine",
    {
        "vllm": "pettingllms.rollout.vllm:VllmEngine",
        "hf": "pettingllms.rollout.hf:HfEngine",
        "scripted": "pettingllms.rollout.scripted:ScriptedEngine",
    },
)


def generate(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    """One completion per request, in order, from an engine that has nothing else to do."""
    engine.submit(list(enumerate(requests)))
    answers: dict[int, Completion] = {}
    while len(answers) < len(requests):
        done = engine.collect()
        if not done:
            raise RolloutError(f"the engine left {len(requests) - len(answers)} requests unanswered")
        answers |= dict(done)
    return [answers[number] for number in range(len(requests))]
