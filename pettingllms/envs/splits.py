"""The tasks of each split of an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import first_set
from pettingllms.envs import ENVS
from pettingllms.plugins import require
from pettingllms.types import Split, Task

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def tasks_of(config: ExperimentConfig, split: Split) -> Sequence[Task]:
    """The tasks of a split; those of validation come from `env.benchmark` where that is set.

    Puts the experiment's plug-ins in force. Raises RefusedError for a plug-in that cannot be, and for an
    environment or a data set that is not there.
    """
    require(config.plugins)
    env = ENVS.load(config.env.name)
    source = first_set(config.env.benchmark, config.env.dataset) if split == "val" else config.env.dataset
    return env.tasks(source, split, env.Options(**config.env.options), config.training.seed)
