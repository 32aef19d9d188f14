"""One run per folder: who comes second is told who came first, and the dead hold nothing."""

import json
import os
import signal
import subprocess
import sys

import pytest

from pettingllms.errors import RefusedError
from pettingllms.runs.lock import RUN_LOCK, FolderLock

PAIRS = 20
# Says whether it got the lock; who did keeps it until it is told to end.
CONTENDER = """
import sys
from pathlib import Path
from pettingllms.errors import RefusedError
from pettingllms.runs.lock import FolderLock
sys.stdin.readline()
try:
    with FolderLock(Path(sys.argv[1]), ".run.lock"):
        print("mine", flush=True)
        sys.stdin.readline()
except RefusedError as held:
    print(held, flush=True)
"""


def contender(folder):
    words = [sys.executable, "-c", CONTENDER, str(folder)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


def end(process):
    tell(process)
    process.communicate(timeout=60)


def test_of_twenty_pairs_exactly_one_of_each_proceeds(tmp_path):
    for number in range(PAIRS):
        folder = tmp_path / str(number)
        folder.mkdir()
        pair = [contender(folder), contender(folder)]
        for process in pair:
            tell(process)
        said = [process.stdout.readline().strip() for process in pair]
        assert said.count("mine") == 1, said
        winner, loser = sorted(pair, key=lambda one: said[pair.index(one)] != "mine")
        refusal = said[pair.index(loser)]
        assert f"in use by process {winner.pid} on " in refusal
        assert " since 20" in refusal
        end(winner)
        loser.communicate(timeout=60)


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    process = contender(tmp_path)
    tell(process)
    assert process.stdout.readline() == "mine\n"
    with pytest.raises(RefusedError, match=f"process {process.pid} on"), FolderLock(tmp_path, RUN_LOCK):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((tmp_path / RUN_LOCK).read_text())["pid"] == process.pid, "the file is stale"
    with FolderLock(tmp_path, RUN_LOCK):
        assert json.loads((tmp_path / RUN_LOCK).read_text())["pid"] == os.getpid()


def test_children_do_not_keep_the_lock(tmp_path):
    with FolderLock(tmp_path, RUN_LOCK):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with FolderLock(tmp_path, RUN_LOCK):
        assert child.poll() is None
    child.communicate(b"\n")


def test_a_folder_has_several_locks(tmp_path):
    with FolderLock(tmp_path, ".a"), FolderLock(tmp_path, ".b"):
        pass
