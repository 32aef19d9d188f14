"""What the sandbox is tried with: small programs, each of which attacks one thing that it shall keep safe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pettingllms.sandbox.programs import ProgramStatus


class Area(StrEnum):
    """What a program shall not get at, and that it has what it needs."""

    LIMITS = "limits"
    READING = "reading files"
    WRITING = "writing files"
    NETWORK = "network"
    PROCESSES = "other processes"
    PYTHON = "standard library"


@dataclass(frozen=True, slots=True)
class Attack:
    """One program. It finds `folder`, `file` in it, `package`, `port` and `process`, which are its targets.

    It is held where it ends with `status`, and where that is OK, by an OSError: then it prints `HELD`.
    """

    name: str
    area: Area
    source: str
    status: ProgramStatus = ProgramStatus.OK

    def program(self, targets: str) -> str:
        """The source, behind the assignments `targets`."""
        if self.status is not ProgramStatus.OK:
            return self.source
        lines = "".join(f"    {line}\n" for line in self.source.splitlines())
        held = f"except (OSError, ValueError):\n    print({HELD!r})\n"
        return f"import os, socket\n{targets}\ntry:\n{lines}{held}else:\n    print('escaped')\n"


HELD = "held"
"""What an attack prints when the system refuses it."""

_CALL = "import ctypes\nif ctypes.CDLL(None).{call} < 0: raise OSError"

ATTACKS = (
    Attack("takes all memory", Area.LIMITS, "x = bytearray(1 << 34)", ProgramStatus.MEMORY_LIMIT),
    Attack("prints without end", Area.LIMITS, "while True: print('x' * 4096)", ProgramStatus.OUTPUT_LIMIT),
    Attack("runs without end", Area.LIMITS, "while True: pass", ProgramStatus.TIMEOUT),
    Attack(
        "writes many files",
        Area.LIMITS,
        "import time\nfor n in range(400): open(str(n), 'w')\ntime.sleep(9)",
        ProgramStatus.OUTPUT_LIMIT,
    ),
    Attack(
        "lifts its limits",
        Area.LIMITS,
        "import resource as r\nr.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))",
    ),
    Attack("reads a file", Area.READING, "open(file).read()"),
    Attack("lists a folder", Area.READING, "os.listdir(folder)"),
    Attack("reads this package", Area.READING, "open(package).read()"),
    Attack("reads an environment", Area.READING, "open(f'/proc/{process}/environ').read()"),
    Attack("writes a file", Area.WRITING, "open(file, 'a')"),
    Attack("makes a file", Area.WRITING, "open(folder + '/new', 'w')"),
    Attack("removes a file", Area.WRITING, "os.unlink(folder + '/removed')"),
    Attack("renames a file", Area.WRITING, "os.rename(folder + '/renamed', folder + '/moved')"),
    Attack("cuts a file", Area.WRITING, "os.truncate(file, 0)"),
    Attack("opens a file to all", Area.WRITING, "os.chmod(file, 0o777)"),
    Attack("changes times of a file", Area.WRITING, "os.utime(file, (0, 0))"),
    Attack("links into a folder", Area.WRITING, "os.symlink(file, folder + '/link')"),
    Attack("connects over TCP", Area.NETWORK, "socket.create_connection(('127.0.0.1', port), 1)"),
    Attack("connects to a socket", Area.NETWORK, "socket.socket(socket.AF_UNIX).connect(folder + '/socket')"),
    Attack(
        "connects to an abstract socket",
        Area.NETWORK,
        "socket.socket(socket.AF_UNIX).connect('\\0' + folder)",
    ),
    Attack("starts a process", Area.PROCESSES, "if not os.fork(): os._exit(0)"),
    Attack("runs another program", Area.PROCESSES, "os.execv('/bin/true', ['true'])"),
    Attack("signals this process", Area.PROCESSES, "os.kill(process, 0)"),
    Attack("signals its server", Area.PROCESSES, "os.kill(os.getppid(), 0)"),
    Attack("signals everyone", Area.PROCESSES, "os.kill(-1, 0)"),
    Attack(
        "has its server signalled",
        Area.PROCESSES,
        "import fcntl\nfcntl.fcntl(socket.socketpair()[0], fcntl.F_SETOWN, os.getppid())",
    ),
    # PTRACE_SEIZE, which does not stop the other process.
    Attack(
        "traces its server", Area.PROCESSES, _CALL.format(call="ptrace(0x4206, os.getppid(), None, None)")
    ),
    # CLONE_NEWUSER.
    Attack("makes namespaces", Area.PROCESSES, _CALL.format(call="unshare(0x10000000)")),
    Attack(
        "imports the standard library",
        Area.PYTHON,
        "import asyncio, csv, ctypes, hashlib, statistics, unittest, zoneinfo\nraise OSError",
    ),
)
"""All that is tried; what a program needs is tried in the same way."""
