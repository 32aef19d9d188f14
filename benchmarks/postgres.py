"""A PostgreSQL server of one's own: a temporary folder, the loopback interface, no password."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

USER = "sweeper"


@contextmanager
def server():
    """The URL of an empty database and the server's log; the server ends with the context."""
    programs = _programs()
    home = Path(tempfile.mkdtemp(prefix="pettingllms-pg-"))
    data, log = home / "data", home / "log"
    try:
        account = _account()
        as_user = {}
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
            as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        made = [programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(made, cwd=home, check=True, stdout=subprocess.DEVNULL, **as_user)
        port = _free_port()
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={port}",
            f"unix_socket_directories={home}",
            "max_connections=100",
        )
        words = [word for setting in settings for word in ("-c", setting)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *words], cwd=home, stdout=stream, stderr=stream, **as_user
            )
        try:
            while "ready to accept connections" not in log.read_text(errors="replace"):
                if process.poll() is not None:
                    sys.exit(f"the server did not start: {log.read_text(errors='replace')}")
                time.sleep(0.05)
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres", log
        finally:
            # Sessions that are left do not keep it from ending.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _programs():
    """The folder of the server's programs; Debian has them in no folder of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    if not found and named is None:
        sys.exit("PostgreSQL's server is not installed")
    return found[-1].parent if found else Path(named).parent


def _account():
    """Who runs the server, which refuses root."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
