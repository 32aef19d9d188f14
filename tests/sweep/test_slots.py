"""Slots: GPUs, cores and ports that trials beside each other do not share."""

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.errors import RefusedError
from pettingllms.sweep import slots
from pettingllms.sweep.process_group import ProcessGroup
from pettingllms.sweep.slots import WHOLE_MACHINE, Ports, divide, visible_gpus


def test_one_job_has_the_machine_as_it_is():
    assert divide(1, ["0", "1"], [0, 1]) == [WHOLE_MACHINE]
    assert WHOLE_MACHINE.environment == {} and WHOLE_MACHINE.core_count is None


def test_neighbours_stay_together():
    first, second = divide(2, ["4", "5", "6", "GPU-7"], range(5))
    assert first.environment == {"CUDA_VISIBLE_DEVICES": "4,5"}
    assert second.environment == {"CUDA_VISIBLE_DEVICES": "6,GPU-7"}
    assert (first.cores, second.cores) == ({0, 1}, {2, 3, 4})


@given(st.integers(2, 9), st.integers(0, 16), st.integers(2, 70))
def test_everything_is_in_one_slot(jobs, gpus, cores):
    names = [str(number) for number in range(gpus)]
    if (gpus and gpus < jobs) or cores < jobs:
        with pytest.raises(RefusedError, match="trials share none"):
            divide(jobs, names, range(cores))
        return
    made = divide(jobs, names, range(cores))
    assert [slot.number for slot in made] == list(range(jobs))
    assert sorted(core for slot in made for core in slot.cores) == list(range(cores))
    assert all(slot.cores for slot in made)
    if gpus:
        assert [gpu for slot in made for gpu in slot.gpus] == names
        assert all(slot.gpus for slot in made)
    else:
        assert all(slot.environment == {} for slot in made)


def test_gpus_have_the_names_that_the_environment_gives_them(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus(3) == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 3,MIG-1")
    assert visible_gpus(2) == ["5", "3"]


def test_a_port_is_out_once_at_a_time(monkeypatch):
    free = iter([7001, 7001, 7002, 7001])
    monkeypatch.setattr(slots, "free_port", lambda: next(free))
    ports = Ports()
    assert [ports.take(), ports.take()] == [7001, 7002]
    ports.give(7001)
    assert ports.take() == 7001


@pytest.mark.skipif(sys.platform != "linux", reason="cores are kept to on Linux only")
def test_a_process_keeps_to_its_cores(tmp_path):
    core = min(os.sched_getaffinity(0))
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    argv = [sys.executable, "-S", "-c", code]
    group = ProcessGroup(argv, dict(os.environ), tmp_path / "log", cores=frozenset({core}))
    while group.exit_status() is None:
        pass
    group.end()
    assert (tmp_path / "log").read_text() == f"[{core}]\n"
