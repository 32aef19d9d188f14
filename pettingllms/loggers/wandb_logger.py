"""The `wandb` logger: a Weights & Biases run, online or offline as `WANDB_MODE` says."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import wandb

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import RefusedError


class WandbLogger:
    """One run in `training.project_name`, named after the experiment and the run folder.

    Its files are in `wandb/` of the run folder, and its id in `wandb_id.txt`: a run that goes on from a
    checkpoint goes on under it. W&B takes no step twice: of a step that is computed again, which has the
    same metrics, it keeps the first record. Raises RefusedError where the run cannot start, as
    without a login in online mode.
    """

    def __init__(self, training: TrainingConfig, folder: Path, first: int) -> None:
        try:
            self._run = wandb.init(
                project=training.project_name,
                name=f"{training.experiment_name}-{folder.name}",
                group=folder.parent.name,
                dir=folder,
                id=_run_id(folder, new=first == 0),
                resume="allow",
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


def _run_id(folder: Path, *, new: bool) -> str:
    """The id of the run in `folder`, made at its first start."""
    file = folder / "wandb_id.txt"
    if new or not file.is_file():
        file.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
