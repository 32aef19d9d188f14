"""`pettingllms train`: refusals before anything starts, and runs of a worker made of a few lines."""

import json
import os
import signal
import sys
import threading
import time

import pytest
from swept_experiment import EXPERIMENT

from pettingllms.cli.app import run

COMPLETES = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "events.jsonl").open("a") as file:
    file.write(json.dumps({"time": 1.0, "event": "started", "pid": os.getpid(), "total_steps": 2}) + "\\n")
    file.write(json.dumps({"time": 2.0, "event": "checkpoint", "path": "/ck/step_2"}) + "\\n")
with (folder / "metrics.jsonl").open("a") as file:
    file.write(json.dumps({"step": 2, "train/success_rate": 0.5, "val/success_rate": 0.75}) + "\\n")
"""

DIES = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "events.jsonl").write_text(json.dumps({"event": "started", "pid": os.getpid()}) + "\\n")
print("loading")
raise ValueError("no such thing")
"""

WAITS = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
caught = []
for number in (2, 15):
    signal.signal(number, lambda number, frame: caught.append(number))
def event(kind, **fields):
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps({"event": kind, **fields}) + "\\n")
event("started", pid=os.getpid(), total_steps=2)
while not caught:
    time.sleep(0.02)
event("checkpoint", path="/ck/step_0")
event("interrupted")
sys.exit(128 + caught[0])
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def use_worker(tmp_path, monkeypatch):
    """Run this source in the place of accelerate and the worker; the packages count as installed."""

    def use(source):
        script = tmp_path / "worker.py"
        script.write_text(source)
        monkeypatch.setattr(
            "pettingllms.sweep.runner.launch_argv",
            lambda config, folder, port, cores: [sys.executable, "-S", str(script), str(folder)],
        )
        monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: [])

    return use


def run_folders(output):
    return [folder.parent for folder in output.rglob("trial.toml")]


