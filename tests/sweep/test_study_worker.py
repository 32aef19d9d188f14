"""A worker of a study: what it claims, starts, stops and writes down, with trials that follow a script."""

import dataclasses
import io
import json

import pytest
from scripted_trials import FakeAdvisor, FakeCells, ScriptedLauncher, file_ledger

from pettingllms.config.sweep import BudgetConfig, SweepConfig
from pettingllms.errors import LauncherError, RefusedError
from pettingllms.runs.lock import FolderHeldError
from pettingllms.sweep import worker as worker_module
from pettingllms.sweep.books import Books
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.slots import Slot
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.study.view import StudyLines
from pettingllms.sweep.worker import Worker, WorkerOptions

RANKS = (1, 2, 4, 8, 16, 32)
DONE = ([(0, 0.25), (2, 0.5)], "complete")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(worker_module, "CLAIM_SECONDS", 0.002)
    monkeypatch.setattr(worker_module, "HELD_SECONDS", 0.002)
    monkeypatch.setattr(worker_module, "BACKOFF", {"oom": 0.002, "port": 0.002, "preempted": 0.0})


class Study:
    """A study over ranks, and workers on it."""

    def __init__(self, make_experiment, folder, ranks, sweep, proposals=(), impossible=(), bar=None):
        _, cells = make_experiment(ranks)
        grid = [Row(n, {"lora_rank": rank}, ("lora_rank",)) for n, rank in enumerate(ranks)]
        self.sweep = SweepConfig.model_validate(sweep)
        self.folder = folder
        self.ledger = file_ledger(folder, grid if self.sweep.sampler == "grid" else ())
        self.advisor = FakeAdvisor(proposals, bar)
        self.cells = FakeCells(cells, impossible)
        self.ended, self.text, self.stop = [], io.StringIO(), StopRequest()

    def books(self, name="one", lease=60.0):
        return Books(self, self.advisor, self.cells, self.sweep, name=name, lease=lease)

    def require_same(self, table):
        pass

    def run(self, script, jobs=1, books=None, lease=60.0, **options):
        self.launcher = script if isinstance(script, ScriptedLauncher) else ScriptedLauncher(script)
        slots = [Slot(number) for number in range(jobs)]
        self.worker = Worker(
            books or self.books(lease=lease),
            self.launcher,
            slots,
            self.stop,
            StudyLines(self.text, jobs=jobs),
            self.sweep,
            WorkerOptions(lease=lease, **options),
            self.ended.append,
        )
        self.worker.run()
        return self.rows

    @property
    def rows(self):
        return list(self.ledger.read().rows.values())

    @property
    def states(self):
        return [row.state for row in self.rows]


@pytest.fixture
def study(make_experiment, tmp_path):
    def make(ranks=RANKS[:3], proposals=(), impossible=(), bar=None, **sweep):
        return Study(make_experiment, tmp_path / "study", ranks, sweep, proposals, impossible, bar)

    return make


def test_every_cell_is_run_once_in_order(study):
    one = study()
    rows = one.run(lambda number, attempt: ([(0, 0.1), (2, number / 4)], "complete"))
    assert [(row.state, row.objectives, row.attempt) for row in rows] == [
        ("complete", (0.0,), 1),
        ("complete", (0.25,), 1),
        ("complete", (0.5,), 1),
    ]
    assert [number for number, *_ in one.launcher.started] == [0, 1, 2]
    assert [title for *_, title in one.launcher.started][1] == "trial 1 (2 of 3)  lora_rank=2"
    assert one.advisor.told == [(0, "complete"), (1, "complete"), (2, "complete")]
    assert one.advisor.reported[:2] == [(0, 0, 0.1), (0, 2, 0.0)]
    assert rows[1].folder.endswith("study/trial_0001")
    assert (rows[1].step, rows[1].total_steps, rows[1].metrics) == (2, 2, {"val/success_rate": 0.25})


def test_jobs_run_side_by_side_in_slots_of_their_own(study):
    one = study(RANKS)
    most = []

    def script(number, attempt):
        most.append(len(one.worker._held) + 1)
        return ([(step, 0.5) for step in range(5)], "complete")

    assert {row.state for row in one.run(script, jobs=3)} == {"complete"}
    assert max(most) == 3
    assert {slot for _, slot, _ in one.launcher.started} == {0, 1, 2}
    assert "trial 4:   step" in one.text.getvalue()


