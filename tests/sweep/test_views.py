"""Progress from recorded streams: the state, the lines, and the live picture."""

import io
import math

import pytest
from rich.console import Console

from pettingllms.sweep.lines import LineView, step_line
from pettingllms.sweep.progress import Progress, SilentView, by_name, clock
from pettingllms.sweep.view import LiveView, choose_view, picture, sparkline

FLAT = "tool: all candidates of every group earn the same: nothing can be learned from them"


def phase(at, step, name, done=0, total=2):
    return {"time": at, "event": "phase", "step": step, "phase": name, "done": done, "total": total}


def measured(step, success, flat=0.25):
    return {
        "step": step,
        "train/success_rate": success,
        "train/reward/tool": 0.6,
        "train/reward/reason": 0.7,
        "train/zero_variance/tool": flat,
        "train/zero_variance/reason": 0.0,
        "train/kl/policy_a": 0.0125,
        "time/step": 40.0,
        "time/rollout": 30.0,
        "time/train": 9.0,
        "time/sync": 1.0,
        "perf/rollout_tokens_per_second": 312.4,
    }


# Events and metrics as a worker of six steps writes them: 100 s of start, then 40 s a step.
RECORDED = [
    {"time": 0.0, "event": "started", "pid": 1, "total_steps": 6},
    {"time": 1.0, "event": "status", "text": "loading the model"},
    phase(90.0, 0, "val"),
    {"step": 0, "val/success_rate": 0.25, "test/success_rate": 0.3},
    phase(100.0, 1, "rollout"),
    phase(139.0, 1, "sync", 0, 1),
    {"time": 140.0, "event": "warning", "text": "logger wandb failed at step 1; training continues"},
    measured(1, 0.5),
    phase(150.0, 2, "rollout", 1, 2),
]


def play(view, records):
    for record in records:
        if "event" in record:
            view.event(record)
        else:
            view.metrics(record)
        view.refresh()


def progress_after(records, total=6):
    progress = Progress(total)
    for record in records:
        (progress.take_event if "event" in record else progress.take_metrics)(record)
    return progress


def test_state_after_the_recorded_stream():
    progress = progress_after(RECORDED)
    assert (progress.step, progress.done, progress.total) == (2, 1, 6)
    assert (progress.phase, progress.phase_done, progress.phase_total) == ("rollout", 1, 2)
    # Step 1 began at 100 s and was measured at 140 s: five more take 200 s.
    assert progress.seconds_left == pytest.approx(200)
    assert progress.success == [0.5]
    assert progress.latest["val/success_rate"] == 0.25


def test_two_flat_steps_are_warned_of_once():
    records = [measured(1, 0.2, flat=1.0), measured(2, 0.2, flat=1.0), measured(3, 0.2, flat=1.0)]
    assert progress_after(records[:1]).warnings == []
    assert progress_after(records).warnings == [FLAT]


def test_a_step_with_differences_between_flat_ones_is_no_reason_to_warn():
    shares = (1.0, 0.9, 1.0)
    assert progress_after([measured(n, 0.2, flat=s) for n, s in enumerate(shares, 1)]).warnings == []


def test_flat_groups_of_a_team_that_always_succeeds_are_no_reason_to_warn():
    assert progress_after([measured(n, 1.0, flat=1.0) for n in (1, 2, 3)]).warnings == []


def test_warnings_that_were_seen_are_not_repeated():
    progress = Progress(6, {"seen"})
    progress.take_event({"event": "warning", "text": "seen"})
    progress.take_event({"event": "warning", "text": "new"})
    progress.take_event({"event": "warning", "text": "new"})
    assert progress.warnings == ["new"]


def test_clock():
    assert [clock(s) for s in (0, 65.4, 3599.6, 3665)] == ["0:00", "1:05", "1:00:00", "1:01:05"]


def test_metrics_by_name():
    assert by_name({"train/reward/a": 1.0, "train/loss/p": 2.0}, "train/reward/") == {"a": 1.0}


