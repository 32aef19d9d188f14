"""What a whole study takes, and how much of it a budget allows."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pettingllms.config.sweep import BudgetConfig


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one trial."""

    seconds: float
    gpus: int


@dataclass(frozen=True, slots=True)
class Total:
    """Of a study. `hours`: by the clock; `trials`: those that begin; `allowed`: of them within the budget."""

    trials: int
    hours: float
    gpu_hours: float
    allowed: int
    allowed_hours: float
    allowed_gpu_hours: float

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def total_of(costs: Sequence[Cost], jobs: int, budget: BudgetConfig | None) -> Total:
    """Run `costs` in their order, `jobs` at a time; a trial begins while the budget is not used up.

    Used up is what trials that have ended took. One that has begun is not cut short, so that a study may take
    more than its budget.
    """
    whole = _run(costs, jobs, None)
    within = whole if budget is None else _run(costs, jobs, budget)
    return Total(whole[0], whole[1], whole[2], *within)


def _run(costs: Sequence[Cost], jobs: int, budget: BudgetConfig | None) -> tuple[int, float, float]:
    """How many trials begin, when the last one ends, and how many GPU hours they take together."""
    busy: list[tuple[float, float]] = []
    ended = last = spent = 0.0
    for begun, cost in enumerate(costs):
        now = 0.0
        if len(busy) == jobs:
            now, gpu_hours = heapq.heappop(busy)
            ended += gpu_hours
        if budget is not None and (
            now >= (budget.hours or math.inf) or ended >= (budget.gpu_hours or math.inf)
        ):
            return begun, last, spent
        hours = cost.seconds / 3600
        spent += hours * cost.gpus
        last = max(last, now + hours)
        heapq.heappush(busy, (now + hours, hours * cost.gpus))
    return len(costs), last, spent
