"""What the machine has."""

import subprocess

import pytest

from pettingllms.lint import facts
from pettingllms.lint.facts import Facts


@pytest.fixture
def two_gpus(monkeypatch):
    listing = "GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n"
    monkeypatch.setattr(facts.shutil, "which", lambda name: name)
    monkeypatch.setattr(
        facts.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, stdout=listing, stderr="")
    )


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 2), ("", 0), ("-1", 0), ("0", 1), ("0,1", 2), ("0,1,2", 2), ("1,-1,0", 1)]
)
def test_hidden_gpus_do_not_count(two_gpus, monkeypatch, visible, count):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Facts.here() == Facts(gpus=count)


def test_without_the_driver_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(facts.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Facts.here() == Facts(gpus=0)
