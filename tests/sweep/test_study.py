"""What came of a study: its best trials, its exit code, and what is printed of it."""

import io
import json
import math
from dataclasses import replace

import pytest

from pettingllms.config.sweep import ObjectiveConfig, SweepConfig
from pettingllms.sweep import report
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.study.outcome import StudyOutcome, measured_objectives, planned_trials, short_names

OBJECTIVE = "val/success_rate"


@pytest.fixture
def outcome(tmp_path):
    def make(*found, directions=("maximize",), planned=None, **fields):
        """Rows in order: a number or a tuple is complete with these objectives, a text another state."""
        metrics = (OBJECTIVE, "time/step")
        rows = []
        for number, one in enumerate(found):
            folder = tmp_path / f"trial_{number:04d}"
            common = {"attempt": 1, "folder": str(folder), "seconds": 61.0}
            values = {"lora_rank": 8 * 2**number}
            if isinstance(one, str):
                state = {"state": one, "reason": None if one == "waiting" else "boom"}
                rows.append(Row(number, values, ("lora_rank",), **common, **state))
            else:
                points = one if isinstance(one, tuple) else (one,)
                measured = {OBJECTIVE: points[0], "test/success_rate": points[0] / 2}
                rows.append(
                    Row(
                        number,
                        values,
                        ("lora_rank",),
                        state="complete",
                        objectives=points,
                        metrics=measured,
                        **common,
                    )
                )
        objectives = tuple(
            ObjectiveConfig(metric=metric, direction=direction)
            for metric, direction in zip(metrics, directions, strict=False)
        )
        count = len(rows) if planned is None else planned
        return StudyOutcome("demo", tmp_path, objectives, (("lora_rank",),), count, tuple(rows), **fields)

    return make


def test_the_best_is_the_first_of_equals_in_the_direction_that_counts(outcome):
    assert outcome(0.5, 0.75, 0.75).best.number == 1
    assert outcome(0.5, 0.25, 0.25, directions=["minimize"]).best.number == 1
    assert outcome("failed", "pruned").best is None


def test_several_objectives_have_a_front(outcome):
    # More success and less time: 2 beats 1 in both, 0 and 2 beat each other in one, 3 equals 2.
    study = outcome((0.5, 1.0), (0.6, 3.0), (0.7, 2.0), (0.7, 2.0), directions=["maximize", "minimize"])
    assert study.best is None
    assert [row.number for row in study.front] == [0, 2, 3]
    out = io.StringIO()
    report.show_study(study, out)
    assert "trials that no other one beats in every objective: 0, 2, 3" in out.getvalue()
    data = report.study_json(study)
    assert (data["best"], data["front"], data["trials"][1]["objectives"]) == (None, [0, 2, 3], (0.6, 3.0))


@pytest.mark.parametrize(
    ("found", "fields", "code"),
    [
        ((0.5, 0.75), {}, 0),
        ((0.5, "pruned"), {}, 0),
        ((0.5, "failed"), {}, 3),
        ((0.5, "waiting"), {"stopped_by": 2}, 130),
        (("failed", "waiting"), {"stopped_by": 15}, 143),
        # A request after the last trial changes nothing.
        ((0.5, 0.75), {"stopped_by": 2}, 0),
        ((0.5, "failed"), {"stopped_by": 2}, 3),
        ((0.5,), {"planned": 5, "stopped_by": 2}, 130),
        ((0.5,), {"planned": 5, "budget": "the budget of 1 hours is used up"}, 0),
    ],
)
def test_the_exit_code_says_how_it_ended(outcome, found, fields, code):
    assert outcome(*found, **fields).exit_code == code


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        ({OBJECTIVE: 0.5, "x": 1.0}, (0.5,)),
        ({OBJECTIVE: math.nan}, "the objective val/success_rate is nan"),
        ({OBJECTIVE: math.inf}, "the objective val/success_rate is inf"),
        ({}, "the objective val/success_rate was never measured; measured: none"),
        ({"b": 1.0, "a": 1.0}, "the objective val/success_rate was never measured; measured: a, b"),
    ],
)
def test_an_objective_is_a_finite_number_that_was_measured(metrics, found):
    assert measured_objectives(metrics, [ObjectiveConfig()]) == found


