"""A study over a grid, with workers made of a few lines of Python."""

import io
import json
import math

import pytest

pytest.importorskip("optuna")

from pettingllms.errors import LauncherError
from pettingllms.sweep import report
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.runner import TrialResult, run_trial
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.study import run_study, short_names

OBJECTIVE = "val/success_rate"


@pytest.fixture
def study_folder(tmp_path):
    folder = tmp_path / "demo-20260304-050607"
    folder.mkdir()
    return folder


def scripted(tmp_path, *values):
    """Results in order; a string is a failure with that reason."""
    left = iter(values)

    def run(trial):
        value = next(left)
        log = trial.folder / "log.txt"
        log.write_text("first\nlast words\n")
        if isinstance(value, str):
            return TrialResult("failed", 3, {}, value, log, None, 2.0)
        metrics = {} if value is None else {OBJECTIVE: value, "test/success_rate": value / 2}
        return TrialResult("complete", 0, metrics, None, log, None, 61.0)

    return run


def stored(folder):
    """The trials as another process reads them from the journal."""
    import warnings

    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    file = str(folder / "study.journal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = JournalStorage(JournalFileBackend(file, lock_obj=JournalFileOpenLock(file)))
        return optuna.load_study(study_name=folder.name, storage=storage)


def start(make_experiment, folder, run, ranks=(8, 16), stop=None, **changes):
    experiment, cells = make_experiment(ranks, **changes)
    ended = []
    outcome = run_study(experiment, cells, folder, stop or StopRequest(), run=run, on_trial=ended.append)
    assert list(outcome.trials) == ended
    return outcome


def test_every_cell_is_run_in_order_and_recorded(make_experiment, study_folder, tmp_path):
    outcome = start(make_experiment, study_folder, scripted(tmp_path, 0.5, 0.75))
    assert [(row.number, row.objective, row.status) for row in outcome.trials] == [
        (0, 0.5, "complete"),
        (1, 0.75, "complete"),
    ]
    assert outcome.best.number == 1
    assert outcome.exit_code == 0
    study = stored(study_folder)
    assert [trial.params for trial in study.trials] == [{"lora_rank": 8}, {"lora_rank": 16}]
    assert [trial.value for trial in study.trials] == [0.5, 0.75]
    assert study.direction.name == "MAXIMIZE"
    folders = [trial.user_attrs["folder"] for trial in study.trials]
    assert folders == [str(study_folder / "trial_0000"), str(study_folder / "trial_0001")]
    assert (study_folder / "trial_0001" / "trial.toml").is_file()


def test_the_direction_of_the_objective_counts(make_experiment, study_folder, tmp_path):
    objectives = [{"metric": OBJECTIVE, "direction": "minimize"}]
    run = scripted(tmp_path, 0.5, 0.25, 0.25)
    outcome = start(make_experiment, study_folder, run, (8, 16, 32), sweep__objectives=objectives)
    # The first of equals.
    assert outcome.best.number == 1
    assert stored(study_folder).best_trial.number == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("the engine failed", "the engine failed"),
        (math.nan, "the objective val/success_rate is nan"),
        (math.inf, "the objective val/success_rate is inf"),
        (None, "the objective val/success_rate was never measured; measured: none"),
    ],
)
def test_a_failed_trial_has_its_reason_and_the_study_goes_on(
    make_experiment, study_folder, tmp_path, value, reason
):
    outcome = start(make_experiment, study_folder, scripted(tmp_path, value, 0.75))
    first, second = outcome.trials
    assert (first.status, first.objective, first.reason) == ("failed", None, reason)
    assert (second.status, second.objective) == ("complete", 0.75)
    assert outcome.best is second
    assert outcome.exit_code == 3
    failed = stored(study_folder).trials[0]
    assert (failed.state.name, failed.user_attrs["reason"]) == ("FAIL", reason)


def test_a_study_without_any_complete_trial_has_no_best(make_experiment, study_folder, tmp_path):
    outcome = start(make_experiment, study_folder, scripted(tmp_path, "a", "b"))
    assert outcome.best is None
    out = io.StringIO()
    report.show_study(outcome, out)
    assert "no trial completed" in out.getvalue()


def test_an_interrupted_study_keeps_what_it_has(make_experiment, study_folder, tmp_path):
    stop = StopRequest()

    def run(trial):
        if trial.number == 1:
            stop.request(2)
            return TrialResult("interrupted", 130, {}, "interrupted", trial.folder / "log.txt", "/ck", 5.0)
        return scripted(tmp_path, 0.5)(trial)

    outcome = start(make_experiment, study_folder, run, (8, 16, 32), stop)
    assert [row.status for row in outcome.trials] == ["complete", "interrupted"]
    assert (outcome.exit_code, outcome.planned) == (130, 3)
    assert [trial.state.name for trial in stored(study_folder).trials] == ["COMPLETE", "FAIL", "WAITING"]
    out = io.StringIO()
    report.show_study(outcome, out)
    assert "2 of 3 trials" in out.getvalue()
    assert "best: trial 0" in out.getvalue()