def test_lines(trial):
    stream = io.StringIO()
    view = LineView(stream)
    view.begin(trial)
    play(view, RECORDED)
    view.event({"event": "checkpoint", "path": "/ck/step_6"})
    view.end()
    # The trial itself says two steps.
    assert stream.getvalue().splitlines() == [
        f"trial 0 (1 of 2), {trial.folder}",
        "  loading the model",
        "  step 0/2 | val success 0.250 | test success 0.300",
        "  warning: logger wandb failed at step 1; training continues",
        (
            "  step 1/2 | train success 0.500 | reward tool 0.600, reason 0.700 | flat groups 25%, 0%"
            " | 40.0 s (rollout 30.0, train 9.0, sync 1.0) | 312 tokens/s | ETA 0:40"
        ),
        "  checkpoint: /ck/step_6",
    ]


def test_a_line_shows_only_what_was_measured():
    progress = progress_after([{"step": 4}])
    assert step_line(progress, {"step": 4}) == "step 4/6"


def drawn(progress, note="", width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(picture("trial 0 [b]", progress, note))
    return console.file.getvalue()


def test_picture_of_the_recorded_stream():
    text = drawn(
        progress_after([*RECORDED, measured(2, 1.0, 1.0), measured(3, 0.4, 1.0), measured(4, 0.4, 1.0)])
    )
    # Square brackets in a title are text.
    assert "trial 0 [b]" in text
    assert "step 4/6" in text
    assert "rollout 1/2" in text
    assert "ETA" in text
    assert [line.split() for line in text.splitlines() if line.strip().startswith(("tool ", "reason "))] == [
        ["tool", "0.600", "100%"],
        ["reason", "0.700", "0%"],
    ]
    assert "success  train 0.400  val 0.250  test 0.300" in text
    assert "time     rollout 30.0 s (75%)  train 9.0 s (22%)  sync 1.0 s (2%)  312 tokens/s" in text
    assert sparkline([0.5, 1.0, 0.4, 0.4]) in text
    assert f"warning: {FLAT}" in text
    assert "0.0125" in text


def test_picture_before_the_first_record():
    assert "step 0/6" in drawn(Progress(6))


def test_sparkline():
    assert sparkline([0.0, 0.5, 1.0, -3.0, 7.0, math.nan]) == "▁▅█▁█·"


def test_live_view_draws_on_a_terminal_and_leaves_the_last_picture(trial):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    view = LiveView(console)
    view.begin(trial)
    play(view, RECORDED)
    view.say("stopping: waiting for the checkpoint")
    view.end()
    view.refresh()
    text = console.file.getvalue()
    assert "trial 0 (1 of 2)" in text
    assert "stopping: waiting for the checkpoint" in text


@pytest.mark.parametrize(
    "record",
    [
        {"event": "phase"},
        {"event": "phase", "step": None, "phase": None, "done": "x", "total": float("inf")},
        {"event": "phase", "step": float("nan")},
        {"event": "warning"},
        {"event": "checkpoint"},
        {"event": "from a later version"},
        {"time": "yesterday", "event": "status"},
        {"event": None},
        {},
        {"step": float("nan"), "train/success_rate": float("nan")},
        {"train/reward/a": float("inf"), "time/rollout": 0.0, "time/step": 0.0},
        {"step": 1, "train/zero_variance/a": float("nan")},
        {"step": 1, "train/kl/p": float("-inf")},
    ],
)
def test_no_view_raises_on_odd_records(trial, record):
    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    for view in (LineView(io.StringIO()), LiveView(console), SilentView()):
        view.begin(trial)
        view.event(record)
        view.metrics({name: value for name, value in record.items() if isinstance(value, float)})
        view.refresh()
        view.end()


def test_views_by_where_progress_goes(config, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    assert isinstance(choose_view(config.training), LineView)
    quiet = config.training.model_copy(update={"logger": ["tensorboard"]})
    assert isinstance(choose_view(quiet), SilentView)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(choose_view(config.training), LiveView)
