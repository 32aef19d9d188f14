"""The protocol of an engine, what it is told at start, and the table of engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pettingllms.registry import Registry
from pettingllms.types import Completion, Request


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything an engine is built from; plain values, sent to its process.

    `serving`: `adapter` or `merged`. `max_model_len`: prompt + response, tokens. `max_lora_rank`: the
    largest rank to serve. `max_num_batched_tokens`, `enable_chunked_prefill`: None leaves the choice to
    the engine. `replies`: what the scripted engine answers.
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


class Engine(Protocol):
    """Turns token ids into token ids."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order.

        Log-probabilities are those of the distribution that was sampled from: at the sampling
        temperature, after truncation.
        """

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Take the adapter in `folder` (PEFT format) as `version` of `policy`.

        Everything cached under older weights of any policy is dropped. A policy that was never
        loaded is the base model, version 0.
        """

    def close(self) -> None:
        """Free everything."""


ENGINES: Registry[Callable[[EngineSettings], Engine]] = Registry(
    "engine",
    {
        "vllm": "pettingllms.rollout.vllm:VllmEngine",
        "scripted": "pettingllms.rollout.scripted:ScriptedEngine",
    },
)
