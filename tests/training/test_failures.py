"""What a run says of the error that ends it."""

import errno
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pettingllms.errors import RefusedError
from pettingllms.training.events import EventStream
from pettingllms.training.failures import explained


def test_a_refusal_speaks_for_itself():
    failure = explained(RefusedError("no room", help="make some"))
    assert (failure.line, failure.expected) == ("no room; make some", True)
    assert failure.exit_code == RefusedError.exit_code


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_with_the_file_and_how_to_go_on(number):
    failure = explained(OSError(number, os.strerror(number), "/runs/engine/policy0"))
    assert failure.text.startswith("the disk is full") and "/runs/engine/policy0" in failure.text
    assert "--resume" in failure.line and failure.expected and failure.exit_code == 3


def test_a_full_disk_under_safetensors(tmp_path):
    # Python ignores the signal that tells of a file that may not grow: what is left is the error.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(Exception, match="too large") as caught:
            save_file({"a": torch.zeros(10**6)}, tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert explained(caught.value).text.startswith("the disk is full")


def test_memory_that_runs_out_says_what_needs_less():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    failure = explained(caught.value)
    assert failure.text.startswith("memory ran out") and "lora" in failure.line
    assert "\n" not in failure.line


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "gone", "a"), ValueError("x"), RuntimeError("shapes")]
)
def test_other_errors_keep_their_type(error):
    failure = explained(error)
    assert failure.text == f"{type(error).__name__}: {error}" and not failure.expected


def test_last_words_that_the_disk_does_not_take_raise_nothing():
    EventStream(Path("/dev/full")).error("the disk is full", 3)
