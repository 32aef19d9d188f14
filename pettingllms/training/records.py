"""From episodes to metrics and sample records; names and fields are documented in docs/records.md."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from statistics import fmean
from typing import Any

from pettingllms.types import Episode, FinishReason, Group, Images, Sample, Scored, Split, Turn


def episode_metrics(split: Split, episodes: Sequence[Episode]) -> dict[str, float]:
    """Success rate over all candidates of the last turn, and mean reward per agent over all its samples.

    Without branching the last turn has one candidate, and its success is the episode's. A sample without a
    reward counts as no success, and in no mean reward. What the environment measures is a mean over the
    episodes that have it.
    """
    metrics = {f"{split}/success_rate": fmean(value for one in episodes for value in _successes(one))}
    for agent, turns in _by_agent(episodes).items():
        rewards = [
            sample.reward.total for turn in turns for sample in turn.samples if sample.reward is not None
        ]
        if rewards:
            metrics[f"{split}/reward/{agent}"] = fmean(rewards)
    measured = {name for one in episodes for name in one.metrics if name.startswith("env/")}
    for name in sorted(measured):
        values = [one.metrics[name] for one in episodes if name in one.metrics]
        metrics[f"{split}/{name}"] = fmean(values)
    for name in ("failed_generations", "failed_actions"):
        if count := sum(episode.metrics[name] for episode in episodes):
            metrics[f"{split}/{name}"] = count
    return metrics


def _successes(episode: Episode) -> list[bool]:
    last = episode.turns[-1] if episode.turns else None
    # An episode may end without a turn of its own: all skipped, or nothing could be generated.
    if last is None or last.chosen is None:
        return [episode.success]
    return [sample.success for sample in last.samples]


def rollout_metrics(
    episodes: Sequence[Episode], groups: Sequence[Group], played: Set[int]
) -> dict[str, float]:
    """What training rollouts have beside success and rewards: flat groups, cut-off texts, token counts."""
    metrics: dict[str, float] = {"train/tokens": sampled_tokens(episodes), "train/tasks": len(played)}
    for agent, turns in _by_agent(episodes).items():
        samples = [sample for turn in turns for sample in turn.samples]
        cut = [sample.completion.finish_reason is FinishReason.LENGTH for sample in samples]
        metrics[f"train/truncated/{agent}"] = fmean(cut)
        metrics[f"train/response_length/{agent}"] = fmean(
            len(sample.completion.token_ids) for sample in samples
        )
        rewards = [sample.reward for sample in samples if sample.reward is not None]
        if any(reward.local is None for reward in rewards):
            metrics[f"train/no_local/{agent}"] = fmean(reward.local is None for reward in rewards)
        own = [group for group in groups if group.key.agent == agent]
        if own:
            members = [member for group in own for member in group.members]
            metrics[f"train/zero_variance/{agent}"] = fmean(group.flat for group in own)
            metrics[f"train/group_size/{agent}"] = fmean(len(group.rewards) for group in own)
            if members:
                metrics[f"train/dropped/{agent}"] = fmean(member.dropped is not None for member in members)
    for name in ("cut_prompts", "skipped_turns"):
        metrics[f"train/{name}"] = sum(episode.metrics[name] for episode in episodes)
    return metrics


class EpochMeans:
    """Means of an epoch's training records: success and rewards."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, record: Mapping[str, float]) -> None:
        """Take in the record of one step."""
        for name, value in record.items():
            if name == "train/success_rate" or name.startswith("train/reward/"):
                self._values.setdefault(name.replace("train/", "epoch/"), []).append(value)

    def close(self, epoch: int) -> dict[str, float]:
        """What was taken in since the last close, as the means of `epoch`."""
        means = {"epoch": float(epoch)} | {name: fmean(values) for name, values in self._values.items()}
        self._values.clear()
        return means

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was taken in since the last close; no tensors."""
        return {}, {name: list(values) for name, values in self._values.items()}

    def load_state(self, tensors: Mapping[str, Any], values: Mapping[str, Any]) -> None:  # noqa: ARG002 - Part
        """Take in what `state` returned instead of what was."""
        self._values = {name: list(own) for name, own in values.items()}


def sampled_tokens(episodes: Iterable[Episode]) -> int:
    """Number of tokens that policies sampled."""
    return sum(
        len(sample.completion.token_ids)
        for episode in episodes
        for turn in episode.turns
        for sample in turn.samples
    )


def write_samples(
    folder: Path, split: Split, step: int, episodes: Sequence[Episode], groups: Sequence[Group]
) -> None:
    """Write every episode to `samples/<split>-<step>.jsonl`, one per line; `groups` bring the advantages.

    Images of prompts become files of `samples/images`, each once, named by their SHA-256.
    """
    folder.mkdir(exist_ok=True)
    scored = {id(member.sample): member for group in groups for member in group.members}
    with (folder / f"{split}-{step:06d}.jsonl").open("w", encoding="utf-8") as file:
        for episode in episodes:
            record = {
                "task": episode.task.id,
                "split": split,
                "step": step,
                "place": episode.place,
                "branch": episode.branch,
                "success": episode.success,
                "stop_reason": episode.stop_reason,
                "error": episode.error,
                "turns": [_turn_record(turn, scored, folder) for turn in episode.turns],
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _turn_record(turn: Turn, scored: Mapping[int, Scored], folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {
        "turn": turn.index,
        "agent": turn.agent,
        "policy": turn.policy,
        "prompt": turn.prompt_text,
        "prompt_ids": turn.prompt_ids,
        "chosen": turn.chosen,
        "samples": [_sample_record(sample, scored.get(id(sample))) for sample in turn.samples],
    }
    if turn.images is not None:
        record["images"] = _written(turn.images, folder)
    return record


def _written(images: Images, folder: Path) -> list[str]:
    """The names of the files that hold `images`, from `folder` on; those that are not there are written."""
    names = [f"images/{hashlib.sha256(file).hexdigest()[:32]}.png" for file in images.files]
    for name, content in zip(names, images.files, strict=True):
        path = folder / name
        # A run that was cut may have left a part of one.
        if not path.is_file() or path.stat().st_size != len(content):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return names


def _sample_record(sample: Sample, scored: Scored | None) -> dict[str, Any]:
    reward = sample.reward
    record = {
        "candidate": sample.candidate,
        "text": sample.text,
        "token_ids": sample.completion.token_ids,
        # JSON has no word for what is no number.
        "logprobs": [value if math.isfinite(value) else None for value in sample.completion.logprobs],
        "finish_reason": sample.completion.finish_reason,
        "error": sample.completion.error or sample.error,
        "version": sample.completion.version,
        "seed": sample.seed,
        "reward": reward and reward.total,
        "local": reward and reward.local,
        "team": reward and reward.team,
        "penalty": reward and reward.penalty,
        "reason": reward and reward.reason,
        "success": sample.success,
        "advantage": scored and scored.advantage,
        "dropped": scored.dropped if scored else sample.masked,
    }
    if sample.values is not None:
        record["values"] = sample.values
    if scored is not None and scored.per_token is not None:
        record |= {"advantages": scored.per_token.advantages, "returns": scored.per_token.returns}
    return record


def _by_agent(episodes: Iterable[Episode]) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {}
    for episode in episodes:
        for turn in episode.turns:
            turns.setdefault(turn.agent, []).append(turn)
    return turns
