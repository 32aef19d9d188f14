"""The server: a warm interpreter that forks a process for each program, and ends it when its time is over.

It is started by `client.py` in an environment of its own, and imports nothing but the standard library and
this package's sandbox. Programs, their input and what they write are files that the client opened; the
server hands them on and never reads them, so that no program leaves a trace in the memory that the next one
inherits.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pettingllms.sandbox import landlock
from pettingllms.sandbox.child import MEMORY_EXIT, READY, Layers, Order, confine, run_child
from pettingllms.sandbox.identity import empty_bounding_set, program_user
from pettingllms.sandbox.limits import THREADS
from pettingllms.sandbox.scratch import emptied, fresh, overfull

WARM = (
    *(
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
    ),
    *("hashlib", "heapq", "io", "itertools", "math", "operator", "queue", "random", "re", "string", "typing"),
)
"""What many programs import."""
TICK = 0.05
"""Seconds between looks at what a program uses beside time."""
SETUP_SECONDS = 10.0
"""How long a process may take until it is ready for its program."""

_SIGNALS = {int(signal.SIGXCPU): "timeout", int(signal.SIGXFSZ): "output_limit"}
_CODES = {0: "ok", MEMORY_EXIT: "memory_limit"}
_TRIED = (1.0, 1 << 32, 1 << 16)


def main(folder: str, without: str) -> None:
    """Serve the client at descriptor 0 until it is gone. `without`: layers that are left out, for tests."""
    with socket.socket(fileno=os.dup(0)) as control:
        os.dup2(2, 0)
        _Server(control, Path(folder), frozenset(without.split(","))).serve()


class _Server:
    def __init__(self, control: socket.socket, folder: Path, without: frozenset[str]) -> None:
        self._control, self._folder, self._without = control, folder, without
        self._ended, waker = os.pipe()
        for descriptor in (self._ended, waker):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._layers = Layers(home=_home())
        self._missing: dict[str, str] = {}

    def serve(self) -> None:
        """Say which layers there are, then run what comes."""
        for module in WARM:
            importlib.import_module(module)
        builtins.exit, builtins.quit = (_sitebuiltins.Quitter(name, "") for name in ("exit", "quit"))
        self._find_layers()
        gc.collect()
        gc.freeze()
        self._send({"missing": self._missing})
        try:
            while True:
                message, descriptors, _, _ = socket.recv_fds(self._control, 4096, 4)
                if not message:
                    break
                self._send(self._run(Order(**json.loads(message), **_named(descriptors))))
                for descriptor in descriptors:
                    os.close(descriptor)
        finally:
            # Unless the client was faster.
            with suppress(OSError):
                emptied(self._folder)
                self._folder.rmdir()

    def _send(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode())

    def _find_layers(self) -> None:
        """Try each layer in a process of its own; what cannot be had is not put on programs."""
        if sys.platform != "linux":
            self._missing = dict.fromkeys(("users", "files", "calls"), f"there is none on {sys.platform}")
            return
        home = self._layers.home
        found: dict[str, Any] = {}
        user = program_user()
        if user is None:
            self._missing["users"] = "only root can change it"
        elif self._has("users", Layers(user=user)):
            found["user"] = user
            empty_bounding_set()
        if "files" in self._without:
            self._missing["files"] = "left out"
        else:
            try:
                rules = landlock.ruleset(Path(sysconfig.get_path("stdlib")), self._folder)
            except OSError as error:
                self._missing["files"] = str(error)
            else:
                if self._has("files", Layers(rules=rules)):
                    found["rules"] = rules
        if self._has("calls", Layers(calls=True)):
            found["calls"] = True
        self._layers = Layers(home=home, **found)

    def _has(self, name: str, layers: Layers) -> bool:
        """Whether this layer can be put on a process here; else `missing` says why."""
        if name in self._without:
            self._missing[name] = "left out"
            return False
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                confine(layers, *_TRIED, os.getppid())
                os.write(writing, READY)
            except BaseException as error:
                os.write(writing, str(error).encode()[:1000])
            finally:
                os._exit(0)
        os.close(writing)
        said = self._said(reading)
        self._end(child)
        if said != READY.decode():
            self._missing[name] = said or "the process ended"
        return said == READY.decode()

    def _run(self, order: Order) -> dict[str, str]:
        """Run one program; returns its `status`, or what is `broken` here."""
        try:
            scratch = fresh(self._folder, self._layers.user)
            reading, writing = os.pipe()
            server = os.getpid()
            child = os.fork()
        except OSError as error:
            return {"broken": f"no program can be started: {error}"}
        if child == 0:
            self._control.detach()
            run_child(order, self._layers, str(scratch), writing, server)
        os.close(writing)
        status = None
        try:
            said = self._said(reading)
            if said == READY.decode():
                status = self._watch(child, time.monotonic() + order.seconds)
        finally:
            code = self._end(child)
        if not emptied(self._folder):
            return {"broken": "the scratch folder cannot be emptied"}
        if said != READY.decode():
            return {"broken": f"a program cannot be confined: {said or 'its process did not get ready'}"}
        return {"status": status or _status(code)}

    def _said(self, descriptor: int) -> str:
        """What a process says of its layers; empty where it says nothing in time. Closes `descriptor`."""
        try:
            if select.select([descriptor], [], [], SETUP_SECONDS)[0]:
                return os.read(descriptor, 4096).decode(errors="replace")
            return ""
        finally:
            os.close(descriptor)

    def _watch(self, child: int, deadline: float) -> str | None:
        """Wait for the end of a program; returns the limit that it went over, None where it just ended."""
        control = self._control.fileno()
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._ended, control], [], [], min(left, TICK))
            if self._ended in ready:
                return None
            if control in ready:
                # The client says nothing while it waits: it is gone.
                raise SystemExit
            if overfull(self._folder):
                return "output_limit"
            if _threads(child) > THREADS:
                return "memory_limit"
        return "timeout"

    def _end(self, child: int) -> int:
        """Kill a process and what it started, where it has not ended; returns its wait status."""
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        _, code = os.waitpid(child, 0)
        with suppress(BlockingIOError):
            os.read(self._ended, 4096)
        return code


def _named(descriptors: list[int]) -> dict[str, int]:
    return dict(zip(("program", "stdin", "stdout", "result"), descriptors, strict=True))


def _status(code: int) -> str:
    if os.WIFSIGNALED(code):
        # A plain number: Python has no name for some real-time signals.
        return _SIGNALS.get(os.WTERMSIG(code), "error")
    return _CODES.get(os.WEXITSTATUS(code), "error")


def _threads(process: int) -> int:
    """How many threads a process has; 0 where the system does not tell."""
    try:
        # A folder has a link for itself, one from above, and one from each folder in it.
        return os.stat(f"/proc/{process}/task").st_nlink - 2  # noqa: PTH116
    except OSError:
        return 0


def _home() -> int | None:
    """The descriptor of Python's folder, where this process reached it by one."""
    _, _, number = os.environ.get("PYTHONHOME", "").rpartition("/fd/")
    return int(number) if number else None
