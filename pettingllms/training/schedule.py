"""The learning rate of one policy at each of its training steps."""

from __future__ import annotations

import math

from pettingllms.config.optim import OptimConfig


def learning_rate(optim: OptimConfig, steps: int, position: int) -> float:
    """Learning rate of the training step `position`, counted from 1 over the steps that update the policy.

    `steps`: length of the schedule. A linear warm-up ends with the full rate at the last of its steps; then
    the rate stays, or follows a cosine to its lowest value, where it also stays after `steps`. No step has
    rate 0 unless the schedule is over or a full wave of the cosine reaches it.
    Source: the schedules that verl and transformers call `constant` and `cosine` with warm-up. These count
    finished steps, so that a warm-up begins with a step of rate 0; here it begins with 1 / warm-up.
    """
    warmup = optim.lr_warmup_steps
    if warmup < 0:
        warmup = int(optim.lr_warmup_steps_ratio * steps)
    if position <= warmup:
        return optim.lr * position / warmup
    if optim.warmup_style == "constant":
        return optim.lr
    lowest = optim.min_lr_ratio or 0.0
    progress = min((position - 1 - warmup) / max(1, steps - warmup), 1.0)
    wave = (1 + math.cos(2 * math.pi * optim.num_cycles * progress)) / 2
    return optim.lr * (lowest + (1 - lowest) * wave)
