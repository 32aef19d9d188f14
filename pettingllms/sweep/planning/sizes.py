"""How much memory and disk a run needs, part by part, from the shapes of its models and its settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import gpus_per_node
from pettingllms.lint.facts import Facts
from pettingllms.lint.model_files import ModelShape, settings_at, shape_of
from pettingllms.lint.policies import Policy, engines
from pettingllms.lint.sizes import (
    HOST_CACHE,
    checkpoint_bytes,
    engine_needs,
    trained_models,
    trainer_needs,
)
from pettingllms.sweep.planning.durations import Expected
from pettingllms.sweep.planning.workload import Length, Workload, tokens_of

PROMPT_BYTES = 10
"""Of the records for each token of a prompt: its number and its text."""
SAMPLE_BYTES = 34
"""For each sampled token: its number, its log-probability and its text."""
COMPLETION_BYTES = 400
"""For each completion: what is said of it."""
TRAINER_BYTES = 700 * 2**20
"""Main memory of launcher and trainer before they hold any weights, pages of files left out. Measured."""
PROGRAM_BYTES = {"vllm": 1350 * 2**20, "hf": 430 * 2**20, "scripted": 430 * 2**20}
"""The same of an engine's process."""
LIBRARIES = "programs and libraries"
ENGINE, CACHE = "engine: weights", "engine: keys and values"
SHARE = "engine: gpu_memory_utilization"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a run needs on its fullest GPU, or of the main memory of a node.

    `kept`: all the time, part by part; `update`: while a policy is updated. `sleeps`: what of it is free
    then. `unknown`: why there is no figure.
    """

    where: str
    kept: Mapping[str, int]
    update: Mapping[str, int]
    sleeps: int = 0
    unknown: str | None = None

    @property
    def peak(self) -> int | None:
        """The most that is needed at one time; None where it is not known."""
        if self.unknown is not None:
            return None
        kept = sum(self.kept.values())
        return max(kept, kept - self.sleeps + sum(self.update.values()))


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes that a run writes. `count`: checkpoints that lie there at one time at most, the one that is being
    written among them; `samples`: None where there is no run to go by, so that the limits are all that is
    known. `unknown`: why there is no figure.
    """

    checkpoint: int
    count: int
    adapters: int
    samples: int | None
    unknown: str | None = None

    @property
    def peak(self) -> int | None:
        """All of it; None where it is not known."""
        if self.unknown is not None:
            return None
        return self.checkpoint * self.count + self.adapters + (self.samples or 0)


def memory_of(config: ExperimentConfig, facts: Facts | None) -> Memory:
    """What `config` needs; how much an engine takes of a GPU is known where `facts` tell its memory."""
    cuda = config.training.device == "cuda"
    where = "GPU" if cuda else "host"
    groups = engines(config)
    shapes = []
    for group in groups:
        shape = shape_of(group[0].base.path)
        if shape is None:
            return Memory(where, {}, {}, unknown=_not_known(group[0].base.path))
        shapes.append(shape)
    served = [_engine_parts(config, group, shape, facts) for group, shape in zip(groups, shapes, strict=True)]
    if cuda and gpus_per_node(config) >= len(groups):
        # Each has GPUs of its own.
        served = [max(served, key=lambda parts: sum(parts.values()))]
    kept: Counter[str] = Counter()
    for parts in served:
        kept.update(parts)
    asleep = sum(kept.values()) if cuda and _sleeps(groups) else 0
    update: dict[str, int] = {}
    for group, shape in zip(groups, shapes, strict=True) if config.specialization != "prompt" else ():
        needs = trainer_needs(config, group, shape)
        kept.update({f"trainer: {name}": size for name, size in needs.kept.items()})
        # One policy is updated at a time.
        update = max(update, needs.update, key=lambda parts: sum(parts.values()))
    if cuda:
        return Memory(where, _times(1, kept), update, asleep)
    kept[LIBRARIES] = TRAINER_BYTES + sum(PROGRAM_BYTES[group[0].ours.rollout.name] for group in groups)
    many = config.launch.num_processes
    return Memory(where, _times(many, kept), _times(many, update), asleep)


def _engine_parts(
    config: ExperimentConfig, group: Sequence[Policy], shape: ModelShape, facts: Facts | None
) -> dict[str, int]:
    rollout, cuda = group[0].ours.rollout, config.training.device == "cuda"
    if rollout.name == "scripted":
        return {}
    needs = engine_needs(config, group, shape)
    if rollout.name == "hf":
        return {ENGINE: needs.weights}
    if not cuda:
        return {ENGINE: needs.weights, CACHE: HOST_CACHE}
    if facts is not None and facts.gpu_memory is not None:
        return {SHARE: int(rollout.gpu_memory_utilization * facts.gpu_memory)}
    return {ENGINE: needs.weights, CACHE: needs.cache}


def _sleeps(groups: Sequence[Sequence[Policy]]) -> bool:
    return all(one[0].ours.rollout.name == "vllm" and one[0].ours.rollout.free_cache_engine for one in groups)


def disk_of(config: ExperimentConfig, told: Expected | None) -> Disk:
    """What `config` writes. Records of samples are counted where finished runs tell how long texts are."""
    samples = None if told is None else _sample_bytes(told)
    if config.specialization == "prompt":
        return Disk(0, 0, 0, samples)
    each, unknown = checkpoint_bytes(config)
    adapters = 0
    if unknown is None:
        for path, adapter in trained_models(config):
            shape = shape_of(path)
            if shape is not None and adapter is not None:
                adapters += 4 * shape.adapter_parameters(*adapter)
            elif shape is not None:
                adapters += 4 * shape.parameters
    reason = None if unknown is None else _not_known(unknown)
    return Disk(each, checkpoints_at_once(config), adapters, samples, reason)


def checkpoints_at_once(config: ExperimentConfig) -> int:
    """Checkpoints that lie on the disk at one time at most: those kept, the best one, and a new one.

    Without `save_freq` or `epoch_size` the ends of epochs, which write some, depend on the tasks.
    """
    training = config.training
    kept = training.keep_checkpoints + (training.keep_best is not None) + 1
    every = [step for step in (training.save_freq, training.epoch_size) if step]
    written = (
        training.total_training_steps
        if not every
        else sum(training.total_training_steps // step for step in every) + 1
    )
    return min(kept, written)


def _sample_bytes(told: Expected) -> int:
    """The records of all samples, scaled by what the nearest run wrote for its own."""
    run = told.by[0]
    written = _plain_bytes(run.work, run.lengths)
    return int(_plain_bytes(told.work, told.lengths) * run.sample_bytes / written)


def _plain_bytes(work: Workload, lengths: Mapping[str, Length]) -> float:
    """Bytes of the records of a run by the sums above, about."""
    tokens = tokens_of(work, lengths)
    step = tokens.prompts * PROMPT_BYTES + tokens.sampled * SAMPLE_BYTES
    play = 0.0
    for one in work.turns:
        said = one.completions * (lengths[one.agent].response * SAMPLE_BYTES + COMPLETION_BYTES)
        play += lengths[one.agent].prompt * PROMPT_BYTES + said
    held_out = sum(work.held_out_plays.values()) * play
    return work.steps * (step + work.completions * COMPLETION_BYTES) + held_out


def _times(many: int, parts: Mapping[str, int]) -> dict[str, int]:
    return {name: many * size for name, size in parts.items() if size}


def _not_known(path: str) -> str:
    where = "" if settings_at(path) is not None else ": it is no local folder"
    return f"the size of {path} is not known{where}"
