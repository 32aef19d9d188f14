"""What the machine has."""

import subprocess

import pytest

from pettingllms.errors import UsageError
from pettingllms.lint import facts
from pettingllms.lint.facts import Facts

GIB = 2**30


@pytest.fixture
def driver(monkeypatch):
    """A machine whose driver lists these GPUs."""

    def make(listing, code=0):
        monkeypatch.setattr(facts.shutil, "which", lambda name: name)
        monkeypatch.setattr(
            facts.subprocess,
            "run",
            lambda *a, **k: subprocess.CompletedProcess(a, code, stdout=listing, stderr=""),
        )
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return make


@pytest.mark.parametrize(
    ("visible", "gpus", "memory"),
    [
        (None, 2, 40 * GIB),
        ("", 0, None),
        ("-1", 0, None),
        ("0", 1, 80 * GIB),
        ("1", 1, 40 * GIB),
        ("0,1", 2, 40 * GIB),
        ("0,1,2", 2, 40 * GIB),
        ("1,-1,0", 1, 40 * GIB),
        ("5", 0, None),
        ("GPU-4f2e", 1, 40 * GIB),
    ],
)
def test_hidden_gpus_do_not_count(driver, monkeypatch, visible, gpus, memory):
    driver("0, 81920\n1, 40960\n")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    here = Facts.here()
    assert (here.gpus, here.gpu_memory) == (gpus, memory)


@pytest.mark.parametrize(
    ("listing", "gpus", "memory"),
    [
        ("0, [N/A]\n", 1, None),
        ("0, [N/A]\n1, 1024\n", 2, GIB),
        ("No devices were found\n", 0, None),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 0, None),
    ],
)
def test_what_the_driver_does_not_tell_is_not_made_up(driver, listing, gpus, memory):
    driver(listing)
    here = Facts.here()
    assert (here.gpus, here.gpu_memory) == (gpus, memory)


def test_without_the_driver_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(facts.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    here = Facts.here()
    assert (here.gpus, here.gpu_memory, here.local) == (0, None, True)
    assert here.disk_free > 0


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["gpus=8,gpu_memory=80GiB,disk=2TB"], Facts(8, 80 * GIB, 2 * 10**12)),
        (["gpus=8", "gpu_memory = 24 gib"], Facts(8, 24 * GIB)),
        (["gpus=8", "gpus=0"], Facts(0)),
        (["disk=1.5KiB"], Facts(disk_free=1536)),
        (["disk=0B"], Facts(disk_free=0)),
        (["disk=3MB,gpu_memory=3tib"], Facts(None, 3 * 2**40, 3_000_000)),
    ],
)
def test_assumptions_are_read(texts, expected):
    assert Facts.assumed(*texts) == expected


def test_assumptions_go_on_top_of_what_is_known():
    here = Facts(0, None, 5, local=True)
    assert Facts.assumed("gpus=4,gpu_memory=1GiB", over=here) == Facts(4, GIB, 5, local=True)
    assert Facts.assumed(over=here) == here


@pytest.mark.parametrize(
    ("text", "message", "help_text"),
    [
        ("gpu=8", "nothing can be assumed about 'gpu'", "did you mean gpus?"),
        ("gpu_mem=80GiB", "nothing can be assumed about 'gpu_mem'", "did you mean gpu_memory?"),
        ("cores=8", "nothing can be assumed about 'cores'", "known: gpus, gpu_memory, disk"),
        ("gpus", "'gpus' is no assumption", "write gpus=8"),
        ("", "'' is no assumption", "write gpus=8"),
        ("gpus=8,", "'' is no assumption", "write gpus=8"),
        ("gpus=-1", "gpus=-1: not a whole number", "write gpus=8"),
        ("gpus=1.5", "gpus=1.5: not a whole number", "write gpus=8"),
        ("gpus=", "gpus=: not a whole number", "write gpus=8"),
        ("gpu_memory=80", "gpu_memory=80: not a size", "one of B, KB, KiB, MB"),
        ("gpu_memory=-80GiB", "gpu_memory=-80GiB: not a size", "from 0 up"),
        ("disk=2 parsecs", "disk=2 parsecs: not a size", "GiB, TB, TiB"),
        ("disk=1e9GB", "disk=1e9GB: not a size", "a number"),
        ("disk=" + "9" * 5000 + "GB", "not a size", "a number"),
    ],
)
def test_what_cannot_be_assumed_is_said(text, message, help_text):
    with pytest.raises(UsageError) as caught:
        Facts.assumed(text)
    assert message in str(caught.value)
    assert help_text in caught.value.help
