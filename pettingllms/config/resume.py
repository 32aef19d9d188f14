"""Which keys may change when a run goes on from a checkpoint, and why the others may not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pettingllms.compose.secrets import REDACTED, is_secret_path
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.errors import RefusedError

PPO = "models.*.ppo_trainer_config"
ACTOR, ROLLOUT, WEIGHTS = (f"{PPO}.actor_rollout_ref.{name}" for name in ("actor", "rollout", "model"))
OTHER_KIND = "validations before and after are not of the same kind"
ROUNDED = "memory and speed; sums are rounded in other ways"
TASKS = "which tasks a step plays follows from it"

ALLOWED = {
    "format": "how the file is written",
    "defaults": "how the file is composed",
    "sweep": "a run knows nothing of the study",
    "training.total_training_steps": "the run ends at another step; learning rates whose schedule depends "
    "on its length follow",
    "training.project_name": "a name for loggers",
    "training.experiment_name": "a name for loggers",
    "training.logger": "where metrics go from here on",
    "training.ray_wait_register_center_timeout": "how long a start may take",
    "training.val_freq": "when validation is run from here on",
    "training.validate_sample_num": OTHER_KIND,
    "env.benchmark": OTHER_KIND,
    "agent_policy_configs.agent_configs.*.val_llm_config": OTHER_KIND,
    "training.save_freq": "when checkpoints are written from here on",
    "training.keep_checkpoints": "which checkpoints stay",
    "training.keep_best": "which checkpoints stay",
    "training.save_in_background": "who writes checkpoints",
    "training.on_save_failure": "what is done when the disk is full",
    "training.max_failed_share": "when failures end the run",
    "training.prompt.max_episodes": "it is read by a search for prompts alone",
    **dict.fromkeys(
        (
            "training.prompt.reflection_url",
            "training.prompt.reflection_key_variable",
            "training.prompt.reflection_timeout",
            "training.prompt.reflection_attempts",
        ),
        "where and how the reflecting model is asked from here on",
    ),
    "sandbox": "how well programs are kept in from here on",
    "launch.num_cpu_threads_per_process": ROUNDED,
    f"{ACTOR}.use_dynamic_bsz": ROUNDED,
    f"{ACTOR}.ppo_max_token_len_per_gpu": ROUNDED,
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": ROUNDED,
    f"{WEIGHTS}.enable_gradient_checkpointing": "memory and speed",
    f"{ROLLOUT}.max_num_seqs": ROUNDED,
    f"{ROLLOUT}.max_num_batched_tokens": ROUNDED,
    f"{ROLLOUT}.enable_chunked_prefill": ROUNDED,
    f"{ROLLOUT}.gpu_memory_utilization": "memory and speed",
    f"{ROLLOUT}.free_cache_engine": "memory and speed",
    f"{ROLLOUT}.enforce_eager": ROUNDED,
}
"""Keys, or sections with all that is in them, that may change, and what the change means."""

REFUSED = {
    "training.seed": "every draw of the run derives from it",
    "training.device": "a checkpoint goes on where it was written: other devices compute other numbers",
    "training.model_checkpoints_dir": "the checkpoints lie there",
    "training.train_batch_size": TASKS,
    "training.resample_freq": TASKS,
    "training.epoch_size": TASKS,
    "training": "it decides what a step samples and learns",
    "env": "it is the task that the policies learn",
    "base_models": "the trained weights belong to these models",
    "specialization": "the checkpoint holds weights of this kind",
    "lora_rank": "the checkpoint holds adapters of this rank",
    "lora_alpha": "the adapters were trained under this scale",
    "training.lora_rank": "the checkpoint holds adapters of this rank",
    "training.lora_alpha": "the adapters were trained under this scale",
    "agent_policy_configs": "it is the team that is trained",
    "multi_agent_interaction": "it is the team that is trained",
    "plugins": "they define the task and the agents",
    "resource": "other machines compute other numbers",
    "launch.num_processes": "each process has random states of its own",
    WEIGHTS: "the trained weights belong to this model",
    f"{ACTOR}.optim": "the moments in the checkpoint belong to this optimizer",
    ACTOR: "it decides what a step learns",
    ROLLOUT: "it decides what a step samples",
    f"{PPO}.algorithm": "it decides what a step learns",
    PPO: "it decides what a step samples and learns",
    "models": "the trained weights belong to these models",
}
"""Keys, or sections with all that is in them, that may not change, and why. The longest match counts; what is
in neither table is refused."""

SCORED = "a search for prompts compares its scores, those before with those after"
SCORES = (
    "training.validate_sample_num",
    "training.prompt.max_episodes",
    "env.benchmark",
    "agent_policy_configs.agent_configs.*.val_llm_config",
)
"""Keys that decide about the scores of a search, and when it is over; allowed where weights are trained."""
UNKNOWN = "nobody has said that a run can go on with another value"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not what the run was trained with.

    `why`: what the change means, or why it is refused.
    """

    path: KeyPath
    old: Any
    new: Any
    allowed: bool
    why: str

    def __str__(self) -> str:
        old, new = (_shown(self.path, value) for value in (self.old, self.new))
        return f"{dotted(self.path)}: {old} -> {new} ({self.why})"


def changes(old: ExperimentConfig, new: ExperimentConfig) -> list[Change]:
    """All values, defaults among them, in which the experiment of a checkpoint and another one differ."""
    before, after = (dict(_leaves(one.model_dump(mode="json"), ())) for one in (old, new))
    searched = new.specialization == "prompt"
    found = []
    for path in dict.fromkeys([*before, *after]):
        was, will_be = before.get(path), after.get(path)
        if was != will_be or (path in before) is not (path in after):
            allowed, why = (False, SCORED) if searched and _scores(path) else _verdict(path)
            found.append(Change(path, was, will_be, allowed, why))
    return found


def refuse_changes(found: list[Change], checkpoint: object) -> None:
    """Raise RefusedError that names every change of `found` that is not allowed, if there is one."""
    refused = [change for change in found if not change.allowed]
    if refused:
        lines = "".join(f"\n  {change}" for change in refused)
        raise RefusedError(
            f"the run cannot go on from {checkpoint} with other values of:{lines}",
            help="give them their old values, or start a new run: an adapter of the checkpoint is a start "
            "for it as actor_rollout_ref.model.lora_adapter_path",
        )


def _verdict(path: KeyPath) -> tuple[bool, str]:
    """Whether the value at `path` may change, and the reason."""
    rows = [
        (len(keys), allowed, why)
        for table, allowed in ((ALLOWED, True), (REFUSED, False))
        for pattern, why in table.items()
        if _covers(keys := pattern.split("."), path)
    ]
    if not rows:
        return False, UNKNOWN
    _, allowed, why = max(rows)
    return allowed, why


def _scores(path: KeyPath) -> bool:
    return any(_covers(pattern.split("."), path) for pattern in SCORES)


def _covers(pattern: list[str], path: KeyPath) -> bool:
    return len(path) >= len(pattern) and all(
        key in ("*", found) for key, found in zip(pattern, path, strict=False)
    )


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Every value with its path; lists are values."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _shown(path: KeyPath, value: Any) -> str:
    return REDACTED if is_secret_path(path) else json.dumps(value, ensure_ascii=False)
