"""What a study has used of its budget: hours by the clock, and hours times GPUs.

The clock of a study runs while any worker is at work. The header keeps it: whoever writes to the ledger adds
the time since the last such moment, unless that is longer ago than a lease, when nobody was there.
"""

from __future__ import annotations

from pettingllms.config.sweep import BudgetConfig
from pettingllms.sweep.ledger.rows import Table

CLOCK = "clock"
"""The key of the header: `seconds` that the study was at work, and the moment `at` of the last look."""


def ticked(table: Table, budget: BudgetConfig | None, now: float, lease: float) -> None:
    """Let the clock of the study go on to `now`, in Unix seconds; only where the budget has hours."""
    if budget is None or budget.hours is None:
        return
    clock = table.header.get(CLOCK, {"seconds": 0.0, "at": now})
    passed = max(0.0, now - clock["at"])
    seconds = clock["seconds"] + (passed if passed <= lease else 0.0)
    table.set_header({**table.header, CLOCK: {"seconds": seconds, "at": max(now, clock["at"])}})


def spent(table: Table, budget: BudgetConfig | None) -> str | None:
    """Which part of the budget is used up, in words; None where another trial may start."""
    if budget is None:
        return None
    hours = table.header.get(CLOCK, {"seconds": 0.0})["seconds"] / 3600
    if budget.hours is not None and hours >= budget.hours:
        return f"the budget of {budget.hours:g} hours is used up ({hours:.3g})"
    gpu_hours = sum(row.gpu_seconds for row in table.rows.values()) / 3600
    if budget.gpu_hours is not None and gpu_hours >= budget.gpu_hours:
        return f"the budget of {budget.gpu_hours:g} GPU hours is used up ({gpu_hours:.3g})"
    return None
