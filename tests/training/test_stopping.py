"""Signals: remembered where a run can only stop at safe points, followed at once where it has nothing yet."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_worker import lines, original_signal_handlers, prepared  # noqa: F401 - a fixture is used by name

from pettingllms.errors import Interrupted
from pettingllms.training.stopping import StopFlag


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_check(number):
    stop = StopFlag()
    stop.check()
    os.kill(os.getpid(), number)
    with pytest.raises(Interrupted) as caught:
        stop.check()
    assert caught.value.exit_code == 128 + number


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(5)


def test_at_once_it_comes_anywhere():
    stop, threads, reached = StopFlag(), threading.active_count(), []

    def start():
        with stop.at_once():
            send(signal.SIGINT)
            reached.append(1)

    with pytest.raises(Interrupted):
        start()
    assert not reached and threading.active_count() == threads


@pytest.mark.parametrize("swallowed", [True, False])
def test_what_libraries_make_of_it_is_still_a_stop(swallowed):
    def start():
        with StopFlag().at_once():
            try:
                send(signal.SIGTERM)
            except Exception as cause:
                if not swallowed:
                    raise RuntimeError("failed to import") from cause

    with pytest.raises(Interrupted):
        start()


def test_an_error_without_a_signal_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), StopFlag().at_once():
        _ = 1 / 0


def test_afterwards_it_waits_again():
    stop = StopFlag()
    with stop.at_once():
        pass
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        stop.check()


def test_a_second_signal_does_not_interrupt_the_way_out():
    stop, left = StopFlag(), []

    def start():
        with stop.at_once():
            try:
                send(signal.SIGINT)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                left.append(1)

    with pytest.raises(Interrupted):
        start()
    assert left


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent with os.kill")
def test_a_call_that_never_returns_does_not_keep_the_process():
    # Python's handlers do not run inside one call, and this one waits for a signal that nobody sends.
    source = """
import ctypes, os, signal, threading
from pettingllms.training import stopping
stopping.LATE_SECONDS = 0.3
with stopping.StopFlag().at_once():
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    ctypes.CDLL(None).sigwait(ctypes.byref(ctypes.create_string_buffer(128)), ctypes.byref(ctypes.c_int()))
"""
    done = subprocess.run([sys.executable, "-c", source], timeout=60, check=False)
    assert done.returncode == 143


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found under /proc")
@pytest.mark.parametrize(
    ("word", "number"), [("starting the engine", signal.SIGTERM), ('"phase": "rollout"', signal.SIGINT)]
)
def test_f14_a_worker_that_is_told_to_stop_leaves_no_process(tmp_path, tiny_model, word, number):
    folder = prepared(tmp_path, tiny_model, "training.total_training_steps=500")
    (tmp_path / "log.txt").touch()
    with (tmp_path / "log.txt").open("wb") as log:
        command = [sys.executable, "-m", "pettingllms.training.worker", str(folder)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while not (folder / "events.jsonl").exists() or word not in (folder / "events.jsonl").read_text():
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
        time.sleep(0.02)
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number, (tmp_path / "log.txt").read_text()
    # Those that the system ends with their parent take a moment.
    deadline = time.monotonic() + 10
    while left := [child for child in started if Path(f"/proc/{child}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert lines(folder / "events.jsonl")[-1]["event"] == "interrupted"
    if "rollout" in word:
        assert list((folder / "checkpoints").glob("step_*"))
