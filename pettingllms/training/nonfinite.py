"""Policies whose loss or gradient is no number: how often in a row, and when that ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pettingllms.errors import DivergedError
from pettingllms.training.token_update import UpdateResult

STEPS_IN_A_ROW = 3
"""Training steps of a policy that may not follow each other without a number."""


class NonFinite:
    """By policy, how many of its training steps in a row had a loss or a gradient that is no number."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    def follow(self, step: int, results: Mapping[str, UpdateResult]) -> None:
        """Count training step `step`; one in which a policy had no gradient at all does not count.

        Raises DivergedError with the last of `STEPS_IN_A_ROW` steps of one policy.
        """
        for policy, result in results.items():
            if result.nonfinite:
                self.steps[policy] = self.steps.get(policy, 0) + 1
            elif result.steps or result.left_out:
                self.steps.pop(policy, None)
            if self.steps.get(policy, 0) == STEPS_IN_A_ROW:
                raise DivergedError(
                    f"the loss or the gradient of policy {policy!r} is no number in step {step}, as in the "
                    f"{STEPS_IN_A_ROW - 1} updates of it before; its weights are those before them",
                    help=f"look at train/grad_norm/{policy}, train/kl/{policy} and train/loss/{policy} in "
                    "metrics.jsonl and at the rewards in samples/; a lower actor.optim.lr or grad_clip, or "
                    'model_dtype = "fp32", may keep it finite',
                )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint keeps."""
        return {}, dict(self.steps)

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take back what `state` gave."""
        self.steps = dict(values)
