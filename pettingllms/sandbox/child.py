"""What runs in the process of one program: the layers are put on, the program runs, its result is written.

The process is forked from the server and ends here. It holds nothing but its own program: no expected value,
and no other program.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

from pettingllms.sandbox.identity import become
from pettingllms.sandbox.landlock import restrict
from pettingllms.sandbox.limits import close_all_but, end_with, limit_processes, set_limits
from pettingllms.sandbox.seccomp import forbid_calls
from pettingllms.sandbox.values import decode, encode

READY = b"ready"
"""What the process says once all layers are on; the program cannot say it, as the pipe is closed by then."""
MEMORY_EXIT = 86
"""The exit status of a program that ran out of memory."""
VALUE, ERROR = b"=", b"!"
"""How the result begins: a value that `values` encoded, or the name of what was raised."""

_STREAMS = (("stdin", "r", "surrogateescape"), ("stdout", "w", "surrogateescape"), ("stderr", "w", "replace"))
_RESULT = 3
_HIGHEST = 1023
_SOME = 1 << 20


@dataclass(frozen=True, slots=True)
class Layers:
    """What a server puts on its programs.

    `user`: whom they run as, None for the server's own. `rules`: a descriptor of `landlock.ruleset`, None
    without them. `calls`: whether system calls are filtered. `home`: a descriptor that stays open, see
    `home.py`.
    """

    user: int | None = None
    rules: int | None = None
    calls: bool = False
    home: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What the server is asked to run: limits, and open files that hold the program and take what it writes.

    `seconds`: wall clock. `memory`, `output`: bytes.
    """

    seconds: float
    memory: int
    output: int
    program: int
    stdin: int
    stdout: int
    result: int


def run_child(order: Order, layers: Layers, scratch: str, ready: int, server: int) -> NoReturn:
    """Put all `layers` on this process, tell `ready`, and run the program to the end of the process."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGXFSZ, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.chdir(scratch)
        for descriptor, place in ((order.stdin, 0), (order.stdout, 1), (order.result, _RESULT)):
            os.dup2(descriptor, place)
        # The server's own log would be shared by all programs.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        kept = {0, 1, 2, _RESULT, order.program, ready, layers.rules, layers.home} - {None}
        close_all_but({number for number in kept if number is not None}, _HIGHEST)
        confine(layers, order.seconds, order.memory, order.output, server)
        os.write(ready, READY)
        os.close(ready)
    except BaseException as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(code)
    try:
        code = _run(order.program)
    except MemoryError:
        code = MEMORY_EXIT
    finally:
        os._exit(code)


def confine(layers: Layers, seconds: float, memory: int, output: int, server: int) -> None:
    """Put the layers on this process, for good. Raises OSError where one cannot be had."""
    # One byte more than allowed tells too much from just enough.
    set_limits(seconds, memory, output + 1)
    if layers.user is not None:
        limit_processes()
        become(layers.user)
    end_with(server)
    if layers.rules is not None:
        restrict(layers.rules)
        os.close(layers.rules)
    if layers.calls:
        forbid_calls()


def _run(descriptor: int) -> int:
    """Run the program that the file holds, to the end of its threads; returns its exit status."""
    order = json.loads(_content(descriptor))
    os.close(descriptor)
    _renew()
    code = 0
    try:
        _execute(order["source"], order["function"], order["arguments"])
    except SystemExit as asked:
        code = _exit_status(asked.code)
    except MemoryError:
        code = MEMORY_EXIT
    except BaseException as error:
        code = 1
        _write(ERROR, type(error).__name__)
    _finish()
    return code


def _content(descriptor: int) -> bytes:
    parts, place = [], 0
    while part := os.pread(descriptor, _SOME, place):
        parts.append(part)
        place += len(part)
    return b"".join(parts)


def _renew() -> None:
    """Give the program what a fresh interpreter has, the same each time."""
    os.environ.clear()
    atexit._clear()
    sys.argv = ["program"]
    for descriptor, (name, mode, errors) in enumerate(_STREAMS):
        stream = open(descriptor, mode, encoding="utf-8", errors=errors)  # noqa: PTH123, SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    # Long integers can be printed, as the clock bounds what that takes.
    sys.set_int_max_str_digits(0)
    random.seed(0)


def _execute(source: str, function: str | None, arguments: str) -> None:
    name = "__main__" if function is None else "program"
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, "program", "exec", dont_inherit=True), module.__dict__)
    if function is None:
        return
    value = _function(module, function)(*decode(arguments))
    try:
        text = encode(value)
    except (TypeError, RecursionError) as error:
        _write(ERROR, str(error))
    else:
        _write(VALUE, text)


def _function(module: ModuleType, name: str) -> Any:
    if not hasattr(module, name) and hasattr(module, "Solution"):
        return getattr(module.Solution(), name)
    return getattr(module, name)


def _write(kind: bytes, text: str) -> None:
    """Leave the result, in place of whatever the program may have left there."""
    content = kind + text.encode("utf-8", errors="replace")
    os.ftruncate(_RESULT, 0)
    place = 0
    while place < len(content):
        place += os.pwrite(_RESULT, content[place:], place)


def _exit_status(code: Any) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _finish() -> None:
    """What an interpreter does at its end, as far as it can be seen from outside."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None and not stream.closed:
            stream.flush()
