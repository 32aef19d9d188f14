"""Hostile programs: what each tries, and how it may end. Their targets are those of `hostile_matrix.py`."""

from __future__ import annotations

from dataclasses import dataclass

from pettingllms.sandbox.programs import Call, ProgramStatus

OK, ERROR, TIMEOUT, MEMORY, OUTPUT, BAD = (
    ProgramStatus.OK,
    ProgramStatus.ERROR,
    ProgramStatus.TIMEOUT,
    ProgramStatus.MEMORY_LIMIT,
    ProgramStatus.OUTPUT_LIMIT,
    ProgramStatus.BAD_RESULT,
)
ANSWER = "42"
"""What the honest program would print or return; none of these may be taken for it."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One program, the statuses that are right for it, its input, and its function where one is called."""

    source: str
    ends: tuple[ProgramStatus, ...]
    stdin: str = ""
    call: Call | None = None


F = Call("f", [])
REFUSED = (OK, ERROR)
"""The system refuses what is tried; the program may handle that or not."""

HOSTILE = {
    # Time.
    "loops_for_ever": Hostile("while True: pass", (TIMEOUT,)),
    "sleeps_for_ever": Hostile("import time\ntime.sleep(1e6)", (TIMEOUT,)),
    "raises_to_a_huge_power": Hostile("print(9 ** 9 ** 9)", (TIMEOUT, MEMORY, ERROR)),
    "prints_a_huge_integer": Hostile("print(7 ** 10 ** 7)", (TIMEOUT, OUTPUT)),
    "matches_an_exploding_pattern": Hostile("import re\nre.match('(a+)+$', 'a' * 64 + 'b')", (TIMEOUT,)),
    "ignores_all_signals": Hostile(
        "import signal\n"
        "for number in range(1, 65):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: pass",
        (TIMEOUT,),
    ),
    "blocks_all_signals": Hostile(
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(1e6)",
        (TIMEOUT,),
    ),
    "stops_itself": Hostile("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", (ERROR, TIMEOUT)),
    "closes_its_output_and_sleeps": Hostile(
        "import os, sys, time\nsys.stdout.close()\nos.closerange(0, 1000)\ntime.sleep(1e6)", (TIMEOUT,)
    ),
    "leaves_a_thread_behind": Hostile(
        "import threading, time\nthreading.Thread(target=lambda: time.sleep(1e6)).start()", (TIMEOUT,)
    ),
    "hangs_at_its_exit": Hostile("import atexit, time\natexit.register(time.sleep, 1e6)", (TIMEOUT,)),
    "hangs_while_it_is_described": Hostile(
        "class Loop(Exception):\n    def __str__(self):\n        while True: pass\n    __repr__ = __str__\n"
        "raise Loop",
        (ERROR,),
    ),
    "hangs_in_the_name_of_its_error": Hostile(
        "class Meta(type):\n    def __getattribute__(cls, name):\n        while True: pass\n"
        "class Loop(Exception, metaclass=Meta): pass\nraise Loop",
        (ERROR, TIMEOUT),
    ),
    "reads_input_for_ever": Hostile(
        "import sys\nwhile True:\n    sys.stdin.read()\n    sys.stdin.seek(0)", (TIMEOUT,), stdin="x" * 1000
    ),
    "never_reads_its_input": Hostile("import time\ntime.sleep(1e6)", (TIMEOUT,), stdin="x" * 2_000_000),
    "traces_every_line": Hostile(
        "import sys\nsys.settrace(lambda *a: (lambda *b: None))\nsys.setswitchinterval(100)\n"
        "while True: pass",
        (TIMEOUT,),
    ),
    # Memory.
    "takes_memory_by_pieces": Hostile("x = []\nwhile True: x.append(bytearray(1 << 20))", (MEMORY,)),
    "takes_memory_at_once": Hostile("x = bytearray(1 << 40)", (MEMORY,)),
    "catches_every_memory_error": Hostile(
        "x = []\nwhile True:\n    try: x.append(bytearray(1 << 20))\n    except MemoryError: pass", (TIMEOUT,)
    ),
    "maps_shared_memory": Hostile(
        "import mmap\nx = []\nfor n in range(64):\n"
        "    m = mmap.mmap(-1, 1 << 24)\n    m.write(b'x' * (1 << 24))\n    x.append(m)",
        (ERROR, MEMORY, TIMEOUT),
    ),
    "recurses_without_end": Hostile(
        "import sys\nsys.setrecursionlimit(1 << 30)\nf = lambda: f()\nf()", (ERROR, MEMORY, TIMEOUT)
    ),
    "recurses_in_c": Hostile(
        "import sys\nsys.setrecursionlimit(1 << 30)\nx = []\n"
        "for _ in range(10 ** 6): x = [x]\nprint(repr(x))",
        (ERROR, MEMORY, TIMEOUT, OUTPUT),
    ),
    "writes_a_huge_source": Hostile("x = '" + "x" * 10_000_000 + "'", REFUSED),
    "nests_its_source": Hostile("(" * 100_000 + ")" * 100_000, (ERROR, MEMORY)),
    # Processes and threads.
    "forks_a_bomb": Hostile("import os\nwhile True: os.fork()", (ERROR,)),
    "forks_and_catches": Hostile(
        "import os\nfor _ in range(100):\n    try: os.fork()\n    except OSError: print('no')", (OK,)
    ),
    "starts_threads_without_end": Hostile(
        "import threading, time\nthreading.stack_size(32768)\n"
        "while True:\n    try: threading.Thread(target=time.sleep, args=(1e6,)).start()\n"
        "    except RuntimeError: pass",
        (TIMEOUT, MEMORY, ERROR),
    ),
    "runs_a_shell": Hostile("import os\nprint(os.system('id; touch ' + folder + '/shell'))", REFUSED),
    "runs_a_subprocess": Hostile("import subprocess\nprint(subprocess.check_output(['id']))", (ERROR,)),
    "becomes_another_program": Hostile("import os\nos.execv('/usr/bin/id', ['id'])", (ERROR,)),
    "spawns_a_daemon": Hostile(
        "import os, time\nif os.posix_spawn('/bin/sleep', ['sleep', '600'], {}): print('spawned')", (ERROR,)
    ),
    "kills_everyone": Hostile("import os\nos.kill(-1, 9)", (ERROR,)),
    "kills_its_server": Hostile("import os\nos.kill(os.getppid(), 9)", (ERROR,)),
    "has_the_kernel_kill_its_server": Hostile(
        "import fcntl, os, socket\n"
        "one, other = socket.socketpair()\n"
        "fcntl.fcntl(one, fcntl.F_SETOWN, os.getppid())\n"
        "fcntl.fcntl(one, 10, 9)\n"
        "fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n"
        "other.send(b'x')",
        (ERROR,),
    ),
    "has_the_kernel_kill_its_server_by_ioctl": Hostile(
        "import fcntl, os, socket, struct\n"
        "one, other = socket.socketpair()\n"
        "fcntl.ioctl(one, 0x8901, struct.pack('i', os.getppid()))\n"
        "fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n"
        "other.send(b'x')",
        (ERROR,),
    ),
    "kills_its_server_by_thread": Hostile(
        "import ctypes, os\np = os.getppid()\nlibc = ctypes.CDLL(None)\n"
        "print([libc.syscall(n, p, p, 9) for n in (234, 131)])",
        (OK,),
    ),
    "kills_the_client": Hostile("import os\nos.kill(process, 9)", (ERROR,)),
    "opens_its_server_by_descriptor": Hostile(
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)", (ERROR,)
    ),
    "traces_its_server": Hostile(
        "import ctypes, os\nprint(ctypes.CDLL(None).ptrace(16, os.getppid(), None, None))", (OK,)
    ),
    "writes_into_its_server": Hostile(
        "import os\nopen(f'/proc/{os.getppid()}/mem', 'wb').write(b'x')", (ERROR,)
    ),
    "starves_its_server": Hostile(
        "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))", (ERROR,)
    ),
    "makes_namespaces": Hostile(
        "import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.unshare(0x10000000), libc.setns(0, 0))", (OK,)
    ),
    "becomes_root": Hostile("import os\nos.setuid(0)", (ERROR,)),
    "lifts_its_limits": Hostile(
        "import resource as r\nfor n in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE):\n"
        "    try: r.setrlimit(n, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n    except ValueError: pass\n"
        "x = bytearray(1 << 33)",
        (MEMORY,),
    ),
    # Files.
    "writes_outside": Hostile("open(folder + '/written', 'w').write('x')", (ERROR,)),
    "writes_into_tmp": Hostile("import os\nopen('/tmp/hostile-' + str(os.getpid()), 'w')", (ERROR,)),
    "changes_a_file": Hostile("open(file, 'a').write('x')", (ERROR,)),
    "removes_a_file": Hostile("import os\nos.remove(file)", (ERROR,)),
    "opens_a_file_to_all": Hostile("import os\nos.chmod(file, 0o777)", (ERROR,)),
    "changes_times": Hostile("import os\nos.utime(file, (0, 0))", (ERROR,)),
    "truncates_a_file": Hostile("import os\nos.truncate(file, 0)", (ERROR,)),
    "reads_a_secret": Hostile("print(open(file).read())", (ERROR,)),
    "reads_passwords": Hostile("print(open('/etc/passwd').read())", (ERROR,)),
    "reads_this_test": Hostile("print(open(test).read())", (ERROR,)),
    "escapes_by_a_symlink": Hostile(
        "import os\nos.symlink(file, 'link')\nprint(open('link').read())", (ERROR,)
    ),
    "escapes_by_dots": Hostile("print(open('../../../../../../..' + file).read())", (ERROR,)),
    "escapes_by_proc": Hostile(
        "import os\nprint(open(f'/proc/{os.getppid()}/root' + file).read())", (ERROR,)
    ),
    "fills_the_disk": Hostile(
        "n = 0\nwhile True:\n    with open(str(n), 'wb') as f: f.write(b'x' * 60000)\n    n += 1", (OUTPUT,)
    ),
    "writes_one_huge_file": Hostile("f = open('huge', 'wb')\nwhile True: f.write(b'x' * 65536)", (OUTPUT,)),
    "makes_a_hundred_thousand_files": Hostile("for n in range(100_000): open(str(n), 'w')", (OUTPUT,)),
    "nests_folders_deeply": Hostile(
        "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')", (ERROR, OUTPUT)
    ),
    "leaves_a_device": Hostile("import os\nos.mknod('device', 0o600 | 0o020000, 0x0101)", (ERROR,)),
    # Networks.
    "connects_over_tcp": Hostile("import socket\nsocket.create_connection(('127.0.0.1', port), 1)", (ERROR,)),
    "sends_over_udp": Hostile(
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
        (ERROR,),
    ),
    "looks_up_a_name": Hostile("import socket\nsocket.getaddrinfo('example.org', 80)", (ERROR,)),
    "listens": Hostile("import socket\nsocket.create_server(('127.0.0.1', 0))", (ERROR,)),
    # Secrets.
    "reads_its_environment": Hostile(
        "import os\nprint(dict(os.environ), open('/proc/self/environ').read())", (ERROR,)
    ),
    "reads_environments_of_others": Hostile("print(open(f'/proc/{process}/environ').read())", (ERROR,)),
    "peeks_into_frames_and_objects": Hostile(
        "import gc, sys\nframe = sys._getframe()\n"
        "while frame:\n    print(frame.f_locals)\n    frame = frame.f_back\n"
        "print([o for o in gc.get_objects() if isinstance(o, (str, bytes)) and len(o) > 9])",
        (OK, OUTPUT),
    ),
    "reads_its_own_memory": Hostile(
        "print([line for line in open('/proc/self/maps')])\nopen('/proc/self/mem', 'rb')", (ERROR,)
    ),
    # Crashes and odd bytes.
    "crashes_in_c": Hostile("import ctypes\nctypes.string_at(0)", (ERROR,)),
    "floods_its_output": Hostile("while True: print('x' * 100_000)", (OUTPUT,)),
    "floods_with_bytes_that_are_no_text": Hostile(
        "import os\nwhile True: os.write(1, b'\\xff\\xfe' * 4096)", (OUTPUT, ERROR)
    ),
    "ignores_the_signal_of_its_flood": Hostile(
        "import os, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "while True:\n    try: os.write(1, b'x' * 4096)\n    except OSError: break",
        (OUTPUT,),
    ),
    "holds_null_bytes": Hostile("print(1)\0", (ERROR,)),
    "holds_lone_surrogates": Hostile("print('\ud800')", (ERROR,)),
    "uses_a_system_call_of_another_architecture": Hostile(
        "import ctypes, mmap\ncode = mmap.mmap(-1, 4096, prot=7)\n"
        # mov eax, 20 (getpid of i386); int 0x80; ret
        "code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()",
        (ERROR,),
    ),
    # Fooling the judge, who is outside.
    "exits_before_its_tests": Hostile("import os\nos._exit(0)\ndef f(): return 41", (BAD,), call=F),
    "exits_politely": Hostile("import sys\nsys.exit(0)", (BAD,), call=F),
    "equals_everything": Hostile(
        "class Any:\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndef f(): return Any()",
        (BAD,),
        call=F,
    ),
    "returns_a_number_that_equals_everything": Hostile(
        "class Any(int):\n    __eq__ = lambda self, other: True\ndef f(): return Any(0)", (BAD,), call=F
    ),
    "prints_that_it_passed": Hostile("print('PASS')\nprint('ok 42 tests passed')\nprint('=42')", (OK,)),
    "writes_a_result_of_its_own": Hostile(
        'import os\nos.write(3, b\'={"tuple": "42"}\')\nos._exit(0)', (BAD,), call=F
    ),
    "patches_what_judges_it": Hostile(
        "import builtins, json, os, sys\njson.dumps = lambda *a, **k: 'PASS'\nbuiltins.type = lambda o: int\n"
        "builtins.len = lambda o: 0\nsys.modules.clear()\ndef f(): return object()",
        (BAD, ERROR),
        call=F,
    ),
    "claims_to_have_run_out_of_memory": Hostile("import os\nos._exit(86)", (MEMORY,)),
    "claims_that_the_sandbox_broke": Hostile(
        "import os\nfor n in range(3, 64):\n"
        "    try: os.write(n, b'broken')\n    except OSError: pass\nos._exit(1)",
        (ERROR,),
    ),
}
