"""Programs on warm servers: what comes of them, and that nothing is left of them."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pettingllms.errors import InfrastructureError
from pettingllms.sandbox import client, pool
from pettingllms.sandbox.client import LostServerError
from pettingllms.sandbox.pool import Pool, run_programs, shared_pool
from pettingllms.sandbox.programs import Call, Program, ProgramLimits, ProgramStatus

LIMITS = ProgramLimits(seconds=5, memory_mib=256)
SHORT = ProgramLimits(seconds=0.5, memory_mib=256)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")
linux = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")


def run(source, limits=LIMITS, stdin="", call=None):
    (result,) = run_programs([Program(source, stdin, call)], limits)
    return result


@pytest.fixture
def own_pool():
    made = Pool(1)
    yield made
    made.close()


def test_output_and_status_of_a_good_program():
    result = run("print('é', 1 + 2)")
    assert (result.status, result.stdout) == (ProgramStatus.OK, "é 3\n")


def test_results_come_in_the_order_of_the_programs():
    results = run_programs([Program(f"print({n})") for n in range(20)], LIMITS)
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("print(sum(map(int, input().split())))", "7\n"),
        ("import sys\nprint(len(sys.stdin.read()))", "4\n"),
        ("print(repr(open(0).read()))", "'3 4\\n'\n"),
        pytest.param("print(repr(open('/dev/stdin').read()))", "'3 4\\n'\n", marks=linux),
    ],
)
def test_standard_input_is_read_in_every_way(source, printed):
    result = run(source, stdin="3 4\n")
    assert (result.status, result.stdout) == (ProgramStatus.OK, printed)


@pytest.mark.parametrize(
    "source", ["raise ValueError", "this is no python", "import os\nos._exit(4)", "\0", "'\ud800'", "exit(3)"]
)
def test_failing_programs_are_errors(source):
    assert run(source).status is ProgramStatus.ERROR


@pytest.mark.parametrize("source", ["exit()", "quit(0)", "import sys\nsys.exit()", "import os\nos._exit(0)"])
def test_programs_that_end_themselves_are_no_errors(source):
    assert run(source).status is ProgramStatus.OK


def test_the_name_of_an_exception_is_kept_for_people():
    assert run("{}['x']").error == "KeyError"


def test_printing_error_is_no_error():
    assert run("print('Error: none')").status is ProgramStatus.OK


def test_endless_program_is_ended_in_time():
    begin = time.monotonic()
    assert run("import time\ntime.sleep(60)", SHORT).status is ProgramStatus.TIMEOUT
    assert time.monotonic() - begin < 5


def test_long_input_that_nobody_reads_blocks_nothing():
    begin = time.monotonic()
    assert run("import time\ntime.sleep(60)", SHORT, "x" * 3_000_000).status is ProgramStatus.TIMEOUT
    assert time.monotonic() - begin < 5


def test_programs_that_wait_for_each_other_lose_none_of_their_time(own_pool):
    limits = ProgramLimits(seconds=2, memory_mib=256)
    with ThreadPoolExecutor(5) as callers:
        program = Program("import time\ntime.sleep(0.5)\nprint(1)")
        results = list(callers.map(lambda _: own_pool.run([program], limits), range(5)))
    assert [result.status for (result,) in results] == [ProgramStatus.OK] * 5


@pytest.mark.parametrize(
    "source", ["x = bytearray(1 << 30)", "x = []\nwhile True: x.append(bytearray(1 << 20))"]
)
def test_memory_is_bounded(source):
    assert run(source).status is ProgramStatus.MEMORY_LIMIT


def test_flood_of_output_is_cut():
    result = run("while True: print('x' * 1000)")
    assert result.status is ProgramStatus.OUTPUT_LIMIT
    assert len(result.stdout) == LIMITS.output_bytes


def test_as_much_output_as_is_allowed_is_not_too_much():
    limits = ProgramLimits(seconds=5, memory_mib=256, output_bytes=10)
    assert run("print('x' * 9)", limits).status is ProgramStatus.OK
    assert run("print('x' * 10)", limits).status is ProgramStatus.OUTPUT_LIMIT


@linux
def test_threads_are_bounded_and_threads_of_honest_programs_are_not():
    source = (
        "import threading, time\nfor _ in range({}): threading.Thread(target=time.sleep, args=({},)).start()"
    )
    assert run(source.format(8, 0.01)).status is ProgramStatus.OK
    small = "import threading\nthreading.stack_size(65536)\n"
    assert run(small + source.format(500, 60)).status is not ProgramStatus.OK


def test_threads_are_waited_for():
    source = "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print(1))).start()"
    assert run(source).stdout == "1\n"


def test_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    assert run("import os\nprint(dict(os.environ))").stdout == "{}\n"


def test_the_interpreter_is_plain_and_traces_nothing(own_pool, monkeypatch):
    # Development mode and traced memory make a trivial program cost eight times as much.
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    monkeypatch.setenv("PYTHONTRACEMALLOC", "5")
    source = "import sys, tracemalloc\nprint(sys.flags.dev_mode, tracemalloc.is_tracing())"
    (told,) = own_pool.run([Program(source)], LIMITS)
    assert told.stdout == "False False\n"


@linux
def test_nothing_of_the_parent_shows_in_proc(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    printed = run("for name in ('self/environ', '1/environ'):\n  print(open('/proc/' + name).read())").stdout
    assert "SECRET_TOKEN" not in printed


def test_a_program_does_the_same_each_time(own_pool):
    program = Program("import random\nprint({'a', 'b', 'c', 'd'}, random.random())")
    first = own_pool.run([program, program], LIMITS) + run_programs([program], LIMITS)
    assert len({result.stdout for result in first}) == 1


def test_files_and_state_are_gone_for_the_next_program(own_pool):
    first = "import os, math\nopen('left', 'w').write('x')\nmath.pi = 3\nprint(os.getcwd())"
    second = "import os, math\nprint(os.listdir('.'), math.pi > 3)"
    results = own_pool.run([Program(first), Program(second)], LIMITS)
    assert not Path(results[0].stdout.strip()).exists()
    assert results[1].stdout == "[] True\n"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -(1 << 70),
        10**5000,
        2.5,
        "é",
        [1, [2]],
        (1, (2, "x")),
        {},
        {(1, 2): [None], "a": {"b": 1}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_go_to_functions_and_come_back(value):
    result = run("def f(x): return x", call=Call("f", [value]))
    assert (result.status, result.error) == (ProgramStatus.OK, "")
    assert (type(result.value), result.value) == (type(value), value)


def test_a_method_of_solution_is_called_where_there_is_no_function():
    source = "class Solution:\n    def add(self, a, b): return a + b"
    assert run(source, call=Call("add", [1, 2])).value == 3


@pytest.mark.parametrize(
    "source",
    [
        "class Equal:\n    def __eq__(self, other): return True\ndef f(): return Equal()",
        "class Number(int): pass\ndef f(): return Number(3)",
        "import collections\ndef f(): return collections.Counter('aab')",
        "def f(): return {1, 2}",
        "def f():\n    x = []\n    x.append(x)\n    return x",
        "import sys\nsys.exit(0)\ndef f(): return 1",
        "import sys\ndef f(): sys.exit(0)",
        "import os\ndef f(): os._exit(0)",
    ],
)
def test_what_is_no_value_is_a_bad_result(source):
    result = run(source, call=Call("f", []))
    assert (result.status, result.value) == (ProgramStatus.BAD_RESULT, None)


@pytest.mark.parametrize(
    "source",
    ["", "f = 3", "def f(x): return x", "def f(): raise KeyError", "def f(:", "class Solution: pass"],
)
def test_a_function_that_cannot_be_called_or_raises_is_an_error(source):
    assert run(source, call=Call("f", [])).status is ProgramStatus.ERROR


def test_a_called_program_does_not_start_by_itself():
    source = "def f(): return __name__\nif __name__ == '__main__': f = None"
    assert run(source, call=Call("f", [])).value == "program"


def test_a_result_that_is_too_long_is_over_the_limit():
    assert run("def f(): return 'x' * 70000", call=Call("f", [])).status is ProgramStatus.OUTPUT_LIMIT


def test_arguments_of_other_types_are_the_callers_mistake():
    with pytest.raises(TypeError, match="set is not among"):
        run("def f(x): return x", call=Call("f", [{1}]))


@pytest.mark.parametrize(
    "content", [b"=", b"={", b'={"tuple": 1}', b'={"x": 1}', b"=" + b"[" * 9999, b'={"dict": [[1]]}']
)
def test_results_that_a_program_forges_are_bad(content):
    source = f"import os\nos.write(3, {content!r})\nos._exit(0)"
    assert run(source, call=Call("f", [])).status is ProgramStatus.BAD_RESULT


def test_a_lost_server_is_replaced_and_its_program_tried_again(own_pool):
    own_pool.run([Program("")], LIMITS)
    server = own_pool._idle.get()
    server._process.kill()
    server._process.wait()
    own_pool._idle.put(server)
    (result,) = own_pool.run([Program("print(1)")], LIMITS)
    assert result.stdout == "1\n"


def test_servers_that_cannot_start_are_failures_of_the_machinery(own_pool, monkeypatch):
    def fails(*_):
        raise LostServerError("no process")

    monkeypatch.setattr(pool, "Server", fails)
    for _ in range(2):
        with pytest.raises(InfrastructureError, match="no process"):
            own_pool.run([Program("")], LIMITS)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "GRACE_SECONDS", 0.0)
    server = client.Server()
    try:
        with pytest.raises(LostServerError, match="says nothing"):
            server.run(Program("import time\ntime.sleep(9)"), ProgramLimits(0.2, 256))
    finally:
        server.close()
    assert server._process.returncode is not None


def test_a_worn_server_is_exchanged(own_pool, monkeypatch):
    monkeypatch.setattr(client, "RUNS", 2)
    source = "import os\nprint(os.getppid())"
    servers = [result.stdout for result in own_pool.run([Program(source)] * 4, LIMITS)]
    assert servers[0] == servers[1] != servers[2] == servers[3]


def test_a_closed_server_leaves_nothing():
    server = client.Server()
    folder = server._folder
    server.close()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server._process.pid, 0)


@linux
def test_a_server_ends_with_its_client():
    server = client.Server()
    server._socket.close()
    assert server._process.wait(timeout=20) == 0
    assert not server._folder.exists()
    server.close()


def test_a_forked_process_has_servers_of_its_own():
    ours = shared_pool()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"own" if pool._pool is None else b"shared")
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"own"
    os.close(reading)
    assert shared_pool() is ours


def test_many_threads_share_the_pool():
    found = []

    def ask(number):
        found.append((number, run(f"print({number})").stdout))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(number, f"{number}\n") for number in range(16)]


@pytest.mark.parametrize("number", [33, 40])
def test_a_signal_without_a_name_ends_the_program_only(number):
    assert run(f"import os; os.kill(os.getpid(), {number})").status is ProgramStatus.ERROR
    assert run("print(1)").stdout == "1\n"


def test_no_program_reads_what_another_wrote_to_standard_error(own_pool):
    first, second, third = own_pool.run(
        [
            Program("import os; os.write(2, b'SECRET' * 20_000)"),
            Program("import os\ntry:\n    print(os.pread(2, 999, 0))\nexcept OSError:\n    print('held')"),
            Program("import sys; print('debug', file=sys.stderr, flush=True); print(42)"),
        ],
        LIMITS,
    )
    assert first.status is ProgramStatus.OK
    assert second.stdout == "held\n"
    assert (third.status, third.stdout) == (ProgramStatus.OK, "42\n")


@linux
def test_blocks_behind_the_end_of_a_file_cannot_be_had():
    source = """
import ctypes, os
descriptor = os.open("file", os.O_CREAT | os.O_RDWR)
print(ctypes.CDLL(None, use_errno=True).fallocate(descriptor, 1, ctypes.c_long(0), ctypes.c_long(1 << 20)))
print(os.fstat(descriptor).st_blocks)
"""
    assert run(source).stdout == "-1\n0\n"
