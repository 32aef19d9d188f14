"""What is seen of a study while it runs: lines, and the table with a sparkline for each trial."""

import io
import math

import pytest
from rich.console import Console

from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.study.live_table import StudyTable, course
from pettingllms.sweep.study.view import StudyLines, standing, waiting_for
from pettingllms.sweep.trial import Trial

METRIC = "val/success_rate"
ROWS = {
    number: Row(number, {"lora_rank": 8}, state=state, reason="x")
    for number, state in enumerate(("complete", "complete", "failed", "running", "waiting"))
}


@pytest.fixture
def begun(make_experiment, tmp_path):
    """Views of the trials of two cells, begun."""
    _, cells = make_experiment()

    def begin(study):
        views = [study.trial(cell) for cell in cells]
        for cell, view in zip(cells, views, strict=True):
            title = study.title(cell, cell.number + 1, 2)
            view.begin(Trial(cell.number, tmp_path / f"t{cell.number}", cell.values, cell.config, title))
        return views

    return begin


def test_how_a_study_stands():
    assert standing(ROWS, 5) == "3 of 5 ended: 2 complete, 1 failed; 1 running"
    assert standing({}, 20) == "0 of 20 ended"
    assert waiting_for(ROWS) == "waiting for cells: 1 that other workers run"
    later = {0: Row(0, {}, not_before=math.inf)}
    assert waiting_for(later) == "waiting for cells: 1 that are tried again in a moment"


def test_lines_of_trials_side_by_side_say_whose_they_are(begun, tmp_path):
    out = io.StringIO()
    first, second = begun(StudyLines(out, jobs=2))
    second.metrics({"step": 1, METRIC: 0.5})
    first.metrics({"step": 2, METRIC: 0.25})
    assert out.getvalue().splitlines() == [
        f"trial 0: 1 of 2  lora_rank=8, {tmp_path}/t0",
        f"trial 1: 2 of 2  lora_rank=16, {tmp_path}/t1",
        "trial 1:   step 1/2 | val success 0.500",
        "trial 0:   step 2/2 | val success 0.250",
    ]


def test_that_nothing_is_free_is_said_once(begun):
    out = io.StringIO()
    lines = StudyLines(out)
    for _ in range(3):
        lines.waits({4: ROWS[4], 3: ROWS[3]})
    assert out.getvalue() == "waiting for cells: 1 that other workers run\n"
    StudyLines(out, quiet=True).say("hidden")
    assert "hidden" not in out.getvalue()


def test_the_table_has_a_line_with_a_sparkline_for_each_running_trial(begun):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, legacy_windows=False, no_color=True)
    table = StudyTable(console, "demo", METRIC, planned=5)
    first, second = begun(table)
    table.rows(ROWS)
    first.event({"event": "phase", "time": 1.0, "step": 1, "phase": "rollout", "done": 0, "total": 2})
    for step, value in enumerate((0.0, 0.5, 1.0)):
        first.metrics({"step": step, METRIC: value})
    second.say("stopping")
    text = drawn(table)
    assert text[0] == "demo  3 of 5 ended: 2 complete, 1 failed; 1 running"
    (line,) = (line.split() for line in text if "lora_rank=8" in line)
    assert line[:2] == ["0", "lora_rank=8"] and line[2] == "2/2"
    assert line[-3:] == ["1", "▁▅█", "rollout"]
    assert any(line.split()[:3] == ["1", "lora_rank=16", "0/2"] for line in text)
    assert any("trial 1: stopping" in line for line in text)
    # Details where one runs alone.
    second.end()
    first.metrics({"step": 2, "time/rollout": 30.0, "time/train": 10.0})
    assert any("rollout 30.0 s (75%)" in line for line in drawn(table))
    first.end()
    table.waits({3: ROWS[3]})
    assert drawn(table)[-1].strip() == "waiting for cells: 1 that other workers run"
    table.close()
    assert "trial 0 (1 of 2)  lora_rank=8" in out.getvalue()


def drawn(table):
    out = io.StringIO()
    Console(file=out, width=120, no_color=True).print(table.picture())
    return out.getvalue().splitlines()


def test_a_course_is_drawn_by_size_or_within_its_range():
    assert course([0.0, 0.5, 1.0]) == "▁▅█"
    assert course([-4.0, math.nan, 0.0, 4.0]) == "▁·▅█"
    assert course([7.0, 7.0]) == "▁▁"
    assert course([math.nan]) == "·"
    assert len(course([0.5] * 99)) == 24
