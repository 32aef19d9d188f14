"""Running a trial: a worker that completes, crashes, is stopped, hangs, or leaves a child behind."""

import math
import os
import threading
import time

import pytest

from pettingllms.errors import LauncherError
from pettingllms.sweep import runner
from pettingllms.sweep.process_group import group_is_alive
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.runner import run_trial
from pettingllms.sweep.stopping import StopRequest

STARTED = 'event("started", pid=os.getpid(), total_steps=2)\n'


class RecordingView(SilentView):
    def __init__(self):
        self.events, self.records, self.said, self.ended = [], [], [], False

    def event(self, record):
        self.events.append(record["event"])

    def metrics(self, record):
        self.records.append(record)

    def say(self, text):
        self.said.append(text)

    def end(self):
        self.ended = True


class StopWhen(SilentView):
    """Asks to stop when the worker reports that it is ready, as a signal handler would."""

    def __init__(self, stop, *numbers):
        self.stop, self.numbers, self.said = stop, numbers, []

    def event(self, record):
        if record["event"] == "phase":
            for number in self.numbers:
                self.stop.request(number)

    def say(self, text):
        self.said.append(text)


def test_a_trial_that_completes_brings_the_last_value_of_each_metric(trial, worker):
    source = STARTED + (
        'metrics(0, **{"val/success_rate": 0.25})\n'
        'event("phase", step=1, phase="rollout", done=0, total=2)\n'
        'metrics(1, **{"train/success_rate": 0.5})\n'
        'metrics(2, **{"train/success_rate": 0.75, "val/success_rate": 0.9})\n'
        'event("checkpoint", path="/ck/step_2")\n'
        'event("finished")\n'
        'print("a last word")\n'
    )
    view = RecordingView()
    result = run_trial(trial, view, StopRequest(), argv=worker(source, trial.folder))
    assert (result.status, result.exit_code, result.reason) == ("complete", 0, None)
    assert result.metrics == {"val/success_rate": 0.9, "train/success_rate": 0.75}
    assert result.checkpoint == "/ck/step_2"
    assert result.log_path.read_text() == "a last word\n"
    assert view.events == ["started", "phase", "checkpoint", "finished"]
    assert [record["step"] for record in view.records] == [0, 1, 2]
    assert view.ended


def test_an_error_event_is_the_reason(trial, worker):
    source = STARTED + 'event("error", text="the engine failed: boom", exit_code=3)\nsys.exit(1)\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert (result.status, result.exit_code) == ("failed", 3)
    assert result.reason == "the engine failed: boom"


def test_a_crash_without_an_event_is_told_by_the_log(trial, worker):
    source = STARTED + 'raise ValueError("no such thing")\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert (result.status, result.exit_code) == ("failed", 3)
    assert result.reason == "the worker ended: ValueError: no such thing"


def test_a_worker_that_never_reports_is_the_launchers_failure(trial, worker):
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker("sys.exit('no torch')", trial.folder))
    assert (result.status, result.exit_code) == ("failed", 4)
    assert result.reason == "the worker ended: no torch"


def test_a_command_that_does_not_exist_is_a_launcher_error(trial):
    with pytest.raises(LauncherError, match="cannot be started"):
        run_trial(trial, SilentView(), StopRequest(), argv=["/no/such/python"])


def test_nan_is_a_value_like_any_other(trial, worker):
    source = STARTED + 'metrics(1, **{"val/success_rate": float("nan")})\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert result.status == "complete"
    assert math.isnan(result.metrics["val/success_rate"])


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_stop_request_is_passed_on_and_leaves_a_checkpoint(trial, worker, number, code):
    source = f"""
    caught = []
    signal.signal({number}, lambda number, frame: caught.append(number))
    event("started", pid=os.getpid(), total_steps=2)
    metrics(0)
    event("phase", step=1, phase="rollout", done=0, total=2)
    while not caught:
        time.sleep(0.02)
    event("checkpoint", path="/ck/step_0")
    event("interrupted")
    sys.exit({code})
    """
    stop = StopRequest()
    view = StopWhen(stop, number)
    result = run_trial(trial, view, stop, argv=worker(source, trial.folder))
    assert (result.status, result.exit_code, result.checkpoint) == ("interrupted", code, "/ck/step_0")
    assert view.said == ["stopping: waiting for the checkpoint of step 0; once more to stop at once"]


BEGINS = 'event("started", pid=os.getpid(), total_steps=9)\n'
GOES_ON = 'event("started", pid=os.getpid(), total_steps=9, from_step=3)\n'
PHASE = 'event("phase", step={}, phase="{}", done=0, total=2)\ntime.sleep(600)\n'


@pytest.mark.parametrize(
    ("source", "awaited"),
    [
        (BEGINS + PHASE.format(0, "val"), "the run is still starting, and there is nothing to save"),
        (GOES_ON + PHASE.format(3, "sync"), "the run is still starting, and there is nothing to save"),
        (GOES_ON + PHASE.format(4, "rollout"), "step 4 is broken off, and step 3 is saved"),
        (GOES_ON + "metrics(4)\n" + PHASE.format(5, "train"), "waiting for the checkpoint of step 4"),
        (
            BEGINS + 'metrics(1)\nevent("checkpoint", path="/ck/step_000001")\n' + PHASE.format(2, "rollout"),
            "step 2 is broken off, and step 1 is saved",
        ),
        (
            BEGINS + "metrics(1)\n" + PHASE.format(1, "checkpoint"),
            "waiting for the checkpoint that is being written",
        ),
    ],
)
def test_a_stop_says_what_is_waited_for(trial, worker, source, awaited):
    stop = StopRequest()
    view = StopWhen(stop, 15)
    run_trial(trial, view, stop, argv=worker(source, trial.folder))
    assert view.said == [f"stopping: {awaited}; once more to stop at once"]


