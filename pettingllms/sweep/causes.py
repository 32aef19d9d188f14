"""Why an attempt of a trial ended without a result, as far as it decides about another attempt."""

from __future__ import annotations

import re

from pettingllms.sweep.follow import log_tail
from pettingllms.sweep.ledger.rows import Cause
from pettingllms.sweep.runner import TrialResult

OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|MemoryError|Cannot allocate memory|not enough memory"
    r"|No available memory for the cache blocks|less than desired GPU memory utilization",
    re.IGNORECASE,
)
"""What PyTorch, CUDA, vLLM, Python and the runner (of SIGKILL) say where there was too little memory."""
PORT_TAKEN = re.compile(r"Address already in use|EADDRINUSE|port .{0,60}already in use", re.IGNORECASE)
BACKOFF: dict[Cause, float] = {"oom": 30.0, "port": 1.0, "preempted": 0.0}
"""Seconds until a cell is tried again, by what ended it: others may need the memory for a while."""


def cause_of(result: TrialResult) -> Cause:
    """The cause of a trial that failed, or that a signal from outside stopped."""
    if result.status == "interrupted":
        return "preempted"
    said = [result.reason or "", *log_tail(result.log_path)]
    if any(map(OUT_OF_MEMORY.search, said)):
        return "oom"
    return "port" if any(map(PORT_TAKEN.search, said)) else "error"
