"""The layers one by one: the filter of system calls, scratch folders, Python's folder, bubblewrap's words."""

import errno
import os
import platform
import re
import struct
import sys
from pathlib import Path

import pytest

from pettingllms.sandbox import bubblewrap, home, limits, scratch
from pettingllms.sandbox.seccomp import filter_for
from pettingllms.sandbox.syscalls import (
    ARCHITECTURES,
    CLONE,
    CLONE3,
    COMMANDED,
    DENIED,
    HIGHEST,
    ON_ITSELF,
    SIGNALLING,
)

ALLOW, KILL = "allow", "kill"
PROCESS = 4711
MACHINES = sorted(ARCHITECTURES)


def verdict(machine, number, first=0, architecture=None, second=0):
    """What the filter says of a call: an interpreter of the few instructions that it has."""
    data = struct.pack("=IIQ6Q", number, architecture or ARCHITECTURES[machine], 0, first, second, 0, 0, 0, 0)
    code = filter_for(machine, PROCESS)
    place = loaded = 0
    while True:
        operation, yes, no, value = struct.unpack_from("=HBBI", code, 8 * place)
        place += 1
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif operation == 0x06:
            return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(value) or errno.errorcode[value & 0xFFFF]
        else:
            holds = {0x15: loaded == value, 0x25: loaded > value, 0x45: bool(loaded & value)}[operation]
            place += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_in_the_table_are_refused_and_no_others(machine):
    denied = {getattr(call, machine) for call in DENIED.values()} - {None}
    special = {getattr(call, machine) for call in (CLONE, CLONE3, *ON_ITSELF.values())}
    for number in range(HIGHEST + 1):
        if number not in special:
            assert verdict(machine, number) == ("EPERM" if number in denied else ALLOW), number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", sorted(ON_ITSELF))
def test_calls_on_processes_pass_on_the_caller_alone(machine, name):
    number = getattr(ON_ITSELF[name], machine)
    assert verdict(machine, number, PROCESS) == ALLOW
    assert verdict(machine, number, 0) == ALLOW
    for other in (1, PROCESS + 1, 2**32 - 1, 2**64 - 1):
        assert verdict(machine, number, other) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("call", sorted(COMMANDED))
def test_commands_that_send_signals_are_refused_and_no_others(machine, call):
    number = getattr(COMMANDED[call], machine)
    for command in (*range(64), *range(0x8900, 0x8910), 0x5401, 1024, 2**32 - 1):
        refused = command in (8, 10, 15, 0x8901, 0x8902)
        for high in (0, 1 << 32):
            # The kernel looks at the lower half only.
            wanted = "EPERM" if refused else ALLOW
            assert verdict(machine, number, second=high | command) == wanted, command
    assert len(SIGNALLING) == 5


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_only_and_clone3_does_not_exist(machine):
    # The flags of glibc's pthread_create and of its fork.
    assert verdict(machine, getattr(CLONE, machine), 0x3D0F00) == ALLOW
    assert verdict(machine, getattr(CLONE, machine), 0x1200011) == "EPERM"
    assert verdict(machine, getattr(CLONE3, machine)) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_later_calls_do_not_exist_and_other_architectures_kill(machine):
    for number in (HIGHEST + 1, 0x40000000, 0xFFFFFFFF):
        assert verdict(machine, number) == "ENOSYS"
    assert verdict(machine, 0, architecture=0x40000003) == KILL


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernel_headers(machine):
    if not HEADERS[machine].is_file():
        pytest.skip("no kernel headers here")
    found = {
        name: int(number)
        for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s", HEADERS[machine].read_text())
    }
    for name, call in (
        *DENIED.items(),
        *ON_ITSELF.items(),
        *COMMANDED.items(),
        ("clone", CLONE),
        ("clone3", CLONE3),
    ):
        assert getattr(call, machine) == found.get(name), name


def test_a_scratch_folder_is_new_and_nothing_stays(tmp_path):
    made = scratch.fresh(tmp_path, None)
    assert (made.stat().st_mode & 0o777, list(made.iterdir())) == (0o700, [])
    (made / "file").write_text("x")
    (made / "a" / "b").mkdir(parents=True)
    (made / "link").symlink_to(__file__)
    (tmp_path / "beside").write_text("x")
    assert scratch.emptied(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Path(__file__).exists()


def test_files_and_bytes_are_counted_together(tmp_path):
    (tmp_path / "below").mkdir()
    for number in range(limits.FILES - 1):
        (tmp_path / "below" / str(number)).touch()
    assert not scratch.overfull(tmp_path)
    (tmp_path / "one more").touch()
    assert scratch.overfull(tmp_path)
    assert scratch.emptied(tmp_path)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(limits.SCRATCH_BYTES)
    assert not scratch.overfull(tmp_path)
    (tmp_path / "byte").write_bytes(b"x")
    assert scratch.overfull(tmp_path)


def test_descriptors_are_closed_but_for_those_that_are_kept():
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    child = os.fork()
    if child == 0:
        limits.close_all_but({0, 1, 2, opened[1]}, max(opened))
        alive = []
        for number in opened:
            try:
                os.fstat(number)
                alive.append(number)
            except OSError:
                pass
        os._exit(0 if alive == [opened[1]] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for number in opened:
        os.close(number)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_folder_of_python_is_reached_by_its_descriptor():
    descriptor = home.opened()
    assert descriptor >= 50
    assert Path(home.home_of(descriptor)).samefile(sys.base_prefix)
    os.close(descriptor)


def test_root_reaches_python_by_descriptor_only_where_others_cannot(monkeypatch, tmp_path):
    closed = tmp_path / "closed" / "python"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    monkeypatch.setattr(sys, "base_prefix", str(closed))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not home.is_closed()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert home.is_closed()


def test_bubblewrap_shows_python_the_sandbox_and_the_scratch_folder(monkeypatch):
    code = Path("/srv/code/pettingllms/sandbox")
    for user in (0, 1000):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        words = bubblewrap.wall("/usr/bin/bwrap", Path("/tmp/scratch"), [code])
        assert ("--unshare-user" in words) == (user != 0)
        assert {"--unshare-net", "--unshare-pid", "--unshare-ipc"} <= set(words)
        writable = [words[n + 1] for n, word in enumerate(words) if word == "--bind"]
        assert writable == ["/tmp/scratch"]
        shown = {words[n + 1] for n, word in enumerate(words) if word in ("--ro-bind", "--ro-bind-try")}
        assert shown <= {
            "/usr",
            "/lib",
            "/lib64",
            "/etc/ld.so.cache",
            str(Path(sys.base_prefix).resolve()),
            str(code),
        }


def test_this_machine_has_a_table_where_it_is_linux():
    if sys.platform != "linux":
        pytest.skip("not Linux")
    assert platform.machine() in ARCHITECTURES
