"""From rewards to advantages: a table of estimators over plain floats."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pettingllms.registry import Registry

Estimator = Callable[[Sequence[Sequence[float]]], list[list[float]]]
"""Rewards of all groups of one policy's batch in, their advantages out, in order and of the same shape."""

ADVANTAGES: Registry[Estimator] = Registry(
    "advantage estimator",
    {
        "grpo": "pettingllms.advantages.grpo:grpo",
        "dr_grpo": "pettingllms.advantages.dr_grpo:dr_grpo",
        "rloo": "pettingllms.advantages.rloo:rloo",
        "reinforce_plus_plus": "pettingllms.advantages.reinforce_plus_plus:reinforce_plus_plus",
    },
)


class Algorithm(Protocol):
    """What is read of a policy's `algorithm` section."""

    @property
    def adv_estimator(self) -> str:
        """Name of the estimator."""

    @property
    def norm_adv_by_std_in_grpo(self) -> bool:
        """Whether `grpo` divides by the standard deviation of the group."""

    @property
    def grouping(self) -> str:
        """`agent_turn` or `trajectory`."""

    @property
    def mask_truncated_samples(self) -> bool:
        """Whether samples cut off at the token limit are left out of the loss."""


def estimator_of(algorithm: Algorithm) -> Estimator:
    """The estimator that `algorithm` asks for; `grpo` without its division is `dr_grpo`.

    Raises RefusedError when there is none of that name.
    """
    name = algorithm.adv_estimator
    if name == "grpo" and not algorithm.norm_adv_by_std_in_grpo:
        name = "dr_grpo"
    return ADVANTAGES.load(name)
