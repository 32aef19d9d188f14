"""From rows to the tasks of splits: own files or rows held out, never one task in two splits."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import sums, write_lines

from pettingllms.config.data import DataOptions
from pettingllms.data.records import RecordedTasks, record_of
from pettingllms.data.tasks import load_splits, load_tasks
from pettingllms.envs.math_rows import own
from pettingllms.errors import RefusedError
from pettingllms.types import Task

SPLITS = ("train", "val", "test")
SIZES = DataOptions(validation_size=3, test_size=2)


def load(path, options=SIZES, seed=0, splits=SPLITS, **more):
    return load_splits(str(path), splits, options, seed, own=own, **more)


def questions(tasks):
    return [task.data["question"] for task in tasks]


def test_rows_are_held_out_for_splits_without_files(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", sums(20))
    found = load(path)
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 15, "val": 3, "test": 2}
    everything = [question for tasks in found.values() for question in questions(tasks)]
    assert sorted(everything) == sorted(row["question"] for row in sums(20))
    assert all(
        task.split == split and task.id.startswith(f"{split}/rows.jsonl:")
        for split in SPLITS
        for task in found[split]
    )
    # In the order of the file.
    numbers = [int(task.id.rpartition(":")[2]) for task in found["train"]]
    assert numbers == sorted(numbers)


def test_splits_with_files_of_their_own_are_what_is_in_them(tmp_path):
    for name, first in (("train", 0), ("validation", 50), ("test", 60)):
        write_lines(tmp_path / f"{name}.jsonl", sums(9, first))
    found = load(tmp_path)
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 9, "val": 9, "test": 9}
    (tmp_path / "validation.jsonl").unlink()
    found = load(tmp_path)
    # Only for validation is anything held out then.
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 6, "val": 3, "test": 9}
    assert found["val"].record.files == ("train.jsonl",)


@pytest.mark.parametrize(
    ("names", "taken"), [("train test validation", "test"), ("train val", "val"), ("train", "train")]
)
def test_a_benchmark_is_played_whole(tmp_path, names, taken):
    for number, name in enumerate(names.split()):
        write_lines(tmp_path / f"{name}.jsonl", sums(4, 10 * number))
    found = load(tmp_path, splits=("val",), benchmark=True)["val"]
    assert len(found) == 4
    assert found.record.files[0].startswith(taken)
    assert {task.split for task in found} == {"val"}


def test_a_source_without_training_rows_is_no_dataset_to_train_on(tmp_path):
    write_lines(tmp_path / "test.jsonl", sums(4))
    assert [len(load(tmp_path, splits=(split,))[split]) for split in ("val", "test")] == [4, 4]
    with pytest.raises(RefusedError, match="no rows to train on, only test rows") as caught:
        load(tmp_path)
    assert "env.benchmark" in caught.value.help


def test_what_is_held_out_follows_from_content_and_seed(tmp_path):
    rows = sums(30)
    path = write_lines(tmp_path / "rows.jsonl", rows)
    first = {split: set(questions(tasks)) for split, tasks in load(path).items()}
    assert {split: set(questions(tasks)) for split, tasks in load(path).items()} == first
    assert {split: set(questions(tasks)) for split, tasks in load(path, seed=1).items()} != first
    turned = write_lines(tmp_path / "turned.jsonl", rows[::-1])
    assert {split: set(questions(tasks)) for split, tasks in load(turned).items()} == first


def test_too_few_rows_are_refused(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", sums(5))
    with pytest.raises(RefusedError, match="has 5 training rows, too few beside 5 held-out ones") as caught:
        load(path)
    assert "validation_size" in caught.value.help
    for content in ([], ["", "  "]):
        with pytest.raises(RefusedError, match=r"has no rows in rows\.jsonl"):
            load(write_lines(tmp_path / "rows.jsonl", content))


def test_ones_own_fields_are_found_where_the_experiment_says(tmp_path):
    rows = [{"prompt": [{"content": f"q{n}"}], "gold": {"value": n}, "id": f"r{n}"} for n in range(9)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    fields = {"question": "prompt.0.content", "answer": "gold.value"}
    options = DataOptions(fields=fields, validation_size=1, test_size=0)
    found = load(path, options)
    assert found["test"] == ()
    assert {task.id.partition("/")[2]: task.data["answer"] for task in found["train"] + found["val"]} == {
        f"r{n}": str(n) for n in range(9)
    }
    with pytest.raises(RefusedError, match=r"missing_field: there is no gold\.number"):
        load(path, DataOptions(fields={**fields, "answer": "gold.number"}))


def test_the_benchmark_has_fields_of_its_own(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{"q": "1+1?", "answer": 2}])
    options = DataOptions(fields={"question": "nowhere"}, benchmark_fields={"question": "q"})
    assert questions(load(path, options, splits=("val",), benchmark=True)["val"]) == ["1+1?"]


def test_rows_may_have_the_format_of_a_preset(tmp_path):
    rows = [{"question": f"q{n}", "answer": f"So\n#### {n}"} for n in range(9)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    options = DataOptions(fields="gsm8k", validation_size=1, test_size=1)
    assert {task.data["answer"] for tasks in load(path, options).values() for task in tasks} == set(
        "012345678"
    )
    with pytest.raises(RefusedError, match="no preset 'gsm9k'"):
        load(path, DataOptions(fields="gsm9k"))


def test_fields_of_a_preset_are_not_for_the_experiment_to_say(tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_DATA_DIR", str(tmp_path))
    write_lines(tmp_path / "HuggingFaceH4/MATH-500/test.jsonl", [{"problem": "p", "answer": "1"}])
    with pytest.raises(RefusedError, match="knows the fields of its rows"):
        load("MATH500", DataOptions(fields={"question": "q"}), splits=("test",))


def test_an_environment_without_a_format_of_rows_is_refused(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", sums(9))
    with pytest.raises(RefusedError, match="no format of rows of its own"):
        load_tasks(str(path), "train", SIZES, 0)


def test_the_record_says_what_was_read(tmp_path):
    rows = [*sums(97), "{", {"question": "what is 1 + 1?", "answer": 2}, {"question": "q"}]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    found = load(path, DataOptions(max_bad_fraction=0.03, validation_size=3, test_size=2))
    record = found["train"].record
    told = json.loads(json.dumps(record.as_json()))
    assert (told["rows"], told["tasks"], told["files"]) == (100, 92, ["rows.jsonl"])
    assert told["bad"] == {"bad_json": 1, "duplicate": 1, "missing_field": 1}
    places = [place.removeprefix(f"{path}:").partition(":")[0] for place in told["bad_places"]]
    assert places == ["98", "99", "100"]
    assert len({tasks.record.sha256 for tasks in found.values()}) == 3
    assert (
        record.sha256
        == load(path, DataOptions(max_bad_fraction=0.03, validation_size=3, test_size=2))[
            "train"
        ].record.sha256
    )


def test_the_hash_of_a_split_sees_every_change(tmp_path):
    rows = sums(9)
    first = load(write_lines(tmp_path / "rows.jsonl", rows), splits=("train",))["train"].record.sha256
    changed = [*rows[:8], {**rows[8], "answer": 8}]
    other = load(write_lines(tmp_path / "rows.jsonl", changed), splits=("train",))["train"].record.sha256
    # A field that is in no task is no change.
    more = [{**row, "source": "me"} for row in rows]
    same = load(write_lines(tmp_path / "rows.jsonl", more), splits=("train",))["train"].record.sha256
    assert first == same != other


def test_tasks_that_were_made_have_a_record_too():
    tasks = [Task("a", "train", {"question": "q"}), Task("b", "train", {"grid": [1]})]
    record = record_of("builtin:made", tasks)
    assert (record.source, record.tasks, record.rows) == ("builtin:made", 2, None)
    assert record_of("builtin:made", tasks[::-1]).sha256 != record.sha256
    assert record_of("builtin:made", [tasks[0], Task("b", "train", {"grid": [2]})]).sha256 != record.sha256
    # What no text describes is told apart by its id alone, the same in every process.
    made = [record_of("m", [Task("a", "train", {"object": object()})]).sha256 for _ in range(2)]
    assert made[0] == made[1]
    kept = RecordedTasks(tasks, record)
    assert record_of("another name", kept) is record and list(kept) == tasks


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(0, 3),
)
def test_no_task_is_in_two_splits_or_in_none(tmp_path_factory, numbers, validation, test, seed):
    rows = [{"question": f"q{n}", "answer": n} for n in numbers]
    path = write_lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows)
    options = DataOptions(validation_size=validation, test_size=test, max_bad_fraction=1.0)
    if len(set(numbers)) <= validation + test:
        with pytest.raises(RefusedError, match="too few"):
            load(path, options, seed)
        return
    found = load(path, options, seed)
    everything = [question for tasks in found.values() for question in questions(tasks)]
    assert sorted(everything) == sorted({f"q{n}" for n in numbers})
    assert (len(found["val"]), len(found["test"])) == (validation, test)
    for split in SPLITS:
        alone = load_tasks(str(path), split, options, seed, own=own)
        assert (alone, alone.record) == (found[split], found[split].record)


def test_rows_that_the_run_is_measured_on_are_left_out_and_counted(tmp_path):
    years = [*range(2005, 2024), *[2024] * 11]
    rows = [{"Question": f"q{number}", "Answer": number, "Year": year} for number, year in enumerate(years)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    options = SIZES.model_copy(update={"fields": "aime_past"})
    for benchmark, count in (("AIME24", 11), ("hf:Maxwell-Jia/AIME_2024", 11), ("AIME25", 0), (None, 0)):
        found = load(path, options, measured_on=benchmark)
        assert sum(map(len, found.values())) == 30 - count
        assert found["train"].record.bad == ({"in_benchmark": count} if count else {})
