"""The tasks of an experiment: rows of files for environments that read them, made ones for all."""

import pytest
from row_files import experiment, sums, write_lines

from pettingllms.envs import ENVS, math_rows
from pettingllms.envs.base import Env
from pettingllms.envs.math import MathEnv, MathOptions
from pettingllms.envs.splits import splits_of, tasks_of
from pettingllms.errors import RefusedError
from pettingllms.types import Task

HELD = {"validation_size": 4, "test_size": 3}


@pytest.fixture
def rows(tmp_path):
    return write_lines(tmp_path / "rows.jsonl", sums(30))


def test_made_tasks_come_from_the_environment():
    config = experiment(options={"train_size": 5, **HELD})
    found = splits_of(config)
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 5, "val": 4, "test": 3}
    assert all(list(tasks_of(config, split)) == list(tasks) for split, tasks in found.items())


def test_rows_are_tasks_that_can_be_played(rows):
    config = experiment(dataset=str(rows), options=HELD)
    found = splits_of(config)
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 23, "val": 4, "test": 3}
    task = found["val"][0]
    env = MathEnv(task, MathOptions())
    assert env.propose(task.data["answer"]).local == 1.0 and env.success()
    assert MathEnv(task, MathOptions()).propose("-1").local == 0.0


def test_a_benchmark_is_for_validation_and_is_played_whole(rows, tmp_path):
    bench = write_lines(tmp_path / "bench.jsonl", sums(7, first=100))
    config = experiment(dataset=str(rows), benchmark=str(bench), options=HELD)
    found = splits_of(config)
    # What is trained on does not depend on the benchmark.
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 23, "val": 7, "test": 3}
    assert tasks_of(config, "val") == found["val"]


def test_rows_and_made_tasks_may_go_together(rows):
    config = experiment(benchmark=str(rows), options={"train_size": 5})
    assert (len(tasks_of(config, "train")), len(tasks_of(config, "val"))) == (5, 30)


def test_a_preset_of_another_environment_is_refused():
    with pytest.raises(
        RefusedError, match=r"'apps' holds tasks of code_env, and env\.name is 'math_env'"
    ) as caught:
        tasks_of(experiment(dataset="apps"), "train")
    assert "polaris" in caught.value.help


def test_a_name_that_nobody_knows_is_refused_by_the_environment():
    with pytest.raises(RefusedError, match="unknown dataset 'polariz'"):
        tasks_of(experiment(dataset="polariz"), "train")


class Own(Env):
    """Names of its own, and a path is one of them."""

    Options = MathOptions

    @classmethod
    def tasks(cls, dataset, split, options, seed):
        return [Task(dataset, split, {})]


class OwnRows(Own):
    rows = staticmethod(math_rows.own)


def test_an_environment_of_ones_own_reads_rows_where_it_says_so(rows, monkeypatch):
    for name, env in (("own", Own), ("own_rows", OwnRows)):
        monkeypatch.setitem(ENVS._rows, name, f"{__name__}:{env.__name__}")
    config = experiment(name="own", dataset=str(rows))
    assert [task.id for task in tasks_of(config, "train")] == [str(rows)]
    config = experiment(name="own_rows", dataset=str(rows), options={"validation_size": 1, "test_size": 1})
    assert len(tasks_of(config, "train")) == 28
    assert [task.id for task in tasks_of(experiment(name="own_rows", dataset="mine"), "val")] == ["mine"]
