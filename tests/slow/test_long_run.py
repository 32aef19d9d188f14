"""F18: two thousand steps leave a run as small as it was."""

import sys

import pytest

from benchmarks.long_run import TARGET, flat, long_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are under /proc"),
]


def test_memory_files_threads_and_adapters_stay_what_they_were():
    worker, engine, adapters = long_run(2000)
    assert len(adapters) > 1000
    assert set(adapters) == {2}
    for one in (worker, engine):
        assert one.slope() < TARGET
        assert flat(one.files) and flat(one.threads)
