"""Several processes share the work of a step and learn the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_ranks

from pettingllms.training.ranks import Ranks, dealt

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def both(tiny_model, tmp_path_factory):
    """What each of two gloo ranks has after its updates, and what one rank alone has."""
    folder = tmp_path_factory.mktemp("ranks")
    path = os.pathsep.join([str(TESTS), str(TESTS.parents[1])])
    command = [sys.executable, str(TESTS / "two_ranks.py"), str(tiny_model), str(folder / "meet")]
    environment = dict(os.environ, PYTHONPATH=path, GLOO_SOCKET_IFNAME="lo", OMP_NUM_THREADS="1")
    ranks = [subprocess.Popen([*command, str(rank), "2", str(folder)], env=environment) for rank in (0, 1)]
    # A rank that waits for ever for the other would hang here.
    assert [process.wait(timeout=240) for process in ranks] == [0, 0]
    loaded = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return two_ranks.results(tiny_model, Ranks()), *loaded


def test_c08_two_ranks_have_the_parameters_of_one_after_a_step(both):
    alone, first, second = both
    for case, (wanted, _) in alone.items():
        for parameters in (first[case][0], second[case][0]):
            assert max((a - b).abs().max() for a, b in zip(parameters, wanted, strict=True)) < 1e-6, case


def test_ranks_agree_bit_for_bit_and_measure_the_same(both):
    alone, first, second = both
    for case, (_, result) in alone.items():
        assert all(torch.equal(a, b) for a, b in zip(first[case][0], second[case][0], strict=True))
        assert first[case][1] == second[case][1]
        assert first[case][1].metrics == pytest.approx(result.metrics, rel=1e-4, abs=1e-6)


def test_c09_a_rank_without_a_sample_of_a_policy_takes_part_all_the_same(both):
    # One row for two ranks: the second has none, and neither hangs.
    alone, first, second = both
    for one in (first, second):
        assert one["one row"][1].steps == alone["one row"][1].steps == 1
        assert one["no row"][1].steps == alone["no row"][1].steps == 0


def test_rows_are_dealt_evenly_and_the_same_everywhere():
    # 9 to rank 0, 5 and 3 to rank 1, then 2 to the one that has less.
    assert dealt([3, 9, 5, 2], 2) == [1, 0, 1, 1]
    assert dealt([4, 4], 2) == [0, 1]
    assert dealt([], 2) == []
    assert dealt([1, 2], 1) == [0, 0]
