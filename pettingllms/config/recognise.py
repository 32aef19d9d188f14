"""What a file is that sets no section of an experiment."""

from __future__ import annotations

from typing import Any

from pettingllms.compose.tree import Tree
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import listing
from pettingllms.config.ppo import PpoTrainerConfig
from pettingllms.documents.source import Finding
from pettingllms.registry import closest

NOT_AN_EXPERIMENT = "PLM011"
_TRAINER = {*PpoTrainerConfig.model_fields, "reward_model", "custom_reward_function", "ray_kwargs"}
_SWEEP_FILE = {"method", "parameters"}
_MOUNT = '{ "../ppo_trainer@models.model_0.ppo_trainer_config" = "NAME" }'


def not_an_experiment(tree: Tree) -> Finding | None:
    """A finding where no root key of `tree` is one of the experiment's, or nearly one."""
    keys = [key for key in tree.data if key != "format"]
    known = list(ExperimentConfig.model_fields)
    if not keys or any(key in known or closest(key, known) for key in keys if not _trainer_key(key, keys)):
        return None
    message, help_text = "this file is no experiment: it sets none of its sections", listing(known)
    if any(_trainer_key(key, keys) for key in keys):
        message = "this looks like a trainer fragment, not an experiment"
        help_text = f"mount it in the defaults list of an experiment: {_MOUNT}"
    elif set(keys) >= _SWEEP_FILE:
        message = "this looks like the file of a W&B sweep, not an experiment"
        help_text = "`pettingllms import` makes an experiment of it"
    return Finding((keys[0],), message, help=help_text, at_key=True, code=NOT_AN_EXPERIMENT)


def _trainer_key(key: str, keys: list[Any]) -> bool:
    """True for a root key of a trainer fragment in a file that has at least one that only those have."""
    return key in _TRAINER and bool({"actor_rollout_ref", "filter_method", "critic"} & set(keys))