def test_a_study_without_any_complete_trial_has_no_best(outcome):
    out = io.StringIO()
    report.show_study(outcome("failed", "failed"), out)
    assert "no trial completed" in out.getvalue()


def test_table_and_best(outcome):
    out = io.StringIO()
    study = outcome(0.5, "failed", planned=3)
    report.show_study(study, out)
    text = out.getvalue()
    assert text.startswith("demo: 2 of 3 trials")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert rows == [["0", "8", "0.5", "0.25", "61", "complete"], ["1", "16", "-", "-", "61", "failed"]]
    assert text.splitlines()[-3:] == [
        "best: trial 0 with val/success_rate = 0.5",
        "  lora_rank = 8",
        f"  {study.folder / 'trial_0000'}",
    ]


def test_an_axis_that_is_not_swept_in_a_cell_has_no_value_there(outcome):
    study = outcome(0.5, 0.75)
    rows = (replace(study.rows[0], active=()), study.rows[1])
    study = replace(study, rows=rows)
    out = io.StringIO()
    report.show_study(study, out)
    cells = [line.split("│")[1:3] for line in out.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line] for line in cells] == [["0", "-"], ["1", "16"]]
    assert [row["values"] for row in report.study_json(study)["trials"]] == [{}, {"lora_rank": 16}]


def test_cells_that_are_not_in_the_space_any_more_are_none_of_the_planned():
    rows = [Row(0, {}, outside=True), Row(1, {}), Row(2, {})]
    assert planned_trials(rows, SweepConfig()) == 2
    assert planned_trials(rows, SweepConfig(sampler="tpe", trials=4)) == 4
    assert planned_trials(rows, SweepConfig(sampler="tpe", trials=1)) == 2


def test_the_table_says_what_was_left_out(outcome):
    out = io.StringIO()
    report.show_study(
        outcome(0.5, planned=3, budget="the budget of 2 hours is used up (2.01)", refused=4), out
    )
    assert "the budget of 2 hours is used up (2.01); no further trial was started" in out.getvalue()
    assert "proposals that could not run, and were replaced: 4" in out.getvalue()


def test_json_has_no_nan(outcome):
    study = outcome(0.5, "failed")
    study.rows[1].metrics[OBJECTIVE] = math.nan
    out = io.StringIO()
    report.write_json(report.study_json(study), out)
    data = json.loads(out.getvalue(), parse_constant=pytest.fail)
    assert (data["best"], data["exit_code"], data["planned"]) == (0, 3, 2)
    assert [trial["values"] for trial in data["trials"]] == [{"lora_rank": 8}, {"lora_rank": 16}]
    assert data["trials"][1]["metrics"][OBJECTIVE] is None
    assert data["objective"] == {"metric": OBJECTIVE, "direction": "maximize"}


def test_json_names_the_newest_checkpoint(outcome, tmp_path):
    study = outcome(0.5)
    (tmp_path / "trial_0000").mkdir()
    events = [{"event": "checkpoint", "path": "/ck/1"}, {"event": "checkpoint", "path": "/ck/2"}]
    (tmp_path / "trial_0000" / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    assert report.study_json(study)["trials"][0]["checkpoint"] == "/ck/2"


def test_failure_report_has_reason_last_lines_and_path(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("first\nlast words\n")
    out = io.StringIO()
    report.show_failure("trial 0", "boom", log, out)
    assert out.getvalue().splitlines() == [
        "trial 0 failed: boom",
        "last lines of its log:",
        "  first",
        "  last words",
        f"whole log: {log}",
    ]


def test_short_names_are_the_shortest_that_differ():
    paths = [("models", "model_0", "optim", "lr"), ("models", "model_1", "optim", "lr"), ("lora_rank",)]
    assert list(short_names(paths).values()) == ["model_0.optim.lr", "model_1.optim.lr", "lora_rank"]
