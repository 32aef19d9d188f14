"""The sandbox of this machine, tried by attack: what held, and which layer is missing where it did not."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pettingllms.errors import InfrastructureError
from pettingllms.sandbox import bubblewrap
from pettingllms.sandbox.attacks import ATTACKS, HELD, Area, Attack
from pettingllms.sandbox.pool import Pool
from pettingllms.sandbox.programs import Program, ProgramLimits, ProgramResult, ProgramStatus

LIMITS = ProgramLimits(seconds=20, memory_mib=256)
SHORT = ProgramLimits(seconds=0.3, memory_mib=256)
"""For the attack that uses up its time."""

LAYERS = {
    "users": "users (programs run as one that no one else is)",
    "files": "files (Landlock)",
    "calls": "system calls (seccomp)",
    "bubblewrap": "namespaces (bubblewrap)",
}
"""The layers above time, memory and output limits, as people read them."""

_BUBBLEWRAP = "install bubblewrap (apt-get install bubblewrap)"
_FILES = f"run on Linux 5.13 or later with Landlock enabled (lsm=landlock,... at boot), or {_BUBBLEWRAP}"
_CALLS = "allow seccomp filters to this container or service"
_FIXES = {
    Area.LIMITS: (None, "run under Linux"),
    Area.READING: ("files", _FILES),
    Area.WRITING: ("files", _FILES),
    Area.NETWORK: ("calls", f"{_CALLS}, or {_BUBBLEWRAP}"),
    Area.PROCESSES: ("calls", _CALLS),
    Area.PYTHON: (None, f"install Python where every user can read it, or {_BUBBLEWRAP}"),
}
"""For each area, the layer that keeps it safe, and how to get that."""


class Strength(StrEnum):
    """How well programs are kept in."""

    NONE = "none"
    """Limits at best."""
    MEDIUM = "medium"
    """Within limits, and away either from files or from networks and other processes."""
    STRONG = "strong"
    """Within limits, and away from files, networks and other processes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The sandbox as it was found.

    `layers`: by name, "" or why it cannot be had. `attacks`: by name, whether the attack was held. `missing`:
    what is in the way of `strong`, each with its fix.
    """

    strength: Strength
    layers: Mapping[str, str]
    attacks: Mapping[str, bool]
    missing: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """What a manifest keeps."""
        return {"strength": str(self.strength), "missing": list(self.missing)}

    def data(self) -> dict[str, Any]:
        """All of it, for programs."""
        return self.record() | {"layers": dict(self.layers), "attacks": dict(self.attacks)}


def as_lines(data: Mapping[str, Any]) -> list[str]:
    """The table of `Probe.data` that people read: strength, what is missing, layers, and what was tried."""
    found = [data["strength"], *(f"missing: {text}" for text in data["missing"])]
    width = max(map(len, LAYERS.values()))
    for name, reason in data["layers"].items():
        found.append(f"{LAYERS[name]:{width}}  {f'no: {reason}' if reason else 'yes'}")
    for area in Area if data["attacks"] else ():
        tried = {attack.name: data["attacks"][attack.name] for attack in ATTACKS if attack.area is area}
        escaped = [name for name, held in tried.items() if not held]
        verdict = f"NOT SAFE: a program {', '.join(escaped)}" if escaped else f"safe, {len(tried)} tried"
        if area is Area.PYTHON:
            verdict = "programs cannot import it" if escaped else "yes"
        found.append(f"{area:{width}}  {verdict}")
    return found


@cache
def probed() -> Probe:
    """The sandbox of this machine, tried once in a process."""
    if sys.platform == "win32":
        return Probe(Strength.NONE, {}, {}, ("there is no sandbox on Windows; run under Linux, or WSL",))
    with closing(Pool(1)) as pool:
        return probe(pool)


def probe(pool: Pool) -> Probe:
    """Try every attack on `pool`; takes about a second."""
    try:
        layers = dict.fromkeys(LAYERS, "") | pool.layers()
    except InfrastructureError as failure:
        return Probe(Strength.NONE, {}, {}, (f"{failure}; run where one can be started",))
    held = {attack.name: False for attack in ATTACKS}
    with _targets() as targets:
        for attack in ATTACKS:
            held[attack.name] = _holds(pool, attack, targets)
    safe = {area: all(held[attack.name] for attack in ATTACKS if attack.area is area) for area in Area}
    return Probe(_strength(safe), layers, held, tuple(_missing(safe, layers)))


def _holds(pool: Pool, attack: Attack, targets: str) -> bool:
    limits = SHORT if attack.status is ProgramStatus.TIMEOUT else LIMITS
    try:
        (result,) = pool.run([Program(attack.program(targets))], limits)
    except InfrastructureError:
        # It has ended its server.
        return False
    return _held(attack, result)


def _held(attack: Attack, result: ProgramResult) -> bool:
    if attack.status is not ProgramStatus.OK:
        return result.status is attack.status
    return (result.status, result.stdout) == (ProgramStatus.OK, f"{HELD}\n")


def _strength(safe: Mapping[Area, bool]) -> Strength:
    if all(safe.values()):
        return Strength.STRONG
    files = safe[Area.READING] and safe[Area.WRITING]
    calls = safe[Area.NETWORK] and safe[Area.PROCESSES]
    if safe[Area.LIMITS] and safe[Area.PYTHON] and (files or calls):
        return Strength.MEDIUM
    return Strength.NONE


def _missing(safe: Mapping[Area, bool], layers: Mapping[str, str]) -> Iterator[str]:
    for area, (layer, fix) in _FIXES.items():
        if not safe[area]:
            name = LAYERS[layer] if layer else ""
            why = (
                f"the layer of {name} is missing: {layers[layer]}" if layer and layers[layer] else "not safe"
            )
            help_text = fix
            if layer == "files" and bubblewrap.installed() and layers["bubblewrap"]:
                help_text += f" and let it make namespaces ({layers['bubblewrap']})"
            yield f"{area}: {why}; {help_text}"


@contextmanager
def _targets() -> Iterator[str]:
    """What attacks are made on, all of it open to every user; as assignments of Python."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="targets-"))).resolve()
        folder.chmod(0o777)
        for name in ("file", "removed", "renamed"):
            (folder / name).write_text("not for programs")
            (folder / name).chmod(0o666)
        for address in (str(folder / "socket"), f"\0{folder}"):
            listening = opened.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(address)
            listening.listen()
        (folder / "socket").chmod(0o777)
        served = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        values = {
            "folder": str(folder),
            "file": str(folder / "file"),
            "package": str(Path(__file__).resolve().parents[1] / "errors.py"),
            "port": served.getsockname()[1],
            "process": os.getpid(),
        }
        yield "; ".join(f"{name} = {value!r}" for name, value in values.items())
