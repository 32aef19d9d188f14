"""Where the keys of a verl trainer belong in an experiment: one policy, and what all policies share."""

from __future__ import annotations

from pettingllms.documents.source import KeyPath

POLICY: KeyPath = ("models", "model_0", "ppo_trainer_config")
_HOMES: dict[str, KeyPath] = {
    "data.train_batch_size": ("training", "train_batch_size"),
    "data.max_prompt_length": ("training", "max_prompt_length"),
    "data.max_response_length": ("training", "max_response_length"),
    "actor_rollout_ref.model.path": ("base_models", "policy_0", "path"),
    "actor_rollout_ref.rollout.n": ("training", "train_sample_num"),
    "actor_rollout_ref.rollout.val_kwargs.n": ("training", "validate_sample_num"),
    "trainer.project_name": ("training", "project_name"),
    "trainer.experiment_name": ("training", "experiment_name"),
    "trainer.logger": ("training", "logger"),
    "trainer.n_gpus_per_node": ("resource", "n_gpus_per_node"),
    "trainer.nnodes": ("resource", "nnodes"),
    "trainer.critic_warmup": (*POLICY, "trainer", "critic_warmup"),
    "trainer.save_freq": ("training", "save_freq"),
    "trainer.test_freq": ("training", "val_freq"),
    "trainer.total_training_steps": ("training", "total_training_steps"),
    "trainer.default_local_dir": ("training", "model_checkpoints_dir"),
    "trainer.device": ("training", "device"),
}
_PARTS = ("actor_rollout_ref", "algorithm", "critic")


def home(path: KeyPath) -> KeyPath | None:
    """The place of a trainer's key in an experiment of one policy; None where it has none."""
    name = ".".join(map(str, path))
    if name in _HOMES:
        return _HOMES[name]
    return (*POLICY, *path) if path[0] in _PARTS else None
