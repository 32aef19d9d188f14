"""The optimizer of one set of weights: a policy's or a critic's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel


class OptimConfig(ConfigModel):
    """AdamW. Schedules count the training steps in which the weights were updated."""

    lr: float = Field(1e-6, gt=0)
    """Learning rate, after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay."""
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field([0.9, 0.999], min_length=2, max_length=2)
    """Decay rates of the two moments."""
    lr_warmup_steps: int = -1
    """Steps in which the learning rate rises from 0 in a line; below 0, `lr_warmup_steps_ratio` says how
    many."""
    lr_warmup_steps_ratio: float = Field(0.0, ge=0, le=1)
    """Share of `total_training_steps` for the warm-up."""
    warmup_style: Literal["constant", "cosine"] = "constant"
    """What the learning rate does after the warm-up."""
    min_lr_ratio: float | None = Field(None, ge=0, le=1)
    """Of a cosine schedule: the learning rate at its lowest, as a share of `lr`. Default: 0."""
    num_cycles: float = Field(0.5, gt=0)
    """Of a cosine schedule: waves; 0.5 falls once from `lr` to the lowest."""
    total_training_steps: int = -1
    """Length of the schedule in steps; -1 is all steps of the run that update the policy, which are
    `training.total_training_steps` unless policies take turns."""
