"""How many tasks are held out, as far as that is known before any is read."""

from __future__ import annotations

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.envs import DATASETS, ENVS

KEYS = {"val": "validation_size", "test": "test_size"}
"""The options of an environment that say so."""
OURS = "pettingllms."


def held_out_tasks(config: ExperimentConfig) -> dict[str, int]:
    """Tasks of validation and test by split; a split is missing where only its rows would tell.

    Known of the sets that this package makes by itself, whose sizes are options of their environment.
    """
    env, found = config.env, {}
    if env.name not in ENVS or not ENVS[env.name].startswith(OURS):
        return {}
    # Rules have checked that the options fit.
    options = ENVS.load(env.name).Options(**env.options)
    for split, key in KEYS.items():
        source = env.benchmark if split == "val" and env.benchmark is not None else env.dataset
        made = source in DATASETS and DATASETS[source].startswith(OURS)
        size = getattr(options, key, None)
        if made and isinstance(size, int):
            found[split] = size
    return found
