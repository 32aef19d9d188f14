import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.errors import RefusedError
from pettingllms.training.tasks import TaskSchedule
from pettingllms.types import Task

TASKS = [Task(str(number), "train", {}) for number in range(10)]


def ids(schedule, step):
    return [task.id for task in schedule.batch(step)]


def test_no_task_repeats_within_an_epoch_and_epochs_differ():
    schedule = TaskSchedule(TASKS, 5, 1, None, seed=0)
    first, second = ids(schedule, 1) + ids(schedule, 2), ids(schedule, 3) + ids(schedule, 4)
    assert sorted(first) == sorted(second) == [str(number) for number in range(10)]
    assert first != second


def test_batch_is_played_again_for_resample_freq_steps():
    schedule = TaskSchedule(TASKS, 5, 3, None, seed=0)
    assert ids(schedule, 1) == ids(schedule, 2) == ids(schedule, 3)
    assert not set(ids(schedule, 4)) & set(ids(schedule, 1))


def test_epoch_size_reshuffles_earlier():
    schedule = TaskSchedule(TASKS, 2, 1, 2, seed=0)
    assert schedule.steps_per_epoch == 2
    assert not set(ids(schedule, 1)) & set(ids(schedule, 2))
    assert [ids(schedule, step) for step in (1, 2)] != [ids(schedule, step) for step in (3, 4)]


def test_order_depends_on_the_seed():
    assert ids(TaskSchedule(TASKS, 10, 1, None, 0), 1) != ids(TaskSchedule(TASKS, 10, 1, None, 1), 1)


def test_batch_larger_than_the_split_is_refused():
    with pytest.raises(RefusedError, match="train_batch_size = 11"):
        TaskSchedule(TASKS, 11, 1, None, 0)


def test_more_tasks_are_those_that_the_step_has_not_played():
    schedule = TaskSchedule(TASKS, 4, 1, None, seed=0)
    first = ids(schedule, 1)
    second, third = ([task.id for task in schedule.more(1, attempt)] for attempt in (1, 2))
    assert sorted(first + second + third) == sorted(task.id for task in TASKS)
    assert (len(second), len(third), schedule.more(1, 3)) == (4, 2, [])
    assert [task.id for task in schedule.more(2, 1)] != second


def test_epochs_end_where_the_order_changes():
    schedule = TaskSchedule(TASKS, 5, 2, None, seed=0)
    assert [step for step in range(1, 13) if schedule.ends_epoch(step)] == [4, 8, 12]
    assert [schedule.epoch(step) for step in (1, 4, 5, 8, 9)] == [0, 0, 1, 1, 2]


def test_a_long_epoch_has_several_passes_in_orders_of_their_own():
    schedule = TaskSchedule(TASKS, 5, 1, 6, seed=0)
    assert [step for step in range(1, 13) if schedule.ends_epoch(step)] == [6, 12]
    passes = [ids(schedule, step) + ids(schedule, step + 1) for step in (1, 3, 5)]
    assert all(sorted(one) == sorted(task.id for task in TASKS) for one in passes)
    assert len({tuple(one) for one in passes}) == 3


@pytest.mark.parametrize(("tasks", "batch", "freq"), [(10, 3, 1), (10, 5, 2), (7, 7, 1), (9, 2, 3)])
def test_no_task_is_repeated_or_lost_but_those_that_fill_no_batch(tasks, batch, freq):
    schedule = TaskSchedule(TASKS[:tasks], batch, freq, None, seed=0)
    whole = tasks // batch * batch
    for epoch in range(2):
        steps = range(epoch * schedule.steps_per_epoch + 1, (epoch + 1) * schedule.steps_per_epoch + 1)
        played = [task for step in steps for task in ids(schedule, step)]
        assert len(set(played)) == whole
        assert all(played.count(task) == freq for task in set(played))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 10),
    st.integers(1, 3),
    st.none() | st.integers(1, 12),
    st.integers(0, 5),
)
def test_passes_are_without_replacement_wherever_a_run_goes_on(count, batch, freq, epoch, seed):
    tasks = [Task(str(number), "train", {}) for number in range(count)]
    batch = min(batch, count)
    whole = TaskSchedule(tasks, batch, freq, epoch, seed)
    for number in range(4):
        begin = number * whole.steps_per_epoch
        steps = range(begin + 1, begin + whole.steps_per_epoch + 1)
        # Each step by a schedule that has played none before, as in a run that goes on there.
        played = [ids(TaskSchedule(tasks, batch, freq, epoch, seed), step) for step in steps]
        assert played == [ids(whole, step) for step in steps]
        in_a_pass = count // batch * freq
        for first in range(0, len(played), in_a_pass):
            drawn = [task for one in played[first : first + in_a_pass : freq] for task in one]
            assert len(set(drawn)) == len(drawn)
