"""From episodes to metrics and sample records; names and fields are documented in docs/records.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pettingllms.advantages.grouping import Group
from pettingllms.types import Episode, FinishReason, Split, Turn


def episode_metrics(split: Split, episodes: Sequence[Episode]) -> dict[str, float]:
    """Success rate over all candidates of the last turn, and mean reward per agent over all its samples.

    Without branching the last turn has one candidate, and its success is the episode's.
    """
    last = [sample.success for episode in episodes for sample in episode.turns[-1].samples]
    metrics = {f"{split}/success_rate": fmean(last)}
    for agent, turns in _by_agent(episodes).items():
        rewards = [sample.reward.total for turn in turns for sample in turn.samples]
        metrics[f"{split}/reward/{agent}"] = fmean(rewards)
    return metrics


def rollout_metrics(episodes: Sequence[Episode], groups: Sequence[Group]) -> dict[str, float]:
    """What training rollouts have beside success and rewards: flat groups, cut-off texts, token counts."""
    metrics: dict[str, float] = {"train/tokens": sampled_tokens(episodes)}
    for agent, turns in _by_agent(episodes).items():
        samples = [sample for turn in turns for sample in turn.samples]
        flat = [group.flat for group in groups if group.key.agent == agent]
        cut = [sample.completion.finish_reason is FinishReason.LENGTH for sample in samples]
        metrics[f"train/zero_variance/{agent}"] = fmean(flat)
        metrics[f"train/truncated/{agent}"] = fmean(cut)
    metrics["train/cut_prompts"] = sum(episode.metrics["cut_prompts"] for episode in episodes)
    return metrics


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
    """Write every episode to `samples/<split>-<step>.jsonl`, one per line; `groups` bring the advantages."""
    folder.mkdir(exist_ok=True)
    advantages = iter(groups)
    with (folder / f"{split}-{step:06d}.jsonl").open("w", encoding="utf-8") as file:
        for episode in episodes:
            turns = [_turn_record(turn, next(advantages, None)) for turn in episode.turns]
            record = {
                "task": episode.task.id,
                "split": split,
                "step": step,
                "success": episode.success,
                "stop_reason": episode.stop_reason,
                "turns": turns,
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _turn_record(turn: Turn, group: Group | None) -> dict[str, Any]:
    samples = group.samples if group else turn.samples
    return {
        "turn": turn.index,
        "agent": turn.agent,
        "policy": turn.policy,
        "prompt": turn.prompt_text,
        "prompt_ids": turn.prompt_ids,
        "chosen": turn.chosen,
        "samples": [
            {
                "text": sample.text,
                "token_ids": sample.completion.token_ids,
                "logprobs": sample.completion.logprobs,
                "finish_reason": sample.completion.finish_reason,
                "version": sample.completion.version,
                "seed": sample.seed,
                "reward": sample.reward.total,
                "local": sample.reward.local,
                "team": sample.reward.team,
                "reason": sample.reward.reason,
                "success": sample.success,
                "advantage": sample.advantage,
            }
            for sample in samples
        ],
    }


def _by_agent(episodes: Iterable[Episode]) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {}
    for episode in episodes:
        for turn in episode.turns:
            turns.setdefault(turn.agent, []).append(turn)
    return turns
