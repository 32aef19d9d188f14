"""The tasks of a run: recorded in its manifest, and the same when it goes on."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from row_files import experiment, sums, write_lines

from pettingllms.envs.splits import tasks_of
from pettingllms.errors import CheckpointError, RefusedError
from pettingllms.plugins import digests
from pettingllms.training.datasets import run_tasks
from pettingllms.training.events import EventStream

BEGIN = "checkpoints/step_000002"


def config(dataset, **env):
    options = {"validation_size": 2, "test_size": 2, "max_bad_fraction": 0.1}
    return experiment(dataset=str(dataset), options=options, **env)


def begin(folder, config, checkpoint=None):
    return run_tasks(config, folder, EventStream(folder / "events.jsonl"), checkpoint)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def rows(tmp_path):
    return write_lines(tmp_path / "rows.jsonl", [*sums(20), "{"])


def test_the_manifest_says_what_a_run_was_trained_on(tmp_path, rows):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"seed": 0}')
    tasks = begin(folder, config(rows))
    told = manifest(folder)
    assert told["seed"] == 0
    assert {split: one["tasks"] for split, one in told["data"].items()} == {"train": 16, "val": 2, "test": 2}
    assert told["data"]["train"]["bad"] == {"bad_json": 1}
    assert told["data"]["train"]["sha256"] == tasks["train"].record.sha256
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    warnings = [one["text"] for one in events if one["event"] == "warning"]
    # Once, though all splits are of these rows.
    (warning,) = warnings
    told = f"1 of 21 rows of rows.jsonl are bad (bad_json 1) and left out; the first: {rows}:21: bad_json"
    assert warning.startswith(told)
    assert [path.name for path in folder.iterdir() if path.suffix == ".part"] == []


def test_a_run_without_a_manifest_gets_one(tmp_path):
    begin(tmp_path, config("builtin:arithmetic"))
    assert {one["source"] for one in manifest(tmp_path)["data"].values()} == {"builtin:arithmetic"}


def test_a_run_goes_on_with_the_same_tasks(tmp_path, rows):
    begin(tmp_path, config(rows))
    first = manifest(tmp_path)["data"]
    begin(tmp_path, config(rows), tmp_path / BEGIN)
    assert manifest(tmp_path)["data"] == first


def test_a_run_does_not_go_on_with_other_tasks(tmp_path, rows):
    begin(tmp_path, config(rows))
    first = manifest(tmp_path)["data"]
    write_lines(rows, [*sums(19), {"question": "What is 19 + 1?", "answer": 21}])
    with pytest.raises(CheckpointError, match=r"began with other (train|val|test) tasks of .*rows\.jsonl"):
        begin(tmp_path, config(rows), tmp_path / BEGIN)
    assert manifest(tmp_path)["data"] == first
    # A run that begins anew may.
    begin(tmp_path, config(rows))
    assert manifest(tmp_path)["data"] != first


def test_another_benchmark_is_for_the_table_of_changes_to_judge(tmp_path, rows):
    bench = write_lines(tmp_path / "bench.jsonl", sums(3, first=90))
    begin(tmp_path, config(rows))
    begin(tmp_path, config(rows, benchmark=str(bench)), tmp_path / BEGIN)
    assert manifest(tmp_path)["data"]["val"]["source"] == str(bench)
    write_lines(bench, sums(4, first=90))
    with pytest.raises(CheckpointError, match="other val tasks"):
        begin(tmp_path, config(rows, benchmark=str(bench)), tmp_path / BEGIN)


def test_the_message_names_the_revisions(tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_DATA_DIR", str(tmp_path / "mirror"))
    for revision, first in (("v1", 0), ("v2", 50)):
        write_lines(tmp_path / f"mirror/owner/name@{revision}/rows.jsonl", sums(20, first))
    begin(tmp_path, config("hf:owner/name@v1"))
    shutil.rmtree(tmp_path / "mirror/owner/name@v1")
    shutil.copytree(tmp_path / "mirror/owner/name@v2", tmp_path / "mirror/owner/name@v1")
    with pytest.raises(CheckpointError, match=r"revision v1 and now v1"):
        begin(tmp_path, config("hf:owner/name@v1"), tmp_path / BEGIN)


def test_a_manifest_that_cannot_be_read_compares_nothing(tmp_path, rows):
    (tmp_path / "manifest.json").write_text("[1, 2")
    begin(tmp_path, config(rows), tmp_path / BEGIN)
    assert set(manifest(tmp_path)) == {"data"}


def test_a_plugin_that_has_changed_is_told(tmp_path, rows):
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    own = config(rows).model_copy(update={"plugins": [str(plugin)]})
    begin(tmp_path, own)
    first = manifest(tmp_path)["plugins"]
    assert first == {str(plugin): hashlib.sha256(b"x = 1\n").hexdigest()}
    begin(tmp_path, own, tmp_path / BEGIN)
    warned = "is not what it was when the run began"
    assert warned not in (tmp_path / "events.jsonl").read_text()
    plugin.write_text("x = 2\n")
    begin(tmp_path, own, tmp_path / BEGIN)
    assert f"the plug-in {plugin} {warned}" in (tmp_path / "events.jsonl").read_text()
    assert manifest(tmp_path)["plugins"] != first


def test_digests_are_of_files_and_of_modules(tmp_path):
    found = digests([str(tmp_path / "missing.py"), "json", "sys", "no_such_module"])
    assert found == {"json": hashlib.sha256(Path(json.__file__).read_bytes()).hexdigest()}


def test_training_leaves_out_what_held_out_tasks_ask(tmp_path, rows):
    bench = write_lines(tmp_path / "bench.jsonl", sums(3, first=4))
    shared = config(rows, benchmark=str(bench))
    options = {**shared.env.options, "drop_contaminated": True}
    clean = shared.model_copy(update={"env": shared.env.model_copy(update={"options": options})})
    whole = begin(tmp_path, shared)
    assert manifest(tmp_path)["data"]["train"]["contaminated"] == 0
    tasks = begin(tmp_path, clean)
    asked = {task.data["question"] for split in ("val", "test") for task in tasks[split]}
    kept = [task for task in whole["train"] if task.data["question"] not in asked]
    assert list(tasks["train"]) == kept and len(kept) < len(whole["train"])
    told = manifest(tmp_path)["data"]["train"]
    assert told["contaminated"] == len(whole["train"]) - len(kept) and told["tasks"] == len(kept)
    left_out = f"{told['contaminated']} training tasks share text with held-out ones, and are left out"
    assert left_out in (tmp_path / "events.jsonl").read_text()
    assert tasks_of(clean, "train") == tasks["train"], "alone, too"


def test_nothing_left_to_train_on_is_refused(tmp_path, rows):
    own = config(rows, benchmark=str(rows))
    options = {**own.env.options, "drop_contaminated": True}
    own = own.model_copy(update={"env": own.env.model_copy(update={"options": options})})
    with pytest.raises(RefusedError, match="all 16 training tasks of"):
        begin(tmp_path, own)
