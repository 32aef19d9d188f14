"""A PostgreSQL server of one's own in a temporary folder, reached by a socket there only; for tests."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
USER = "tester"


@contextmanager
def server():
    """The URL of a fresh database, whose server ends with the context; skips where there is none."""
    folder = _binaries()
    account = _account()
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    data, log = home / "data", home / "log"
    try:
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        words = [folder / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(
            [*words, "--locale=C"], cwd=home, capture_output=True, text=True, check=False, **as_user
        )
        if made.returncode:
            pytest.skip(f"initdb makes no database here: {made.stderr.strip().splitlines()[-1]}")
        settings = ("fsync=off", "listen_addresses=", f"unix_socket_directories={home}", "max_connections=50")
        options = [word for setting in settings for word in ("-c", setting)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*_ends_with_us(), folder / "postgres", "-D", data, *options],
                cwd=home,
                stdout=stream,
                stderr=stream,
                **as_user,
            )
        try:
            _wait(process, log)
            yield f"postgresql://{USER}@/postgres?host={home}"
        finally:
            # A polite request would wait for clients that a failed test left connected.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _binaries():
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = [
        path for pattern in BINARIES for path in Path("/").glob(pattern[1:]) if (path / "initdb").exists()
    ]
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.skip("PostgreSQL's server is not installed")
    return max(found) if found else Path(on_path).parent


def _ends_with_us():
    """A server that outlives a killed test run would stay for ever."""
    return ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []


def _account():
    """Who runs the server: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = names.get("postgres") or names.get("nobody")
    return account or pytest.skip("the server refuses root, and there is no other user to be")


def _wait(process, log):
    deadline = time.monotonic() + 60
    while "ready to accept connections" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.skip(f"the server does not start here: {log.read_text(errors='replace')[-300:]}")
        time.sleep(0.05)
