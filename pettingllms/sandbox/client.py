"""The client of one server: starts it, hands it programs, and reads what they wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pettingllms
from pettingllms.sandbox import bubblewrap, home
from pettingllms.sandbox.child import ERROR, VALUE
from pettingllms.sandbox.programs import Program, ProgramLimits, ProgramResult, ProgramStatus
from pettingllms.sandbox.values import decode, encode

START_SECONDS = 60.0
"""How long a server may take to start, on a machine that has much else to do."""
GRACE_SECONDS = 30.0
"""How long it may take beside its program; one that takes longer is given up."""
RUNS = 1000
"""After so many programs a server is exchanged for a new one."""

_PACKAGE = Path(pettingllms.__file__).resolve().parent
_CODE = (_PACKAGE / "__init__.py", _PACKAGE / "sandbox")
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pettingllms.sandbox.server import main; "
    "del sys.path[0]; main(*sys.argv[2:])"
)
_SHOWN = 200
"""Characters of an error's name; a program can write anything there."""


class LostServerError(Exception):
    """A server did not start, has ended, says nothing, or cannot do its work; the message says which."""


class Server:
    """One server and its process; one program at a time.

    `bwrap`: the path of bubblewrap, which goes around it; `without`: layers to leave out, for tests. Raises
    LostServerError where it does not start.
    """

    def __init__(self, bwrap: str | None = None, without: frozenset[str] = frozenset()) -> None:
        self._runs = 0
        with ExitStack() as opened:
            self._folder = Path(tempfile.mkdtemp(prefix="sandbox-")).resolve()
            opened.callback(shutil.rmtree, self._folder, ignore_errors=True)
            # A program may pass through, to its own folder in it.
            self._folder.chmod(0o711)
            self._log = opened.enter_context(tempfile.TemporaryFile())
            self._socket, theirs = socket.socketpair()
            with theirs:
                opened.enter_context(self._socket)
                self._process = self._started(theirs, bwrap, without)
                opened.callback(self._end)
            self.missing: dict[str, str] = self._said(START_SECONDS)["missing"]
            """Why layers could not be had, by their names."""
            self._opened = opened.pop_all()

    @property
    def worn(self) -> bool:
        """Whether it shall be exchanged for a new one."""
        return self._runs >= RUNS

    def run(self, program: Program, limits: ProgramLimits) -> ProgramResult:
        """Run one program. Raises LostServerError, and TypeError for arguments that cannot be sent."""
        self._runs += 1
        call = program.call
        order = {
            "source": program.source,
            "function": call.function if call else None,
            "arguments": encode(list(call.arguments)) if call else "",
        }
        # Characters that are no text go through as they are, as do bytes that are none.
        given = program.stdin.encode("utf-8", errors="surrogatepass")
        with ExitStack() as opened:
            files = [
                opened.enter_context(_file(content))
                for content in (json.dumps(order).encode(), given, b"", b"")
            ]
            self._ask(limits, files)
            said = self._said(limits.seconds + GRACE_SECONDS)
            if "broken" in said:
                raise LostServerError(said["broken"])
            *_, stdout, result = (_content(file, limits.output_bytes + 1) for file in files)
        return _result(ProgramStatus(said["status"]), stdout, result, limits, called=call is not None)

    def close(self) -> None:
        """End the server and everything in it."""
        self._opened.close()

    def _end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _started(
        self, theirs: socket.socket, bwrap: str | None, without: frozenset[str]
    ) -> subprocess.Popen[bytes]:
        # The same program does the same each time: sets of texts come in one order. And a thread takes no
        # address space but its stack.
        environment, passed = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}, []
        if bwrap is None and home.is_closed():
            passed = [home.opened()]
            environment["PYTHONHOME"] = home.home_of(passed[0])
        wall = bubblewrap.wall(bwrap, self._folder, _CODE) if bwrap else []
        command = [str(Path(sys.executable).resolve()), "-P", "-s", "-S", "-B", "-c", _START]
        try:
            return subprocess.Popen(
                [*wall, *command, str(_PACKAGE.parent), str(self._folder), ",".join(sorted(without))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd="/",
                env=environment,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            raise LostServerError(f"a sandbox server cannot be started: {error}") from error
        finally:
            for descriptor in passed:
                os.close(descriptor)

    def _ask(self, limits: ProgramLimits, files: list[IO[bytes]]) -> None:
        order = {
            "seconds": limits.seconds,
            "memory": limits.memory_mib << 20,
            "output": limits.output_bytes,
        }
        try:
            socket.send_fds(self._socket, [json.dumps(order).encode()], [file.fileno() for file in files])
        except OSError as error:
            raise LostServerError(f"the sandbox server has ended: {error}") from error

    def _said(self, seconds: float) -> dict[str, Any]:
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(1 << 16)
        except TimeoutError as silent:
            raise LostServerError(f"the sandbox server says nothing for {seconds:.0f} s") from silent
        except OSError as error:
            raise LostServerError(f"the sandbox server has ended: {error}") from error
        if not message:
            raise LostServerError(f"the sandbox server has ended: {self._last_words()}")
        said: dict[str, Any] = json.loads(message)
        return said

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read(1 << 16).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it left no word"


@contextmanager
def _file(content: bytes) -> Iterator[IO[bytes]]:
    """A file in memory, or without a name, that begins with `content`."""
    if sys.platform == "linux":
        opened: IO[bytes] = os.fdopen(os.memfd_create("program"), "w+b", buffering=0)
    else:
        opened = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    with opened as file:
        place = 0
        while place < len(content):
            place += os.pwrite(file.fileno(), content[place:], place)
        yield file


def _content(file: IO[bytes], limit: int) -> bytes:
    return os.pread(file.fileno(), limit, 0)


def _result(
    status: ProgramStatus, stdout: bytes, result: bytes, limits: ProgramLimits, *, called: bool
) -> ProgramResult:
    if max(len(stdout), len(result)) > limits.output_bytes:
        status = ProgramStatus.OUTPUT_LIMIT
    error, value = "", None
    if result.startswith(ERROR):
        error = result[len(ERROR) :].decode(errors="replace")[:_SHOWN]
    if called and status is ProgramStatus.OK:
        try:
            value = _value(result)
        except ValueError as cause:
            status, error = ProgramStatus.BAD_RESULT, error or str(cause)
    text = stdout[: limits.output_bytes].decode("utf-8", errors="replace")
    return ProgramResult(status, text, value, error)


def _value(result: bytes) -> Any:
    if not result.startswith(VALUE):
        raise ValueError("the function returned nothing")
    return decode(result[len(VALUE) :])
