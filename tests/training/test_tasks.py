import pytest

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
