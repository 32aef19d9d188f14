"""The `wandb` logger: a Weights & Biases run, online or offline as `WANDB_MODE` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import wandb

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import RefusedError


class WandbLogger:
    """One run in `training.project_name`, named after the experiment and the run folder.

    Its files are in `wandb/` of the run folder. Raises RefusedError where the run cannot start, as
    without a login in online mode.
    """

    def __init__(self, training: TrainingConfig, folder: Path) -> None:
        try:
            self._run = wandb.init(
                project=training.project_name,
                name=f"{training.experiment_name}-{folder.name}",
                group=folder.parent.name,
                dir=folder,
                config={"training": training.model_dump(mode="json")},
                # The trial's output goes to log.txt; wandb neither adds to it nor takes it.
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as cause:
            raise RefusedError(
                f"logger wandb cannot start: {cause}",
                help="run `wandb login`, set WANDB_MODE=offline, or take wandb out of training.logger",
            ) from cause

    def log(self, record: Mapping[str, float]) -> None:
        """Log `record` at its step."""
        metrics = {name: value for name, value in record.items() if name != "step"}
        self._run.log(metrics, step=int(record["step"]))

    def close(self) -> None:
        """End the run."""
        self._run.finish()