def test_a_trial_without_a_usable_objective_has_failed(study):
    one = study()
    script = {0: ([(2, float("nan"))], "complete"), 1: ([], "complete"), 2: DONE}
    rows = one.run(lambda number, attempt: script[number])
    assert [(row.state, row.cause, row.reason) for row in rows] == [
        ("failed", "no_objective", "the objective val/success_rate is nan"),
        ("failed", "no_objective", "the objective val/success_rate was never measured; measured: none"),
        ("complete", None, None),
    ]


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        ("failed", "CUDA out of memory. Tried to allocate 2 GiB", "oom"),
        ("failed", "the worker was ended by SIGKILL (out of memory?)", "oom"),
        ("failed", "RuntimeError: Address already in use", "port"),
        ("interrupted", "the worker was stopped by a signal from outside", "preempted"),
    ],
)
def test_what_need_not_come_back_is_tried_again_and_not_for_ever(study, status, reason, cause):
    one = study(RANKS[:2], retries=2)
    rows = one.run(lambda number, attempt: DONE if number or attempt == 2 else ([], status, reason))
    assert [(row.state, row.attempt, row.failures) for row in rows] == [
        ("complete", 3, 2),
        ("complete", 1, 0),
    ]
    assert [(ended.row.cause, ended.tried_again) for ended in one.ended if ended.row.number == 0] == [
        (cause, True),
        (cause, True),
        (None, False),
    ]
    other = study(RANKS[:2], retries=1)
    rows = other.run(lambda number, attempt: DONE if number else ([], status, reason))
    assert (rows[0].state, rows[0].attempt, rows[0].cause, rows[0].reason) == ("failed", 2, cause, reason)


def test_an_error_is_not_tried_again(study):
    one = study()
    rows = one.run(lambda number, attempt: DONE if number else ([], "failed", "KeyError: 'x'"))
    assert (rows[0].state, rows[0].cause, rows[0].attempt) == ("failed", "error", 1)
    assert one.states == ["failed", "complete", "complete"]


def test_a_hopeless_trial_is_stopped_and_told(study):
    one = study(bar=0.3)
    steps = {0: [(0, 0.4), (1, 0.5), (2, 0.6)], 1: [(0, 0.5), (1, 0.2), (2, 0.9)], 2: [(0, 0.5), (2, 0.1)]}
    rows = one.run(lambda number, attempt: (steps[number], "complete"))
    # What is hopeless at its last step has nothing left to save.
    assert one.states == ["complete", "pruned", "complete"]
    assert rows[1].reason == "stopped after step 1 of 2: val/success_rate is 0.2"
    assert (rows[1].objectives, rows[1].step) == (None, 1)
    ((number, within),) = one.launcher.trials[1].signals
    assert number == 15 and within <= 10


def test_a_trial_that_says_nothing_any_more_is_ended(study):
    one = study(stall_minutes=0.5)
    rows = one.run(lambda number, attempt: DONE if number else ([(0, 0.1)], "forever"))
    assert (rows[0].state, rows[0].cause, rows[0].attempt) == ("failed", "stalled", 1)
    assert rows[0].reason == "no record for 0.5 minutes ([sweep] stall_minutes)"
    assert one.states[1:] == ["complete", "complete"]


def test_a_stop_request_gives_the_cells_back(study):
    one = study(RANKS)

    def script(number, attempt):
        if number == 3:
            one.stop.request(2)
            return ([(1, 0.5)], "forever")
        return DONE

    rows = one.run(script)
    assert one.states == ["complete"] * 3 + ["waiting"] * 3
    assert (rows[3].attempt, rows[3].failures, rows[3].worker, rows[3].advice) == (1, 0, None, 3)
    assert one.launcher.trials[3].signals == [(2, None)]
    one.stop = StopRequest()
    one.run(lambda number, attempt: DONE)
    assert [number for number, *_ in one.launcher.started] == [3, 4, 5]
    assert one.rows[3].attempt == 2


def test_a_second_request_kills(study):
    one = study()

    def script(number, attempt):
        one.stop.request(15)
        one.stop.request(15)
        return ([(1, 0.5)], "forever")

    one.run(script)
    assert one.launcher.trials[0].killed
    assert one.states == ["waiting"] * 3


def test_fail_fast_stops_at_the_first_failure(study):
    one = study(RANKS)
    one.run(lambda number, attempt: ([], "failed", "boom") if number == 1 else DONE, fail_fast=True)
    assert one.states == ["complete", "failed"] + ["waiting"] * 4


