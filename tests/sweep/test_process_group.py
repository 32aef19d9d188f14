"""A group of processes ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pettingllms.sweep.process_group import ProcessGroup, group_is_alive

PARENT = """
import pathlib, sys, time
from pettingllms.sweep.process_group import ProcessGroup
source = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
group = ProcessGroup([sys.executable, "-S", "-c", source], {}, pathlib.Path(sys.argv[1]))
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_the_command_ends_when_its_parent_is_killed(tmp_path):
    log = tmp_path / "log.txt"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)])
    try:
        while not (log.exists() and log.read_text().strip()):
            assert parent.poll() is None
            time.sleep(0.02)
        group = int(log.read_text())
        assert group_is_alive(group)
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while group_is_alive(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not group_is_alive(group)


def test_a_signal_goes_to_the_group_when_the_worker_is_not_one_of_it(tmp_path):
    group = ProcessGroup(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], {}, tmp_path / "log.txt"
    )
    # A process id that a file named, and that belongs to somebody else.
    group.stop(signal.SIGTERM, os.getpid())
    group.end()
    assert group.exit_status() == -signal.SIGTERM


def test_a_group_that_does_not_exist_is_not_alive():
    done = subprocess.Popen([sys.executable, "-S", "-c", ""], start_new_session=True)
    done.wait()
    assert not group_is_alive(done.pid)
