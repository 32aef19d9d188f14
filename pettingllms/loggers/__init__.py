"""Where metrics go: a table of loggers and the fan-out that feeds those which a trial asks for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.training import TrainingConfig
from pettingllms.loggers.base import Fanout
from pettingllms.registry import Registry

if TYPE_CHECKING:
    from pettingllms.loggers.base import Logger

LOGGERS: Registry[type[Logger]] = Registry(
    "logger",
    {
        "jsonl": "pettingllms.loggers.jsonl:JsonlLogger",
        "console": "pettingllms.loggers.console:ConsoleLogger",
        "tensorboard": "pettingllms.loggers.tensorboard:TensorboardLogger",
        "wandb": "pettingllms.loggers.wandb_logger:WandbLogger",
    },
)

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""The module that a logger needs beside this package, by the logger's name."""


def missing_loggers(training: TrainingConfig) -> dict[str, str]:
    """Loggers of `training.logger` whose package is not installed: name -> warning with the install line."""
    return {
        name: f"logger {name} is not installed and gets nothing; install it with: uv sync --extra loggers"
        for name in training.logger
        if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None
    }


def build_loggers(
    training: TrainingConfig, folder: Path, warn: Callable[[str], None], first: int = 0
) -> Fanout:
    """Return the loggers of a trial that runs in `folder`; `metrics.jsonl` is always among them.

    `first`: the step that is logged first, above 0 where the run goes on from a checkpoint.
    `warn` is told of loggers that are not installed, now, and of those that fail, later. A logger that
    is installed and cannot start raises: what was configured must work.
    """
    missing = missing_loggers(training)
    for text in missing.values():
        warn(text)
    # A name that stands twice in the file is one logger.
    wanted = dict.fromkeys(["jsonl", *training.logger])
    built: dict[str, Logger] = {}
    try:
        for name in wanted:
            if name not in missing:
                built[name] = LOGGERS.load(name)(training, folder, first)
    except BaseException:
        Fanout(built, warn).close()
        raise
    return Fanout(built, warn)