def test_a_trial_that_cannot_be_started_ends_the_study(make_experiment, study_folder):
    def run(trial):
        raise LauncherError("python cannot be started")

    with pytest.raises(LauncherError):
        start(make_experiment, study_folder, run)
    assert [trial.state.name for trial in stored(study_folder).trials] == ["FAIL", "WAITING"]


def test_list_valued_choices_are_labels_to_optuna_and_values_to_the_trial(
    make_experiment, study_folder, tmp_path
):
    from pettingllms.sweep.study import _distributions

    _experiment, cells = make_experiment()
    orders = [["a", "b"], ["b", "a"]]
    cells = [
        type(cell)(cell.number, {("x",): order}, cell.config, cell.stored)
        for cell, order in zip(cells, orders, strict=True)
    ]
    assert _distributions(cells)["x"].choices == ('["a","b"]', '["b","a"]')


def test_table_and_best(make_experiment, study_folder, tmp_path):
    outcome = start(make_experiment, study_folder, scripted(tmp_path, 0.5, "boom"))
    out = io.StringIO()
    report.show_study(outcome, out)
    text = out.getvalue()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert rows == [["0", "8", "0.5", "0.25", "61", "complete"], ["1", "16", "-", "-", "2", "failed"]]
    assert text.splitlines()[-3:] == [
        "best: trial 0 with val/success_rate = 0.5",
        "  lora_rank = 8",
        f"  {study_folder / 'trial_0000'}",
    ]


def test_json_has_no_nan(make_experiment, study_folder, tmp_path):
    outcome = start(make_experiment, study_folder, scripted(tmp_path, 0.5, math.nan))
    out = io.StringIO()
    report.write_json(report.study_json(outcome), out)
    data = json.loads(out.getvalue(), parse_constant=pytest.fail)
    assert (data["best"], data["exit_code"], data["planned"]) == (0, 3, 2)
    assert [trial["values"] for trial in data["trials"]] == [{"lora_rank": 8}, {"lora_rank": 16}]
    assert data["trials"][1]["metrics"][OBJECTIVE] is None
    assert data["objective"] == {"metric": OBJECTIVE, "direction": "maximize"}


def test_failure_report_has_reason_last_lines_and_path(make_experiment, study_folder, tmp_path):
    (row, _) = start(make_experiment, study_folder, scripted(tmp_path, "boom", 1.0)).trials
    out = io.StringIO()
    report.show_failure("trial 0", row.reason, row.result, out)
    assert out.getvalue().splitlines() == [
        "trial 0 failed: boom",
        "last lines of its log:",
        "  first",
        "  last words",
        f"whole log: {study_folder / 'trial_0000' / 'log.txt'}",
    ]


def test_short_names_are_the_shortest_that_differ():
    paths = [("models", "model_0", "optim", "lr"), ("models", "model_1", "optim", "lr"), ("lora_rank",)]
    assert list(short_names(paths).values()) == ["model_0.optim.lr", "model_1.optim.lr", "lora_rank"]


def test_a_study_of_real_processes(make_experiment, study_folder, worker, capfd):
    source = """
    event("started", pid=os.getpid(), total_steps=2)
    rank = int((folder / "trial.toml").read_text().split("lora_rank = ")[1].split()[0])
    print("rank", rank)
    metrics(2, **{"val/success_rate": 1.0 / rank})
    sys.exit(0 if rank < 32 else 7)
    """
    stop = StopRequest()

    def run(trial):
        return run_trial(trial, SilentView(), stop, argv=worker(source, trial.folder))

    outcome = start(make_experiment, study_folder, run, (16, 8, 32), stop)
    assert [(row.status, row.objective) for row in outcome.trials] == [
        ("complete", 0.0625),
        ("complete", 0.125),
        ("failed", None),
    ]
    assert outcome.trials[2].reason == "the worker ended: rank 32"
    assert outcome.best.values == {("lora_rank",): 8}
    # Neither the workers nor Optuna write to the terminal.
    assert capfd.readouterr() == ("", "")


def test_a_request_after_the_last_trial_changes_nothing(make_experiment, study_folder, tmp_path):
    stop = StopRequest()
    succeed = scripted(tmp_path, 0.5, 0.75)

    def run(trial):
        if trial.number == 1:
            stop.request(2)
        return succeed(trial)

    assert start(make_experiment, study_folder, run, stop=stop).exit_code == 0