def test_a_second_request_kills_at_once(trial, worker):
    source = """
    signal.signal(2, signal.SIG_IGN)
    event("started", pid=os.getpid(), total_steps=2)
    event("phase", step=1, phase="rollout", done=0, total=2)
    time.sleep(600)
    """
    stop = StopRequest()
    result = run_trial(trial, StopWhen(stop, 2, 2), stop, argv=worker(source, trial.folder))
    assert (result.status, result.exit_code, result.checkpoint) == ("interrupted", 130, None)


def test_a_worker_that_does_not_stop_in_time_is_killed(trial, worker, monkeypatch):
    monkeypatch.setattr(runner, "STOP_SECONDS", 0.3)
    source = """
    signal.signal(15, signal.SIG_IGN)
    event("started", pid=os.getpid(), total_steps=2)
    event("phase", step=1, phase="rollout", done=0, total=2)
    time.sleep(600)
    """
    stop = StopRequest()
    result = run_trial(trial, StopWhen(stop, 15), stop, argv=worker(source, trial.folder))
    assert (result.status, result.exit_code) == ("interrupted", 143)


def test_a_request_before_the_worker_reported_reaches_the_whole_group(trial, worker):
    stop = StopRequest()
    stop.request(15)
    result = run_trial(trial, SilentView(), stop, argv=worker("time.sleep(600)", trial.folder))
    assert (result.status, result.exit_code) == ("interrupted", 143)


def test_a_worker_stopped_from_outside_is_interrupted(trial, worker):
    source = STARTED + 'event("interrupted")\nsys.exit(143)\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert (result.status, result.exit_code) == ("interrupted", 143)
    assert "from outside" in result.reason


KILLED = "failed (exitcode: -9) local_rank: 1 (pid: 5) of binary: python"


def test_a_process_that_lost_another_does_not_hide_what_became_of_that(trial, worker):
    lost = 'event("error", text="another process of the run ended", exit_code=3, lost=True)\n'
    result = run_trial(
        trial, SilentView(), StopRequest(), argv=worker(STARTED + lost + "sys.exit(1)\n", trial.folder)
    )
    assert (result.status, result.reason) == ("failed", "another process of the run ended")
    source = STARTED + lost + f"print({KILLED!r})\nsys.exit(1)\n"
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert result.reason == "process 1 of the run was ended by SIGKILL (out of memory?)"
    own = 'event("error", text="process 1 of the run: ValueError: boom", exit_code=3)\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(STARTED + own + source, trial.folder))
    assert result.reason == "process 1 of the run: ValueError: boom"


def test_a_process_that_its_launcher_stops_because_another_died_was_not_interrupted(trial, worker):
    source = STARTED + f'event("interrupted")\nprint({KILLED!r})\nsys.exit(1)\n'
    result = run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert (result.status, result.exit_code) == ("failed", 3)
    assert "process 1" in result.reason


def test_a_checkpoint_that_is_being_written_is_waited_for(trial, worker, monkeypatch):
    monkeypatch.setattr(runner, "STOP_SECONDS", 0.3)
    source = """
    signal.signal(15, signal.SIG_IGN)
    event("started", pid=os.getpid(), total_steps=2)
    event("phase", step=1, phase="checkpoint", done=0, total=1)
    time.sleep(1.5)
    event("checkpoint", path="/ck/step_1")
    event("interrupted")
    sys.exit(143)
    """
    stop = StopRequest()
    result = run_trial(trial, StopWhen(stop, 15), stop, argv=worker(source, trial.folder))
    assert (result.status, result.checkpoint) == ("interrupted", "/ck/step_1")


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_no_process_is_left_whatever_the_worker_started(trial, worker, monkeypatch, ending):
    monkeypatch.setattr("pettingllms.sweep.process_group.LEAVE_SECONDS", 0.2)
    source = STARTED + (
        "child = subprocess.Popen([sys.executable, '-S', '-c',"
        " 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'])\n"
        '(folder / "group").write_text(str(os.getpgid(0)))\n'
        f"{ending}\n"
    )
    run_trial(trial, SilentView(), StopRequest(), argv=worker(source, trial.folder))
    assert not group_is_alive(int((trial.folder / "group").read_text()))


def test_a_view_that_fails_leaves_no_process(trial, worker):
    class Broken(SilentView):
        def refresh(self):
            if (trial.folder / "group").exists():
                raise BrokenPipeError

    source = STARTED + '(folder / "group").write_text(str(os.getpgid(0)))\ntime.sleep(600)\n'
    with pytest.raises(BrokenPipeError):
        run_trial(trial, Broken(), StopRequest(), argv=worker(source, trial.folder))
    assert not group_is_alive(int((trial.folder / "group").read_text()))


def test_signals_are_remembered_and_handlers_put_back():
    import signal

    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        while stop.signal is None:
            time.sleep(0.01)
        assert (stop.signal, stop.urgent) == (signal.SIGINT, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.signal, stop.urgent) == (signal.SIGINT, True)
    assert signal.getsignal(signal.SIGINT) is before
