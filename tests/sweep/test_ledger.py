"""Rows are claimed, renewed and ended by whoever holds them, and by nobody else; on a real file."""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pettingllms.errors import RefusedError, UsageError
from pettingllms.sweep.ledger import claims as ledger
from pettingllms.sweep.ledger.in_folder import LEDGER, FileLedger, ledger_text
from pettingllms.sweep.ledger.rows import ENDED, Row
from pettingllms.sweep.ledger.storage import ChangedTable

CELLS, LEASE, RETRIES = 4, 10.0, 2


def table_of(*rows):
    return ChangedTable({}, {row.number: row for row in rows})


def claimed(number=0, worker="a", now=0.0):
    table = table_of(Row(number, {}))
    return table, ledger.claim(table, table.rows[number], worker, now, LEASE)


def test_the_first_row_that_is_free_is_next():
    running = Row(0, {}, state="running", lease_until=5.0)
    later, ended = Row(1, {}, not_before=9.0), Row(2, {}, state="failed", reason="no")
    table = table_of(Row(3, {}), ended, later, running)
    assert ledger.claimable(table, 4.0).number == 3
    assert ledger.claimable(table, 5.0).number == 0
    assert ledger.claimable(table_of(later), 8.0) is None
    assert ledger.claimable(table_of(later), 9.0) == later


def test_a_row_that_is_held_cannot_be_claimed():
    table, held = claimed()
    with pytest.raises(ValueError, match="running"):
        ledger.claim(table, held, "b", LEASE - 0.1, LEASE)


def test_a_late_worker_keeps_a_row_that_nobody_has_claimed():
    table, held = claimed()
    renewed = ledger.renew(table, replace(held, step=3), 50.0, LEASE)
    assert (renewed.lease_until, renewed.step, table.rows[0].step) == (60.0, 3, 3)


def test_a_worker_whose_row_was_claimed_changes_nothing():
    table, held = claimed()
    other = ledger.claim(table, table.rows[0], "b", LEASE, LEASE)
    assert (other.attempt, other.failures, other.cause) == (2, 1, "preempted")
    assert other.reason == "its worker a has gone at step 0"
    assert ledger.renew(table, held, LEASE, LEASE) is None
    assert ledger.finish(table, replace(held, state="complete", objectives=(1.0,))) is None
    assert ledger.give_back(table, held) is None
    assert table.rows[0] == other


def test_a_complete_row_forgets_why_earlier_attempts_failed():
    table, _ = claimed()
    other = ledger.claim(table, table.rows[0], "b", LEASE, LEASE)
    done = ledger.finish(table, replace(other, state="complete", objectives=(0.5,), seconds=3.0))
    assert (done.state, done.reason, done.cause, done.lease_until) == ("complete", None, None, 0.0)
    assert (done.worker, done.failures, table.rows[0]) == ("b", 1, done)


@pytest.mark.parametrize("wrong", [{"state": "complete"}, {"state": "failed", "objectives": (1.0,)}, {}])
def test_a_row_ends_with_objectives_or_without(wrong):
    table, held = claimed()
    with pytest.raises(ValueError, match="row 0 is"):
        ledger.finish(table, replace(held, **wrong))


def test_a_row_given_back_waits_until_its_time_and_counts_causes_only():
    table, held = claimed()
    stopped = ledger.give_back(table, held)
    assert (stopped.state, stopped.failures, stopped.worker) == ("waiting", 0, None)
    again = ledger.claim(table, stopped, "a", 1.0, LEASE)
    failed = ledger.give_back(table, again, not_before=30.0, cause="oom", reason="CUDA out of memory")
    assert (failed.failures, failed.cause, failed.not_before) == (1, "oom", 30.0)
    assert ledger.claimable(table, 29.0) is None


def test_only_causes_that_may_pass_are_tried_again_and_not_for_ever():
    row = Row(0, {}, failures=1)
    assert ledger.is_tried_again(row, "oom", 2)
    assert not ledger.is_tried_again(row, "error", 2)
    assert not ledger.is_tried_again(replace(row, failures=2), "oom", 2)


def test_a_row_whose_workers_go_again_and_again_fails():
    table, _ = claimed()
    now = 0.0
    for _ in range(RETRIES):
        now += LEASE
        assert ledger.end_abandoned(table, now, RETRIES) == []
        ledger.claim(table, table.rows[0], "b", now, LEASE)
    assert ledger.end_abandoned(table, now + LEASE - 1, RETRIES) == []
    (failed,) = ledger.end_abandoned(table, now + LEASE, RETRIES)
    assert (failed.state, failed.cause, failed.failures) == ("failed", "preempted", RETRIES + 1)


def test_failed_rows_wait_again_on_request():
    complete = Row(0, {}, state="complete", objectives=(1.0,), advice=4)
    failed = Row(2, {"a": 1}, state="failed", reason="no", cause="error", failures=3, advice=5, attempt=4)
    table = table_of(complete, failed, Row(1, {}), Row(5, {}, state="running", lease_until=9.0))
    (again,) = ledger.retry(table)
    assert again == Row(2, {"a": 1}, attempt=4)
    (again,) = ledger.retry(table, [0])
    assert again == Row(0, {})
    with pytest.raises(UsageError, match="no cell 7") as unknown:
        ledger.retry(table, [7])
    assert "0 to 5" in unknown.value.help
    with pytest.raises(RefusedError, match="cell 5 is running"):
        ledger.retry(table, [5])
    with pytest.raises(RefusedError, match="cell 1 is waiting"):
        ledger.retry(table, [1])


