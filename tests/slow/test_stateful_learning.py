"""The experiment of `stateful_env` that learns, for real: held-out success before and after."""

import pytest
from experiment_runs import trained

from pettingllms.evaluation.statistics import wilson

pytestmark = pytest.mark.slow
TEST_TASKS = 128
"""`env.options.test_size` of the file."""


def test_held_out_success_rises_with_intervals_apart(tmp_path):
    _, records = trained("stateful_learns.toml", tmp_path)
    measured = [record["test/success_rate"] for record in records if "test/success_rate" in record]
    assert len(measured) == 2  # before the first step and after the last
    before, after = (wilson(rate, TEST_TASKS) for rate in measured)
    assert before[1] < after[0]
