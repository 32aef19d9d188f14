"""A study in a folder: whole after every kill, readable while others write, no other file taken for one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from pettingllms.errors import StudyError
from pettingllms.sweep.ledger import in_folder as storage_file
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.in_folder import LEDGER, LOCK, FileLedger, ledger_text
from pettingllms.sweep.ledger.rows import Row

WORKER = Path(__file__).with_name("ledger_worker.py")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / LEDGER).write_text(
        ledger_text({"name": "s", "space": [1]}, [Row(0, {"a": [1, {"b": None}]})])
    )
    return tmp_path


def put(folder, *rows):
    with FileLedger(folder).transaction() as table:
        for row in rows:
            table.put(row)


def test_rows_come_back_as_they_were(folder):
    full = Row(
        *(1, {"lr": 1e-6, "order": ["a", "b"], "é\u2028": "x\ny"}, ("lr",), "failed", 3, 2, "host:1", 12.5),
        *(13.5, "/runs/\udcff", 7, 9, None, "no\r\n", "oom", 1.5, 3.0, 4),
        metrics={"val/success_rate": float("inf")},
    )
    complete = Row(2, {}, state="complete", objectives=(0.1, float("-inf")))
    put(folder, full, complete)
    snapshot = FileLedger(folder).read()
    assert snapshot.header == {"name": "s", "space": [1]}
    assert snapshot.rows == {0: Row(0, {"a": [1, {"b": None}]}), 1: full, 2: complete}


def test_header_and_rows_change_together_or_not_at_all(folder):
    study = FileLedger(folder)
    with study.transaction() as table:
        table.set_header({"name": "t"})
        table.drop(0)
        table.put(Row(5, {}))
        assert table.header == {"name": "t"} and list(table.rows) == [5]
    before = (folder / LEDGER).read_bytes()
    with suppress(KeyError), study.transaction() as table:
        table.set_header({})
        table.drop(5)
        raise KeyError
    with study.transaction() as table:
        table.put(Row(5, {}))
    assert (folder / LEDGER).read_bytes() == before
    assert FileLedger(folder).read().rows == {5: Row(5, {})}
    assert study.read().header == {"name": "t"}


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_half_a_line_is_left_out_and_taken_away_by_the_next_writer(folder, lost):
    put(folder, Row(1, {}))
    put(folder, Row(1, {}, state="running"))
    whole = (folder / LEDGER).read_bytes()
    (folder / LEDGER).write_bytes(whole[:-lost])
    assert FileLedger(folder).read().rows[1].state == "waiting"
    put(folder, Row(2, {}))
    rows = FileLedger(folder).read().rows
    assert (rows[1].state, list(rows)) == ("waiting", [0, 1, 2])


def test_what_others_write_is_seen_by_an_open_ledger(folder):
    study = FileLedger(folder)
    assert list(study.read().rows) == [0]
    put(folder, Row(1, {}))
    assert list(study.read().rows) == [0, 1]
    with study.transaction() as table:
        assert list(table.rows) == [0, 1]


def test_a_ledger_that_has_grown_is_written_anew(folder, monkeypatch):
    monkeypatch.setattr(storage_file, "COMPACT_BYTES", 2000)
    monkeypatch.setattr(storage_file, "COMPACT_FACTOR", 4)
    other = FileLedger(folder)
    other.read()
    study = FileLedger(folder)
    for step in range(100):
        with study.transaction() as table:
            table.put(Row(0, {}, state="running", step=step))
        assert other.read().rows[0].step == step
    assert (folder / LEDGER).stat().st_size < 2100
    assert FileLedger(folder).read().header == {"name": "s", "space": [1]}


def test_a_reader_needs_no_right_to_write(folder):
    study = FileLedger(folder)
    with FileLock(folder / LOCK):
        assert list(study.read().rows) == [0]
    before = sorted(path.name for path in folder.iterdir())
    FileLedger(folder).read()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_said(folder, monkeypatch):
    real = os.open

    def read_only(path, flags, *rest):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(StudyError, match=r"\.study\.lock cannot be made: Permission denied"):
        put(folder, Row(1, {}))


def test_a_full_disk_leaves_the_study_as_it_was(folder, monkeypatch):
    before = (folder / LEDGER).read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match="No space left on device") as error:
        put(folder, Row(1, {}))
    assert error.value.help == "make room on the disk"
    assert (folder / LEDGER).read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not the ledger of a study"),
        ("\x00\xff\n", "is not the ledger of a study"),
        ('{"a": 1}\n', "is not the ledger of a study"),
        ('{"pettingllms":"study","format":12,"file":"x"}\n', "has another format than 1"),
    ],
)
def test_a_foreign_file_is_no_ledger(tmp_path, text, said):
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(StudyError, match=said):
        FileLedger(tmp_path).read()


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "[]",
        '{"rows": [{}]}',
        '{"rows": [{"number": 0, "values": {}, "state": "asleep"}]}',
        '{"rows": [{"number": 0, "values": {}, "mood": 1}]}',
        '{"rows": [{"number": -1, "values": {}}]}',
        '{"rows": [{"number": 0, "values": {}, "objectives": ["x"]}]}',
        '{"rows": [{"number": 0, "values": {}, "folder": 7}]}',
        '{"rows": [{"number": 0, "values": {}, "attempt": "z"}]}',
        '{"rows": 3}',
        '{"header": 3}',
        '{"dropped": ["x"]}',
    ],
)
def test_a_damaged_line_is_named(folder, line):
    put(folder, Row(1, {}))
    with (folder / LEDGER).open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        with pytest.raises(StudyError, match=rf"{LEDGER}:3: the line is damaged"):
            FileLedger(folder).read()


def test_what_is_no_study_is_said_in_words(folder, tmp_path):
    for path, said in {
        tmp_path / "none": "there is no folder",
        folder / LEDGER: "is no folder",
        folder.parent: "holds studies, and is none",
    }.items():
        with pytest.raises(StudyError, match=said):
            FileLedger(path).read()
    (folder / "trial_0000").mkdir()
    with pytest.raises(StudyError, match="is a folder of a study"):
        FileLedger(folder / "trial_0000").read()
    empty = folder / "trial_0000" / "deep"
    empty.mkdir()
    with pytest.raises(StudyError, match="is no study"):
        FileLedger(empty).read()


def test_a_lock_that_is_held_too_long_names_its_holder(folder):
    with (
        FileLock(folder / LOCK),
        pytest.raises(StudyError, match=f"held for 0 s by process {os.getpid()} on"),
    ):
        FileLock(folder / LOCK, wait=0.05).acquire()
    with FileLock(folder / LOCK, wait=0.0):
        pass


def test_each_row_ends_once_whoever_is_killed(folder):
    put(folder, *(Row(number, {}) for number in range(60)))
    log = folder / "ended"

    def start(number):
        words = [str(WORKER), str(folder), "s", f"w{number}", "0.4", str(log)]
        return subprocess.Popen([sys.executable, *words], start_new_session=True)

    workers = [start(number) for number in range(3)]
    chosen = random.Random(0)
    for number in range(3, 6):
        time.sleep(0.3)
        victim = workers.pop(chosen.randrange(len(workers)))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        workers.append(start(number))
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    rows = FileLedger(folder).read().rows
    assert {number: row.objectives for number, row in rows.items()} == {n: (float(n),) for n in range(60)}
    # A killed worker may have ended a row and not said so; nobody says it twice.
    ended = Counter(map(int, log.read_text().split()))
    assert set(ended.values()) == {1} and len(ended) >= 57
    assert all(json.loads(line) for line in (folder / LEDGER).read_text().splitlines())