def test_rows_are_counted_by_state():
    rows = {0: Row(0, {}), 1: Row(1, {}, state="pruned"), 2: Row(2, {})}
    expected = {"waiting": 2, "running": 0, "complete": 0, "pruned": 1, "failed": 0}
    assert ledger.counts(rows) == expected
    assert list(expected) == list(ledger.counts(rows))
    assert not ledger.is_over(rows)
    assert ledger.is_over({1: rows[1]})


class Study(RuleBasedStateMachine):
    """Workers that come, are late, are killed at any point; the model says who may end which row."""

    held = Bundle("held")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        rows = [Row(number, {"a": number}) for number in range(CELLS)]
        (self.folder / LEDGER).write_text(ledger_text({"name": "s"}, rows))
        self.ledger = FileLedger(self.folder)
        self.now = 0.0
        self.holder = {}  # number -> (worker, attempt) of the newest claim that has not ended
        self.ended = {}  # number -> the row as it ended

    def teardown(self):
        # Whatever came before: the study can be run to its end, each cell once.
        with self.ledger.transaction() as table:
            ledger.retry(table)
        self.now += 1000
        while True:
            with self.ledger.transaction() as table:
                ledger.end_abandoned(table, self.now, RETRIES)
                row = ledger.claimable(table, self.now)
                if row is None:
                    break
                mine = ledger.claim(table, row, "last", self.now, LEASE)
                assert ledger.finish(table, replace(mine, state="complete", objectives=(0.0,)))
        rows = FileLedger(self.folder).read().rows
        assert sorted(rows) == list(range(CELLS)) and ledger.is_over(rows)
        shutil.rmtree(self.folder)

    @rule(target=held, worker=st.sampled_from("abc"))
    def claim(self, worker):
        with self.ledger.transaction() as table:
            for row in ledger.end_abandoned(table, self.now, RETRIES):
                del self.holder[row.number]
                self.ended[row.number] = row
            row = ledger.claimable(table, self.now)
            if row is None:
                return None
            mine = ledger.claim(table, row, worker, self.now, LEASE)
            assert mine.number not in self.ended
            self.holder[mine.number] = (worker, mine.attempt)
            return mine

    @rule(row=held)
    def renew(self, row):
        if row is not None:
            with self.ledger.transaction() as table:
                renewed = ledger.renew(table, row, self.now, LEASE)
            assert (renewed is not None) == self.is_holder(row)

    @rule(row=consumes(held), state=st.sampled_from(["complete", "pruned", "failed"]))
    def finish(self, row, state):
        if row is not None:
            objectives, reason = ((0.5,), None) if state == "complete" else (None, "no")
            with self.ledger.transaction() as table:
                done = ledger.finish(table, replace(row, state=state, objectives=objectives, reason=reason))
            assert (done is not None) == self.is_holder(row)
            if done is not None:
                del self.holder[row.number]
                self.ended[row.number] = done

    @rule(row=consumes(held), cause=st.sampled_from([None, "oom"]))
    def give_back(self, row, cause):
        if row is not None:
            with self.ledger.transaction() as table:
                back = ledger.give_back(table, row, cause=cause)
            assert (back is not None) == self.is_holder(row)
            if back is not None:
                del self.holder[row.number]

    @rule(row=held)
    def fail_inside_a_transaction(self, row):
        with suppress(KeyError), self.ledger.transaction() as table:
            for number in range(CELLS):
                table.put(Row(number, {"a": -1}, state="failed", reason="never written"))
            raise KeyError

    @rule(length=st.integers(1, 60))
    def die_while_writing(self, length):
        with (self.folder / LEDGER).open("a") as file:
            file.write('{"rows":[{"number":0,"values":{"a":0},"state":"failed","attempt":99}]}'[:length])

    @rule()
    def another_process(self):
        self.ledger = FileLedger(self.folder)

    @rule(seconds=st.sampled_from([1.0, LEASE]))
    def time_goes_by(self, seconds):
        self.now += seconds

    @rule()
    def retry(self):
        with self.ledger.transaction() as table:
            for row in ledger.retry(table):
                del self.ended[row.number]

    @invariant()
    def nothing_is_lost_or_doubled(self):
        rows = self.ledger.read().rows
        assert sorted(rows) == list(range(CELLS))
        assert {number for number, row in rows.items() if row.state in ENDED} == set(self.ended)
        assert all(rows[number] == row for number, row in self.ended.items())
        running = {n: (row.worker, row.attempt) for n, row in rows.items() if row.state == "running"}
        assert running == self.holder
        assert all(row.values == {"a": number} for number, row in rows.items())

    def is_holder(self, row):
        return self.holder.get(row.number) == (row.worker, row.attempt)


TestStudy = Study.TestCase
TestStudy.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