def test_a_run_ends_with_its_results(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    output = tmp_path / "out"
    assert run(["train", str(experiment), "--output", str(output)]) == 0
    (folder,) = run_folders(output)
    shown = capsys.readouterr()
    assert [line.split("  ")[0] for line in shown.out.splitlines()] == [
        "finished in",
        "train/success_rate",
        "val/success_rate",
        "checkpoint",
        "run folder",
    ]
    assert "0.75" in shown.out
    assert "/ck/step_2" in shown.out
    assert str(folder) in shown.out
    assert "step 2/2 | train success 0.500 | val success 0.750" in shown.err
    # outputs/<date>/<time>
    assert len(folder.relative_to(output).parts) == 2
    # The default of the axis, not its first value.
    assert "lora_rank = 16\n" in (folder / "trial.toml").read_text()


def test_infos_are_one_line_before_a_run(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    idle = ["training.ray_wait_register_center_timeout=5", "training.rollout_mode=independent"]
    words = ["-s", idle[0], "-s", idle[1], "training.if_greedy=false", "--output", str(tmp_path / "out")]
    assert run(["train", str(experiment), *words]) == 0
    told = capsys.readouterr().err
    (line,) = [one for one in told.splitlines() if one.startswith("info")]
    assert line == (
        f"info: 2 findings (PLM906); `pettingllms lint {experiment} -s {idle[0]} -s {idle[1]} "
        "-s training.if_greedy=false` shows them"
    )
    assert "has no effect" not in told


def test_overrides_by_option_and_by_word_reach_the_trial(experiment, use_worker, tmp_path):
    use_worker(COMPLETES)
    words = ["-s", "training.seed=3", "lora_alpha=64"]
    assert run(["train", str(experiment), *words, "--output", str(tmp_path / "out")]) == 0
    (folder,) = run_folders(tmp_path / "out")
    text = (folder / "trial.toml").read_text()
    assert "seed = 3\n" in text
    assert "lora_alpha = 64" in text
    assert (folder / "experiment.toml").read_text() == EXPERIMENT


def test_json_is_one_object_and_nothing_else(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    assert run(["train", str(experiment), "--json", "--output", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["exit_code"]) == ("complete", 0)
    assert result["metrics"]["val/success_rate"] == 0.75


def test_without_the_console_logger_only_the_result_is_shown(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    assert run(["train", str(experiment), "training.logger=[]", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_quiet_shows_only_the_result(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    assert run(["-q", "train", str(experiment), "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_a_worker_that_dies_shows_its_last_lines_and_its_log(experiment, use_worker, tmp_path, capsys):
    use_worker(DIES)
    assert run(["train", str(experiment), "--output", str(tmp_path / "out")]) == 3
    (folder,) = run_folders(tmp_path / "out")
    shown = capsys.readouterr()
    assert "the run failed: the worker ended: ValueError: no such thing" in shown.err
    assert "  loading\n" in shown.err
    assert f"whole log: {folder / 'log.txt'}" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_a_checkpoint(experiment, use_worker, tmp_path, capsys, number, code):
    use_worker(WAITS)
    output = tmp_path / "out"

    def interrupt():
        while not list(output.rglob("events.jsonl")):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert run(["train", str(experiment), "--output", str(output)]) == code
    finally:
        thread.join()
    assert "interrupted; checkpoint: /ck/step_0" in capsys.readouterr().err


def test_an_error_in_the_file_starts_nothing(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    experiment.write_text(EXPERIMENT.replace("math_env", "no_such_env"))
    assert run(["train", str(experiment), "--output", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "not in ENV_CLASS_MAPPING" in shown.err
    assert shown.out == ""
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path, capsys):
    assert run(["train", str(tmp_path / "none.toml"), "--output", str(tmp_path / "out")]) == 2
    assert "none.toml" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_warnings_are_shown_and_the_run_goes_on(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    # Two homes of one value that disagree.
    words = ["training.lora_rank=4", "--output", str(tmp_path / "out")]
    assert run(["train", str(experiment), *words]) == 0
    assert "warning[" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_output_folder_is_refused(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    (tmp_path / "out").write_text("")
    assert run(["train", str(experiment), "--output", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert f"error: the output folder {tmp_path / 'out'} cannot be written" in shown
    assert "help: free it, or name another folder with --output" in shown


def test_a_checkpoint_folder_that_cannot_be_written_is_refused(experiment, use_worker, tmp_path, capsys):
    use_worker(COMPLETES)
    (tmp_path / "blocker").write_text("")
    words = [
        f"training.model_checkpoints_dir={tmp_path / 'blocker' / 'ck'}",
        "--output",
        str(tmp_path / "out"),
    ]
    assert run(["train", str(experiment), *words]) == 1
    assert "training.model_checkpoints_dir" in capsys.readouterr().err
    assert run_folders(tmp_path / "out") == []


def test_missing_packages_are_named_with_the_install_line(experiment, tmp_path, monkeypatch, capsys):
    absent = {"torch", "vllm"}
    monkeypatch.setattr(
        "pettingllms.sweep.packages.missing", lambda modules: [name for name in modules if name in absent]
    )
    assert run(["train", str(experiment), "--output", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert "error: this run needs torch, vllm, which are not installed" in shown
    assert "help: install with: uv sync --extra cpu" in shown
    assert not (tmp_path / "out").exists()


def test_a_logger_that_is_not_installed_is_a_warning(experiment, use_worker, tmp_path, monkeypatch, capsys):
    from pettingllms.loggers import PACKAGES

    use_worker(COMPLETES)
    monkeypatch.setitem(PACKAGES, "wandb", "no_such_package_here")
    words = ['training.logger=["console", "wandb"]', "--output", str(tmp_path / "out")]
    assert run(["train", str(experiment), *words]) == 0
    assert (
        "warning: logger wandb is not installed and gets nothing; install it with: uv sync --extra loggers"
        in capsys.readouterr().err
    )
