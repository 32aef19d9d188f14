import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pettingllms.sandbox import limited
from pettingllms.sandbox.limited import OUTPUT_LIMIT_BYTES, ProgramLimits, ProgramStatus, run_program

LIMITS = ProgramLimits(seconds=5, memory_mib=256)
posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of the operating system")


def test_output_and_status_of_a_good_program():
    result = run_program("print('é', 1 + 2)", LIMITS)
    assert (result.status, result.stdout) == (ProgramStatus.OK, "é 3\n")


@pytest.mark.parametrize("source", ["raise ValueError", "this is no python", "import os\nos._exit(4)", "\0"])
def test_failing_programs_are_errors(source):
    assert run_program(source, LIMITS).status is ProgramStatus.ERROR


def test_printing_error_is_no_error():
    assert run_program("print('Error: none')", LIMITS).status is ProgramStatus.OK


def test_endless_program_is_ended_in_time():
    begin = time.monotonic()
    result = run_program("import time\ntime.sleep(60)", ProgramLimits(seconds=0.5, memory_mib=256))
    assert result.status is ProgramStatus.TIMEOUT
    assert time.monotonic() - begin < 5


def test_programs_that_wait_for_each_other_lose_none_of_their_time(monkeypatch):
    monkeypatch.setattr(limited, "_slots", threading.BoundedSemaphore(1))
    limits = ProgramLimits(seconds=3, memory_mib=256)
    with ThreadPoolExecutor(6) as pool:
        source = "import time\ntime.sleep(1)\nprint(1)"
        results = list(pool.map(lambda _: run_program(source, limits), range(6)))
    assert [result.status for result in results] == [ProgramStatus.OK] * 6


@posix
def test_memory_hog_is_an_error():
    assert run_program("x = bytearray(1 << 30)", LIMITS).status is ProgramStatus.ERROR


@posix
def test_flood_of_output_is_cut():
    result = run_program("while True: print('x' * 1000)", LIMITS)
    assert result.status is ProgramStatus.OUTPUT_LIMIT
    assert len(result.stdout) == OUTPUT_LIMIT_BYTES


def test_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    result = run_program("import os\nprint(sorted(k for k in os.environ if k != 'LC_CTYPE'))", LIMITS)
    assert result.stdout == "[]\n"


@posix
def test_what_the_program_starts_ends_with_it(tmp_path):
    source = "import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\nprint(pid)\n"
    pid = int(run_program(source, LIMITS).stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_files_are_gone_afterwards():
    first = run_program("import os\nopen('left', 'w').write('x')\nprint(os.getcwd())", LIMITS)
    assert not Path(first.stdout.strip()).exists()
