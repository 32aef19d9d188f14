"""Runs all hostile programs as the user of this process, and writes what came of them as one JSON object.

    python hostile_matrix.py [LAYER_LEFT_OUT ...]

It needs the standard library and this package alone, so that any user's Python can run it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from hostile_programs import ANSWER, HOSTILE

from pettingllms.errors import InfrastructureError
from pettingllms.sandbox.pool import Pool
from pettingllms.sandbox.probes import Strength, probe
from pettingllms.sandbox.programs import Program, ProgramLimits

LIMITS = ProgramLimits(seconds=1.0, memory_mib=256)
SLACK = 1.0
"""Seconds that a program may take beside its own."""
SECRET = "the-secret-of-this-test"


def main(without):
    os.environ["SECRET_TOKEN"] = SECRET
    pool = Pool(1, frozenset(without))
    found = probe(pool)
    report = {
        "user": os.geteuid(),
        "strength": found.strength,
        "layers": found.layers,
        "missing": found.missing,
    }
    # Programs that get out would do harm.
    if found.strength is Strength.STRONG:
        with ExitStack() as opened:
            watched = Watched(opened)
            report["programs"] = {name: tried(pool, hostile, watched) for name, hostile in HOSTILE.items()}
            report["peak_mib"] = watched.peak >> 10
    pool.close()
    print(json.dumps(report))


class Watched:
    """What programs attack, and what this process sees of their doings."""

    def __init__(self, opened):
        self.folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o777)
        self.file = self.folder / "secret"
        self.file.write_text(SECRET)
        self.file.chmod(0o666)
        self.tcp = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        port = self.tcp.getsockname()[1]
        self.udp.bind(("127.0.0.1", port))
        for one in (self.tcp, self.udp):
            one.setblocking(False)
        values = {
            "folder": str(self.folder),
            "file": str(self.file),
            "test": str(Path(__file__).resolve()),
            "port": port,
            "process": os.getpid(),
        }
        self.targets = "; ".join(f"{name} = {value!r}" for name, value in values.items())
        self.before = self.state()
        self.peak = 0

    def state(self):
        """Everything about the targets that a program could have changed."""
        stat = self.file.stat()
        return (
            sorted(path.name for path in self.folder.iterdir()),
            self.file.read_text(),
            stat.st_mode,
            stat.st_mtime_ns,
            stat.st_size,
        )

    def reached(self):
        """Whether something came over the network."""
        for receive in (self.tcp.accept, lambda: self.udp.recv(1)):
            try:
                receive()
            except BlockingIOError:
                continue
            return True
        return False


def tried(pool, hostile, watched):
    """How one program ended, and what is wrong with that; nothing where it was contained."""
    server = current(pool)
    process = server._process.pid
    before = descendants(process)
    stop = threading.Event()
    sampler = threading.Thread(target=sample, args=(process, before, watched, stop))
    sampler.start()
    begin = time.monotonic()
    try:
        program = Program(f"{watched.targets}\n{hostile.source}", hostile.stdin, hostile.call)
        (result,) = pool.run([program], LIMITS)
    except InfrastructureError as failure:
        return {"status": "infrastructure", "wrong": [str(failure)]}
    finally:
        seconds = time.monotonic() - begin
        stop.set()
        sampler.join()
    after = current(pool)
    lost = after is not server or server._process.poll() is not None
    left = set() if lost else descendants(process) - before
    (honest,) = pool.run([Program("import os\nprint(6 * 7, os.listdir('.'))")], LIMITS)
    right = result.stdout.strip() == ANSWER or result.value == int(ANSWER)
    wrong = {
        f"ended as {result.status}: {result.error} {result.stdout[:200]}": result.status not in hostile.ends,
        f"took {seconds:.2f} s": seconds > LIMITS.seconds + SLACK,
        "saw a secret": SECRET in result.stdout or SECRET in str(result.value),
        "was taken for the right answer": right,
        "changed files": watched.state() != watched.before,
        "reached the network": watched.reached(),
        "ended its server": lost,
        f"left processes: {left}": bool(left),
        f"the next program gave {honest}": honest.stdout != "42 []\n",
    }
    return {
        "status": result.status,
        "seconds": round(seconds, 3),
        "wrong": [text for text, true in wrong.items() if true],
    }


def current(pool):
    """The one server of `pool`."""
    server = pool._idle.get()
    pool._idle.put(server)
    return server


def sample(process, before, watched, stop):
    """The most memory that a process of a program has had, in KiB."""
    while not stop.wait(0.01):
        for one in descendants(process) - before:
            try:
                lines = Path(f"/proc/{one}/status").read_text().splitlines()
            except OSError:
                continue
            peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
            watched.peak = max(watched.peak, *peaks, 0)


def descendants(process):
    """All processes below `process`."""
    children = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_bytes().decode(errors="replace")
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, pending = set(), [process]
    while pending:
        for child in children.get(pending.pop(), ()):
            found.add(child)
            pending.append(child)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
