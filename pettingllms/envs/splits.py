"""The tasks of each split of an experiment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from pettingllms.config.data import DataOptions
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.data.contamination import without_shared
from pettingllms.data.records import RecordedTasks, record_of
from pettingllms.data.sources import is_row_source
from pettingllms.data.tasks import HELD_OUT, load_splits
from pettingllms.envs import DATASETS, ENVS
from pettingllms.envs.base import Env
from pettingllms.envs.homes import home_of, sets_of
from pettingllms.errors import RefusedError
from pettingllms.plugins import require
from pettingllms.types import Split, Task

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def dataset_of(config: ExperimentConfig, split: Split) -> str:
    """What the experiment names for the tasks of `split`: `env.benchmark` for validation, where it is set."""
    benchmark = config.env.benchmark
    return benchmark if split == "val" and benchmark is not None else config.env.dataset


def tasks_of(config: ExperimentConfig, split: Split) -> Sequence[Task]:
    """The tasks of one split; see `splits_of`."""
    return splits_of(config, (split,))[split]


def splits_of(config: ExperimentConfig, splits: Collection[Split] = SPLITS) -> dict[Split, Sequence[Task]]:
    """The tasks of `splits`; those of validation come from `env.benchmark` where that is set.

    Puts the experiment's plug-ins in force. Rows of files are read once for all splits. Raises RefusedError
    for a plug-in that cannot be, for an environment or a dataset that is not there, and for rows that are no
    tasks. Training tasks that share text with held-out ones are left out where
    `env.options.drop_contaminated` says so.
    """
    require(config.plugins)
    env = ENVS.load(config.env.name)
    options = env.Options(**config.env.options)
    sources = config.env.dataset, config.env.benchmark
    return sourced_splits(config.env.name, env, *sources, splits, options, config.training.seed)


def sourced_splits(
    name: str,
    env: type[Env],
    dataset: str,
    benchmark: str | None,
    splits: Collection[Split],
    options: Any,
    seed: int,
) -> dict[Split, Sequence[Task]]:
    """The tasks of `splits` of the environment called `name`, those of validation from `benchmark`, if any.

    Rows are read once. Raises RefusedError; see `splits_of`.
    """
    dropping = "train" in splits and getattr(options, "drop_contaminated", False) is True
    wanted = SPLITS if dropping else splits
    own = [split for split in wanted if split != "val" or benchmark is None]
    found: dict[Split, Sequence[Task]] = {}
    if own:
        found |= source_tasks(name, env, dataset, own, options, seed, measured_on=benchmark)
    if benchmark is not None and "val" in wanted:
        found |= source_tasks(name, env, benchmark, ["val"], options, seed, benchmark=True)
    if dropping:
        held = [task for split in HELD_OUT for task in found[split]]
        found["train"] = _without_shared(dataset, found["train"], held)
    return {split: found[split] for split in splits}


def _without_shared(source: str, train: Sequence[Task], held: Sequence[Task]) -> RecordedTasks:
    """The training tasks that share nothing with `held`; their record says how many are left out."""
    kept = without_shared(held, train)
    if not kept:
        raise RefusedError(
            f"all {len(train)} training tasks of {source!r} share text with tasks of validation or test",
            help="choose another dataset or benchmark, or leave out env.options.drop_contaminated",
        )
    record = replace(
        record_of(source, train),
        tasks=len(kept),
        sha256=record_of(source, kept).sha256,
        contaminated=len(train) - len(kept),
    )
    return RecordedTasks(kept, record)


def source_tasks(
    name: str,
    env: type[Env],
    source: str,
    splits: Collection[Split],
    options: Any,
    seed: int,
    *,
    benchmark: bool = False,
    measured_on: str | None = None,
) -> dict[Split, Sequence[Task]]:
    """The tasks of one source. `name`: of the environment. The other arguments: see `load_splits`."""
    _require_fitting(name, source)
    reads_rows = env.rows is not None and isinstance(options, DataOptions)
    if not reads_rows or source in DATASETS or not is_row_source(source):
        return dict(env.split_tasks(source, splits, options, seed))
    return {
        **load_splits(
            source,
            splits,
            options,
            seed,
            own=env.rows,
            verify=lambda data: env.verify(data, options),
            benchmark=benchmark,
            measured_on=measured_on,
        )
    }


def _require_fitting(name: str, source: str) -> None:
    """Refuse a dataset of another environment of this package; an environment of one's own may use any."""
    home = home_of(source)
    ours = name in ENVS and ENVS[name].startswith("pettingllms.")
    if ours and home is not None and home != name:
        raise RefusedError(
            f"{source!r} holds tasks of {home}, and env.name is {name!r}",
            help=f"datasets of {name}: {', '.join(sets_of(name))}",
        )
