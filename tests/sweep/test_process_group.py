"""Processes end with the process that started them, alone or as a group."""

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


SURVIVED = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(600)
"""
DEAF = """
import os, signal, time
from pettingllms.process import end_with_parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end_with_parent(grace=0.1)
print(os.getpid(), flush=True)
time.sleep(600)
print("woke up")
"""
TIDY = """
import os, signal, time
from pettingllms.process import end_with_parent
told = []
signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
end_with_parent(grace=600)
print(os.getpid(), flush=True)
while not told:
    time.sleep(0.02)
print("saved", told[0])
"""


def output_after_parent_is_killed(source):
    """What a process of this `source` writes from then on, until it ends; its first line is its id."""
    parent = subprocess.Popen([sys.executable, "-c", SURVIVED, source], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    try:
        # The pipe ends with the last process that holds it.
        output, _ = parent.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.kill(pid, signal.SIGKILL)
        parent.communicate()
        raise
    return output


@pytest.mark.skipif(sys.platform == "win32", reason="a process there does not see that its parent ended")
def test_a_process_that_ignores_the_signal_ends_all_the_same():
    assert output_after_parent_is_killed(DEAF) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_a_process_that_heeds_the_signal_has_time_to_do_so():
    assert output_after_parent_is_killed(TIDY) == f"saved {int(signal.SIGTERM)}\n"


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