def test_a_worker_whose_lease_ran_out_kills_its_trial_and_writes_nothing(study):
    one = study(RANKS[:1])
    other = one.books("other")

    class Late(Books):
        def renew(self, held):
            with one.ledger.transaction() as table:
                table.put(dataclasses.replace(table.rows[0], lease_until=0.0))
            taken.append(other.claim().row)
            return super().renew(held)

    taken = []
    late = Late(one, one.advisor, one.cells, one.sweep, name="late", lease=60.0)

    def script(number, attempt):
        one.stop.request(2)
        return ([(step, 0.5) for step in range(50)], "complete")

    one.run(script, books=late)
    (row,) = one.rows
    assert (row.worker, row.state, row.attempt) == ("other", "running", 2)
    assert one.ended == [] and one.advisor.told == []
    assert "another worker's" in one.text.getvalue()


def test_a_cell_whose_worker_has_gone_is_taken_over_and_not_for_ever(study):
    one = study(RANKS[:1], retries=1)
    gone = one.books("gone", lease=-1.0)
    assert gone.claim().row.attempt == 1
    assert gone.claim().row.attempt == 2
    one.run(lambda number, attempt: DONE)
    (row,) = one.rows
    assert (row.state, row.cause, row.failures) == ("failed", "preempted", 2)
    assert [ended.row.number for ended in one.ended] == [0]
    assert one.advisor.told == [(0, "failed")]


def test_a_sampler_proposes_until_the_trials_are_there(study):
    proposals = [{"lora_rank": rank} for rank in (1, 16, 4, 2)]
    one = study(RANKS, proposals, impossible=(16,), sampler="random", trials=3)
    rows = one.run(lambda number, attempt: DONE)
    assert [row.values["lora_rank"] for row in rows] == [1, 4, 2]
    assert one.advisor.refused == [(1, "PLM300: no")]
    assert one.ledger.read().header["refused_proposals"] == 1
    assert [row.advice for row in rows] == [0, 2, 3]


def test_a_sampler_that_finds_nothing_ends_the_study_when_its_trials_have_ended(study):
    one = study(RANKS, [{"lora_rank": 1}], sampler="random", trials=3)
    propose = one.advisor.propose

    def exhausted(number):
        if number:
            raise RefusedError("no values")
        return propose(number)

    one.advisor.propose = exhausted
    with pytest.raises(RefusedError, match="no values"):
        one.run(lambda number, attempt: ([(step, 0.5) for step in range(9)], "complete"), jobs=2)
    assert one.states == ["complete"]


def test_a_launcher_that_starts_nothing_ends_the_work_and_nothing_is_lost(study):
    one = study()
    scripts = {0: ([(1, 0.5)], "forever"), 1: LauncherError("python cannot be started")}
    with pytest.raises(LauncherError):
        one.run(lambda number, attempt: scripts[number], jobs=2)
    assert one.states == ["waiting"] * 3
    assert one.launcher.trials[0].killed


def test_a_trial_that_cannot_go_on_fails_and_a_folder_in_use_is_waited_for(study):
    one = study()
    refused = RefusedError("changed since step_000001: lora_rank")
    scripts = {(0, 0): refused, (1, 0): FolderHeldError("in use"), (1, 1): FolderHeldError("in use")}
    rows = one.run(lambda number, attempt: scripts.get((number, attempt), DONE))
    assert (rows[0].state, rows[0].cause, rows[0].reason) == ("failed", "impossible", str(refused))
    assert (rows[1].state, rows[1].attempt, rows[1].failures) == ("complete", 3, 0)


def test_the_budget_of_gpu_hours_ends_the_study(study):
    one = study(RANKS, budget={"gpu_hours": 1e-9})
    one.run(lambda number, attempt: DONE, gpus=4)
    assert one.states == ["complete"] + ["waiting"] * 5
    assert one.worker.budget.startswith("the budget of 1e-09 GPU hours is used up")
    assert one.rows[0].gpu_seconds == pytest.approx(4 * one.rows[0].seconds)


def test_the_clock_of_a_study_stands_still_while_nobody_is_there(study):
    from pettingllms.sweep.budget import spent, ticked

    one = study(budget={"hours": 1.0})
    budget = BudgetConfig(hours=1.0)
    for moment, seconds in ((0, 0), (50, 50), (110, 110), (5000, 110), (5050, 160), (5040, 160), (5060, 170)):
        with one.ledger.transaction() as table:
            ticked(table, budget, moment, 60.0)
            assert table.header["clock"]["seconds"] == seconds, moment
            assert spent(table, budget) is None
    with one.ledger.transaction() as table:
        table.set_header({"clock": {"seconds": 3600.0, "at": 0.0}})
        assert spent(table, budget) == "the budget of 1 hours is used up (1)"


def test_the_file_of_the_ledger_holds_what_ended(study):
    one = study(RANKS[:1])
    one.run(lambda number, attempt: DONE)
    last = json.loads((one.folder / "study.jsonl").read_text().splitlines()[-1])
    assert last["rows"][0]["state"] == "complete"
