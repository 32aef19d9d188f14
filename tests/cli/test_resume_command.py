"""`pettingllms train --resume`: which run is meant, what may differ, and what the worker then finds."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from swept_experiment import EXPERIMENT

import pettingllms
from pettingllms.cli.app import run
from pettingllms.cli.train import with_bare_resume
from pettingllms.runs.lock import RUN_LOCK, WORKER_LOCK, FolderLock

# Does as many steps as the experiment says, and goes on where the metrics end.
WORKER = """
import json, os, pathlib, re, shutil, sys
folder = pathlib.Path(sys.argv[1])
total = int(re.search(r"total_training_steps = (\\d+)", (folder / "trial.toml").read_text())[1])
def event(kind, **fields):
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps({"event": kind, **fields}) + "\\n")
saved = sorted((folder / "checkpoints").glob("step_*"))
done = int(saved[-1].name[5:]) if saved else -1
event("started", pid=os.getpid(), total_steps=total, **({"from_step": done} if saved else {}))
for step in range(done + 1, total + 1):
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "val/success_rate": step / 8}) + "\\n")
target = folder / "checkpoints" / f"step_{total:06d}"
target.mkdir(parents=True, exist_ok=True)
shutil.copy(folder / "trial.toml", target)
(target / "state.json").write_text('{"format": 2}')
sys.path.insert(0, os.environ["PACKAGE"])
from pettingllms.runs.checkpoints import seal
seal(target)
event("checkpoint", path=str(target))
event("finished")
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """An experiment in the current folder, and a worker of a few lines in the place of the real one."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(
        "pettingllms.sweep.runner.launch_argv",
        lambda config, folder, port, cores: [sys.executable, "-S", str(script), str(folder)],
    )
    monkeypatch.setenv("PACKAGE", str(Path(pettingllms.__file__).parents[1]))
    monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: [])
    file = tmp_path / "demo.toml"
    file.write_text(EXPERIMENT)
    return file


def runs(tmp_path):
    return sorted(path.parent for path in (tmp_path / "outputs").glob("*/*/manifest.json"))


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def started(experiment, tmp_path, capsys):
    """The folder of a run that did its two steps."""
    assert run(["train", "demo.toml"]) == 0
    capsys.readouterr()
    return runs(tmp_path)[0]


@pytest.mark.parametrize(
    "words",
    [
        ["demo.toml", "training.total_training_steps=4", "--resume"],
        ["demo.toml", "--resume", "training.total_training_steps=4"],
        ["--resume", "demo.toml", "training.total_training_steps=4"],
        ["--resume", "FOLDER", "training.total_training_steps=4"],
        ["--resume", "FOLDER", "-s", "training.total_training_steps=4"],
        ["demo.toml", "training.total_training_steps=4", "--resume=FOLDER"],
        ["demo.toml", "--resume", "FOLDER", "training.total_training_steps=4"],
        ["demo.toml", "-s", "training.total_training_steps=4", "--resume", "--output", "outputs"],
    ],
    ids=" ".join,
)
def test_the_run_goes_on_in_its_folder(started, tmp_path, capsys, words):
    assert run(["train", *(word.replace("FOLDER", str(started)) for word in words)]) == 0
    assert runs(tmp_path) == [started]
    assert steps(started) == [0, 1, 2, 3, 4]
    shown = capsys.readouterr()
    assert "changed since step_000002: training.total_training_steps: 2 -> 4" in shown.err
    assert "step 3/4" in shown.err and "step 1/4" not in shown.err, "only what is new is shown"
    assert "0.5" in shown.out and str(started) in shown.out
    for name in ("trial.toml", "resolved.toml"):
        assert "total_training_steps = 4" in (started / name).read_text()


def test_the_newest_run_of_the_file_is_meant(started, experiment, tmp_path):
    shutil.copy(experiment, tmp_path / "other.toml")
    assert run(["train", "demo.toml"]) == 0
    assert run(["train", "other.toml"]) == 0
    second, third = [folder for folder in runs(tmp_path) if folder != started]
    assert run(["train", "demo.toml", "--resume", "training.total_training_steps=3"]) == 0
    assert [steps(folder)[-1] for folder in (started, second, third)] == [2, 3, 2]


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {path: path.read_bytes() for path in files}


def refused(words, capsys, code=1):
    assert run(["train", *words]) == code
    return capsys.readouterr().err


def test_a_change_that_is_not_allowed_leaves_the_folder_as_it_is(started, capsys):
    before = contents(started)
    words = ["demo.toml", "--resume", "training.seed=3", "training.val_freq=2"]
    said = refused(words, capsys)
    assert "training.seed: 0 -> 3 (every draw of the run derives from it)" in said
    assert "training.val_freq: " not in said
    assert contents(started) == before


def test_a_run_that_is_over_has_nothing_to_go_on_with(started, capsys):
    said = refused(["demo.toml", "--resume"], capsys)
    assert "has finished its 2 steps" in said and "raise training.total_training_steps" in said


@pytest.mark.parametrize("lock", [RUN_LOCK, WORKER_LOCK])
def test_a_folder_in_use_is_refused_with_who_has_it(started, capsys, lock):
    with FolderLock(started, lock):
        said = refused(["demo.toml", "--resume", "training.total_training_steps=4"], capsys)
    assert "is in use by process" in said and "since 20" in said
    assert steps(started) == [0, 1, 2]


def test_what_is_no_run_is_said(experiment, capsys, tmp_path):
    assert "there is no run of" in refused(["demo.toml", "--resume"], capsys, 2)
    assert "is no run folder" in refused(["demo.toml", "--resume", str(tmp_path)], capsys, 2)
    assert "is no run folder" in refused(["--resume", "nowhere"], capsys, 2)
    for words in (["--resume"], ["--resume", "training.seed=3"], ["--resume", "-s", "training.seed=3"]):
        said = refused(words, capsys, 2)
        assert "which run is meant is not said" in said
        assert "train FILE --resume goes on" in said and "train --resume FOLDER with" in said
    assert "FILE is missing" in refused([], capsys, 2)


def test_a_run_without_a_checkpoint_is_begun_anew_by_the_worker(started, capsys):
    shutil.rmtree(started / "checkpoints")
    (started / "events.jsonl").write_text('{"event": "started"}\n')
    (started / "metrics.jsonl").unlink()
    assert run(["train", "demo.toml", "--resume", "training.seed=3"]) == 0
    assert steps(started) == [0, 1, 2]


def test_only_a_bare_resume_is_completed():
    assert with_bare_resume(["train", "--resume"]) == ["train", "--resume="]
    assert with_bare_resume(["train", "--resume", "a/b"]) == ["train", "--resume", "a/b"]
    assert with_bare_resume(["train", "--resume", "--json"]) == ["train", "--resume=", "--json"]
    assert with_bare_resume(["train", "--", "--resume"]) == ["train", "--", "--resume"]


def test_a_checkpoint_is_no_run(started, capsys):
    checkpoint = started / "checkpoints" / "step_000002"
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert run(["train", "--resume", str(checkpoint), "training.total_training_steps=4"]) == 2
    told = capsys.readouterr().err
    assert "is a checkpoint, no run folder" in told and f"--resume {started}" in told
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"specialization =", b"\x8d\xff"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_compared(started, capsys, content):
    assert run(["train", "--resume", str(started), "training.total_training_steps=4"]) == 0
    capsys.readouterr()
    (started / "checkpoints" / "step_000004" / "trial.toml").write_bytes(content)
    # Step 4 is done again, as a finished run whose last checkpoint is damaged is not finished.
    assert run(["train", "--resume", str(started), "training.total_training_steps=4"]) == 0
    told = capsys.readouterr().err
    assert "step_000004 is damaged and left out: trial.toml" in told


@pytest.mark.parametrize("content", [b"", b"\x8d\xff"])
def test_a_damaged_file_of_the_run_is_written_anew(started, capsys, content):
    (started / "trial.toml").write_bytes(content)
    words = ["train", "demo.toml", "--resume", str(started), "training.total_training_steps=4"]
    assert run(words) == 0
    assert "trial.toml cannot be read and is written anew" in capsys.readouterr().err
    assert "total_training_steps = 4" in (started / "trial.toml").read_text()


def test_fewer_steps_than_are_done_is_said(started, capsys):
    assert run(["train", "--resume", str(started), "training.total_training_steps=1"]) == 1
    assert "has finished 2 steps, and 1 are asked for" in capsys.readouterr().err


def test_a_named_run_needs_no_output_folder(started, capsys, tmp_path):
    words = ["train", "--resume", str(started), "training.total_training_steps=4", "--output", "there"]
    assert run(words) == 0
    assert not (tmp_path / "there").exists()


def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_loses_nothing(started, capsys):
    assert run(["train", "--resume", str(started), "training.total_training_steps=4"]) == 0
    capsys.readouterr()
    root = started / "checkpoints"
    (root / "step_000002" / "state.json").unlink()
    (root / "step_000004" / "trial.toml").write_bytes(b"")
    before = contents(started)
    said = refused(["demo.toml", "--resume", "training.total_training_steps=5"], capsys, 3)
    assert "step_000002: state.json cannot be read" in said
    assert "step_000004: trial.toml has 0 bytes" in said
    assert f"delete {root}" in said and "--output DIR" in said
    assert contents(started) == before
    shutil.rmtree(root)
    assert run(["train", "--resume", str(started), "training.total_training_steps=5"]) == 0


def test_a_folder_that_is_nearly_a_run_is_told_from_others(started, tmp_path, capsys):
    checkpoints = started / "checkpoints"
    said = refused(["--resume", str(checkpoints)], capsys, 2)
    assert f"{checkpoints} holds the checkpoints of a run" in said and f"name the run, {started}" in said
    said = refused(["--resume", str(tmp_path / "outputs")], capsys, 2)
    assert "holds runs, and is none" in said and f"as {started}" in said
    (started / "play.json").touch()
    said = refused(["--resume", str(started)], capsys, 2)
    assert f"{started} is of an evaluation" in said
    (started / "play.json").unlink()
    (started / "trial.toml").unlink()
    said = refused(["--resume", str(started)], capsys, 2)
    assert f"{started} is a run without its trial.toml" in said
    assert f"{checkpoints / 'step_000002' / 'trial.toml'}" in said


def forbid(monkeypatch, method, path):
    """Let the user have no right to do this with `path`: tests may be run by root, who has all of them."""
    allowed = getattr(Path, method)

    def refuses(self, *words, **options):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return allowed(self, *words, **options)

    monkeypatch.setattr(Path, method, refuses)


def test_a_checkpoint_that_may_not_be_read_is_not_damaged(started, capsys, monkeypatch):
    before = contents(started)
    file = started / "checkpoints" / "step_000002" / "state.json"
    forbid(monkeypatch, "stat", file)
    said = refused(["--resume", str(started), "training.total_training_steps=4"], capsys)
    assert f"step_000002 cannot be read: {file}: Permission denied" in said
    monkeypatch.undo()
    assert contents(started) == before


def test_what_a_run_could_not_write_is_told_before_it_starts(started, capsys, monkeypatch):
    before = contents(started)
    words = ["--resume", str(started), "training.total_training_steps=4"]
    for folder in (started, started / "checkpoints"):
        with monkeypatch.context() as patched:
            patched.setattr(
                "pettingllms.sweep.resume.write_fault",
                lambda one, folder=folder: "Permission denied" if one == folder else None,
            )
            said = refused(words, capsys)
        assert f"{folder} cannot be written: Permission denied" in said
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: Path(path).name != "metrics.jsonl")
        said = refused(words, capsys)
    assert f"{started / 'metrics.jsonl'} cannot be written: it is read-only" in said
    assert contents(started) == before


def test_a_folder_that_may_not_be_opened_is_no_traceback(started, capsys, monkeypatch):
    forbid(monkeypatch, "is_dir", started / "checkpoints")
    said = refused(["--resume", str(started), "training.total_training_steps=4"], capsys, 2)
    assert f"error: {started / 'checkpoints'} cannot be used: Permission denied" in said


def test_a_file_in_the_place_of_the_checkpoints_is_told_before_it_starts(started, capsys):
    shutil.rmtree(started / "checkpoints")
    (started / "checkpoints").touch()
    said = refused(["--resume", str(started), "training.total_training_steps=4"], capsys)
    assert f"{started / 'checkpoints'} is no folder, and should hold checkpoints" in said
