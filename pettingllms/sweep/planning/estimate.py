"""What one run will ask of a machine: tokens, time, memory and disk, each with how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import gpus_per_node
from pettingllms.lint.facts import Facts
from pettingllms.sweep.planning.durations import Expected, expected
from pettingllms.sweep.planning.measured import Calibration
from pettingllms.sweep.planning.sizes import Disk, Memory, disk_of, memory_of
from pettingllms.sweep.planning.workload import Tokens, Workload, tokens_of, workload

NOT_STEPS = "a search for prompts has no steps of a known size"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of one run.

    `work`: None for a search for prompts, whose tokens and time are not estimated. `most`: tokens of a step
    that its limits allow. `told`: what finished runs say; `why_not`: why they say nothing.
    """

    gpus: int
    memory: Memory
    disk: Disk
    work: Workload | None
    most: Tokens | None
    told: Expected | None
    why_not: str | None

    @property
    def most_tokens(self) -> float | None:
        """Tokens that the run samples at most, as far as its held-out tasks are known."""
        if self.work is None or self.most is None:
            return None
        return self.work.refills * self.work.steps * self.most.sampled + _held_out(self.work, self.most)

    @property
    def tokens(self) -> float | None:
        """Tokens that the run will sample; None where no finished run tells."""
        if self.told is None:
            return None
        return self.told.work.steps * self.told.tokens.sampled + _held_out(self.told.work, self.told.tokens)

    @property
    def seconds(self) -> float | None:
        """How long the run will take; None where no finished run tells."""
        return None if self.told is None else self.told.seconds

    def as_json(self) -> dict[str, Any]:
        """The same for programs: bytes, seconds, tokens; null is what is not known."""
        told, work = self.told, self.work
        return {
            "tokens": {
                "at_most": _whole(self.most_tokens),
                "expected": _whole(self.tokens),
                "step": None if told is None else _rounded(told.tokens),
                "step_at_most": None if self.most is None or work is None else _rounded(self.most),
                "held_out_tasks": None if work is None else dict((told.work if told else work).held_out),
            },
            "seconds": {
                "expected": _seconds(self.seconds),
                "least": _seconds(told.least if told else None),
                "most": _seconds(told.most if told else None),
                "parts": None if told is None else _parts(told),
                "by": [str(run.folder) for run in told.by] if told else [],
                "unknown": self.why_not,
            },
            "gpus": self.gpus,
            "gpu_hours": None if self.seconds is None else round(self.gpus * self.seconds / 3600, 4),
            "memory": {
                "where": self.memory.where,
                "peak": self.memory.peak,
                "kept": dict(self.memory.kept),
                "update": dict(self.memory.update),
                "unknown": self.memory.unknown,
            },
            "disk": {
                "peak": self.disk.peak,
                "checkpoint": None if self.disk.unknown else self.disk.checkpoint,
                "checkpoints": self.disk.count,
                "adapters": None if self.disk.unknown else self.disk.adapters,
                "samples": self.disk.samples,
                "unknown": self.disk.unknown,
            },
        }


def estimate(config: ExperimentConfig, known: Calibration, facts: Facts | None = None) -> Estimate:
    """The estimate of a run of `config`, by the finished runs in `known`, on the machine of `facts`."""
    work = None if config.specialization == "prompt" else workload(config)
    told = NOT_STEPS if work is None else expected(config, work, known)
    by = told if isinstance(told, Expected) else None
    return Estimate(
        gpus=config.resource.nnodes * gpus_per_node(config),
        memory=memory_of(config, facts),
        disk=disk_of(config, by),
        work=work,
        most=None if work is None else tokens_of(work, work.limits),
        told=by,
        why_not=told if isinstance(told, str) else None,
    )


def _held_out(work: Workload, tokens: Tokens) -> float:
    return sum(work.held_out_plays.values()) * tokens.held_out


def _rounded(tokens: Tokens) -> dict[str, int]:
    return {
        "sampled": round(tokens.sampled),
        "prompts": round(tokens.prompts),
        "trained": round(tokens.trained),
        "held_out": round(tokens.held_out),
    }


def _parts(told: Expected) -> Mapping[str, float | None]:
    parts = told.parts
    return {
        "start": _seconds(parts.start),
        "rollout": _seconds(parts.rollout),
        "update": _seconds(parts.update),
        "rest": _seconds(parts.rest),
        "held_out": _seconds(parts.held_out),
    }


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
