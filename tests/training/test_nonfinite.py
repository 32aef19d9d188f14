"""F7: how often a policy's numbers may be none before the run stops."""

import pytest

from pettingllms.errors import DivergedError
from pettingllms.training.nonfinite import NonFinite
from pettingllms.training.token_update import UpdateResult

BAD = UpdateResult({}, steps=0, left_out=1, nonfinite=1)
HALF = UpdateResult({}, steps=1, left_out=1, nonfinite=1)
GOOD = UpdateResult({}, steps=1)
TOO_STEEP = UpdateResult({}, steps=0, left_out=1)
NONE = UpdateResult({}, steps=0)


def follow(guard, *results, start=1):
    for step, result in enumerate(results, start=start):
        guard.follow(step, {"good": GOOD, "bad": result})


def test_the_third_in_a_row_stops_the_run_and_says_what_to_look_at():
    guard = NonFinite()
    follow(guard, BAD, BAD)
    with pytest.raises(DivergedError, match="policy 'bad' is no number in step 3") as caught:
        follow(guard, BAD, start=3)
    assert "train/grad_norm/bad" in caught.value.help and "actor.optim.lr" in caught.value.help
    assert caught.value.exit_code == 3


def test_a_number_in_between_begins_anew():
    follow(NonFinite(), BAD, BAD, GOOD, BAD, BAD, TOO_STEEP, BAD, HALF)


def test_a_step_without_gradient_is_neither():
    with pytest.raises(DivergedError):
        follow(NonFinite(), BAD, NONE, BAD, NONE, HALF)


def test_policies_are_counted_apart():
    guard = NonFinite()
    for step in range(1, 9):
        guard.follow(step, {"a": (BAD, BAD, GOOD)[step % 3], "b": (GOOD, BAD)[step % 2]})


def test_the_count_survives_a_checkpoint():
    guard, resumed = NonFinite(), NonFinite()
    follow(guard, BAD, BAD)
    tensors, values = guard.state()
    assert (tensors, values) == ({}, {"bad": 2})
    resumed.load_state(tensors, values)
    with pytest.raises(DivergedError):
        follow(resumed, BAD, start=3)
    assert guard.state()[1] == {"bad": 2}
