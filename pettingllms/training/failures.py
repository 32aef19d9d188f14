"""What a run says when it fails: in its own words, or those of whoever raised the error."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass

from pettingllms.errors import CheckpointError, PettingLLMsError

FAILED = 3
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_SAID = ("StorageFull", "No space left on device", "FileTooLarge", "File too large")
"""What safetensors says, whose errors have no number."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`expected`: the text says all, where in the code it was found helps nobody."""

    text: str
    exit_code: int = FAILED
    help: str | None = None
    expected: bool = False

    @property
    def line(self) -> str:
        """The text with what to do."""
        return f"{self.text}; {self.help}" if self.help else self.text


def explained(error: Exception) -> Failure:
    """What to say of `error`, which ends the run."""
    if isinstance(error, PettingLLMsError):
        told = error.__cause__ is None or isinstance(error, CheckpointError)
        return Failure(str(error), error.exit_code, error.help, expected=told)
    if _disk_is_full(error):
        return Failure(
            f"the disk is full: {error}",
            help="free space; `pettingllms train --resume` then goes on from the newest checkpoint",
            expected=True,
        )
    if _memory_ran_out(error):
        first, *_ = str(error).splitlines() or [type(error).__name__]
        return Failure(
            f"memory ran out where nothing smaller could be tried: {first}",
            help='gradients and moments need less with specialization = "lora", low ranks, a smaller model '
            "or more processes; engines leave more with a smaller gpu_memory_utilization",
        )
    return Failure(f"{type(error).__name__}: {error}")


def _disk_is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return "Safetensor" in type(error).__name__ and any(words in str(error) for words in FULL_SAID)


def _memory_ran_out(error: Exception) -> bool:
    # Without torch there was nothing that could have run out of it.
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from pettingllms.training.memory import ran_out

    return ran_out(error)
