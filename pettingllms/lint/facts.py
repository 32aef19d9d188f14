"""What this machine has, as far as rules ask; found without importing a GPU library."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one machine. `gpus`: NVIDIA GPUs that a run could use; None where that is not known."""

    gpus: int | None

    @classmethod
    def here(cls) -> Facts:
        """The facts of this machine; `CUDA_VISIBLE_DEVICES` hides GPUs here as it does in a run."""
        present = _nvidia_gpus()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return cls(present if visible is None else min(present, _usable(visible)))


def _nvidia_gpus() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _usable(visible: str) -> int:
    """Number of devices that a `CUDA_VISIBLE_DEVICES` value names; CUDA stops at the first bad one."""
    count = 0
    for device in visible.split(","):
        if not device.strip() or device.strip().startswith("-"):
            break
        count += 1
    return count
