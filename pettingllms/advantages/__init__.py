"""From rewards to advantages: a table of estimators over plain floats."""

from collections.abc import Callable, Sequence

from pettingllms.registry import Registry

Estimator = Callable[[Sequence[float]], list[float]]
"""Rewards of one group in, their advantages out, in order."""

ADVANTAGES: Registry[Estimator] = Registry(
    "advantage estimator", {"grpo": "pettingllms.advantages.grpo:grpo"}
)
