"""What a machine has, as far as rules ask: looked up here without a GPU library, or assumed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from pettingllms.errors import UsageError
from pettingllms.registry import closest

UNITS = {"B": 1} | {
    f"{letter}{end}": base ** (power + 1)
    for power, letter in enumerate("KMGT")
    for end, base in (("B", 1000), ("iB", 1024))
}
EXAMPLE = "gpus=8,gpu_memory=80GiB,disk=2TB"
_NAMES = ("gpus", "gpu_memory", "disk")
"""What can be assumed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one machine; None where one is not known.

    `gpus`: NVIDIA GPUs that a run could use. `gpu_memory`: bytes of the smallest of them. `disk_free`:
    bytes that a run could write. `local`: this is the machine that asks, so that paths can be looked at.
    """

    gpus: int | None = None
    gpu_memory: int | None = None
    disk_free: int | None = None
    local: bool = False

    @classmethod
    def here(cls) -> Facts:
        """The facts of this machine; `CUDA_VISIBLE_DEVICES` hides GPUs here as it does in a run."""
        sizes = _nvidia_gpus()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            sizes = _visible(sizes, visible)
        known = [size for size in sizes if size is not None]
        return cls(len(sizes), min(known, default=None), _free_here(), local=True)

    @classmethod
    def assumed(cls, *texts: str, over: Facts | None = None) -> Facts:
        """The facts that texts such as `gpus=8,gpu_memory=80GiB,disk=2TB` name, on top of `over`.

        Of a name that stands twice the last one counts. Raises UsageError for what cannot be read.
        """
        base, found = over or cls(), {}
        for item in (item for text in texts for item in text.split(",")):
            name, equals, value = (part.strip() for part in item.partition("="))
            if not equals:
                raise UsageError(f"{name!r} is no assumption", help=f"write {EXAMPLE}")
            if name not in _NAMES:
                near = closest(name, _NAMES)
                advice = f"did you mean {near}?" if near else f"known: {', '.join(_NAMES)}"
                raise UsageError(f"nothing can be assumed about {name!r}", help=advice)
            found[name] = _count(name, value) if name == "gpus" else _size(name, value)
        return replace(
            base,
            gpus=found.get("gpus", base.gpus),
            gpu_memory=found.get("gpu_memory", base.gpu_memory),
            disk_free=found.get("disk", base.disk_free),
        )


def _count(name: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", value):
        raise UsageError(f"{name}={value}: not a whole number from 0 up", help=f"write {EXAMPLE}")
    return int(value)


def _size(name: str, value: str) -> int:
    """Bytes from a number with a unit: a bare number leaves open what it counts."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([A-Za-z]*)", value)
    unit = _unit(match.group(2)) if match else None
    if match is None or unit is None:
        advice = f"write a number from 0 up with one of {', '.join(UNITS)}, as in {EXAMPLE}"
        raise UsageError(f"{name}={value}: not a size", help=advice)
    return int(float(match.group(1)) * unit)


def _unit(written: str) -> int | None:
    return next((size for name, size in UNITS.items() if name.lower() == written.lower()), None)


def _nvidia_gpus() -> list[int | None]:
    """The memory of every NVIDIA GPU in bytes, in the driver's order; None where it does not tell."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=index,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = re.findall(r"^\s*[0-9]+\s*,\s*(.*?)\s*$", listed.stdout, re.MULTILINE)
    return [int(size) * 2**20 if re.fullmatch("[0-9]+", size) else None for size in rows]


def _visible(sizes: list[int | None], visible: str) -> list[int | None]:
    """What a `CUDA_VISIBLE_DEVICES` value leaves of `sizes`; CUDA stops at the first bad device."""
    kept: list[int | None] = []
    for device in (part.strip() for part in visible.split(",")):
        if not device or device.startswith("-") or len(kept) == len(sizes):
            break
        # A device may also be named by its UUID, which does not say which row it is.
        index = int(device) if re.fullmatch("[0-9]{1,4}", device) else None
        if index is not None and index >= len(sizes):
            break
        kept.append(sizes[index] if index is not None else min(sizes, key=lambda size: size or 0))
    return kept


def _free_here() -> int | None:
    """Bytes that this user may write below the current folder, where runs are put."""
    try:
        return shutil.disk_usage(Path.cwd()).free
    except OSError:
        return None
