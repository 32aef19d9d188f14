"""Studies in PostgreSQL and SQLite: one transaction at a time, nothing lost with a killed worker."""

import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pettingllms.errors import StudyError, UsageError
from pettingllms.hiding import hidden
from pettingllms.sweep.ledger import claims as ledger
from pettingllms.sweep.ledger import in_database as storage_sql
from pettingllms.sweep.ledger.in_database import Database, SqlLedger, create_study, study_headers
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.ledger.url import storage_url

WORKER = Path(__file__).with_name("ledger_worker.py")
NAMES = iter(f"study-{number}" for number in range(1000))

pytest.importorskip("sqlalchemy", reason="SQLAlchemy comes with Optuna")


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request, tmp_path):
    if request.param == "sqlite":
        return Database(storage_url(f"sqlite:///{tmp_path / 'a b.db'}"))
    return Database(storage_url(request.getfixturevalue("postgres")))


@pytest.fixture
def study(database):
    name = next(NAMES)
    assert create_study(database, name, {"name": name}, {0: Row(0, {"a": [1, None]})})
    return SqlLedger(database, name)


def test_rows_come_back_as_they_were(study):
    full = Row(1, {"é\u2028\x00": "x"}, ("a",), "failed", reason="no\udcff", metrics={"m": float("inf")})
    complete = Row(2, {}, state="complete", objectives=(0.1, float("-inf")))
    with study.transaction() as table:
        table.put(full)
        table.put(complete)
    snapshot = study.read()
    assert snapshot.header == {"name": study.name}
    assert snapshot.rows == {0: Row(0, {"a": [1, None]}), 1: full, 2: complete}


def test_header_and_rows_change_together_or_not_at_all(study):
    with study.transaction() as table:
        table.set_header({"name": "t"})
        table.put(Row(5, {}))
        table.drop(0)
    with suppress(KeyError), study.transaction() as table:
        table.set_header({})
        table.drop(5)
        raise KeyError
    assert study.read().rows == {5: Row(5, {})}
    assert study.read().header == {"name": "t"}


def test_a_name_is_given_once_and_studies_are_apart(study):
    database = study.database
    assert not create_study(database, study.name, {}, {})
    other = next(NAMES)
    assert create_study(database, other, {"experiment": "e"}, {})
    with SqlLedger(database, other).transaction() as table:
        table.put(Row(0, {"b": 1}))
    assert study.read().rows == {0: Row(0, {"a": [1, None]})}
    assert study_headers(database)[other] == {"experiment": "e"}


def test_a_study_is_readable_while_it_is_held(study):
    with study.transaction() as table:
        table.put(Row(1, {}))
        assert list(study.read().rows) == [0]
    assert list(study.read().rows) == [0, 1]


def test_transactions_come_one_after_the_other(study):
    def add():
        for _ in range(5):
            with study.transaction() as table:
                row = ledger.append(table, {})
                time.sleep(0.001)
                table.put(replace(row, step=row.number))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: row.step for number, row in study.read().rows.items() if number} == {
        number: number for number in range(1, 21)
    }


def test_what_is_damaged_is_said(study):
    import sqlalchemy as sa

    _, cells = study.database.tables
    with study.database.begun() as connection:
        connection.execute(sa.insert(cells), {"study": study.name, "number": 1, "cell": "{}"})
    with pytest.raises(StudyError, match="is damaged"):
        study.read()


def test_a_study_that_is_not_there_is_said_with_those_that_are(study):
    with pytest.raises(StudyError, match=rf"has no study none: it has .*{study.name}"):
        SqlLedger(study.database, "none").read()


def test_a_study_of_another_version_is_left_alone(study):
    import sqlalchemy as sa

    with study.database.begun() as connection:
        connection.execute(sa.update(study.database.tables[0]).values(format=9))
    try:
        with pytest.raises(StudyError, match="has format 9"), study.transaction():
            pass
    finally:
        with study.database.begun() as connection:
            connection.execute(sa.update(study.database.tables[0]).values(format=1))


def test_a_database_without_studies_has_none(tmp_path):
    database = Database(storage_url(f"sqlite:///{tmp_path / 'x.db'}"))
    assert study_headers(database) == {}
    with pytest.raises(StudyError, match="it has none yet"):
        SqlLedger(database, "s").read()


def test_no_server_is_said_without_the_password(tmp_path):
    database = Database(storage_url(f"postgresql://me:hunter22@/db?host={tmp_path}"))
    with pytest.raises(StudyError, match=r"--storage postgresql://me:\*\*\*@/db") as error:
        study_headers(database)
    assert "hunter22" not in f"{error.value} {error.value.help}"
    assert "PGPASSWORD" in error.value.help


def test_a_database_that_is_not_there_is_said(postgres):
    database = Database(storage_url(postgres.replace("/postgres?", "/nothing?")))
    with pytest.raises(StudyError, match='database "nothing" does not exist'):
        study_headers(database)


def test_a_file_that_is_no_database_is_said(tmp_path):
    (tmp_path / "x.db").write_text("hello, this is a text of some length, and no database at all" * 20)
    with pytest.raises(StudyError, match="file is not a database"):
        study_headers(Database(storage_url(f"sqlite:///{tmp_path / 'x.db'}")))
    with pytest.raises(StudyError, match="there is no folder"):
        create_study(Database(storage_url(f"sqlite:///{tmp_path / 'no' / 'x.db'}")), "s", {}, {})


def test_a_package_that_is_missing_is_said(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg" else real(name))
    with pytest.raises(StudyError, match="needs psycopg, which is not installed") as error:
        study_headers(Database(storage_url("postgresql://me@host/db")))
    assert "postgres" in error.value.help


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder/study", "is no URL"),
        ("mysql://me@host/db", "not kept in mysql"),
        ("postgresql://me@host", "names no database"),
        ("postgresql://me@host:port/db", "cannot be read"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://host/file", "names no file"),
        ("postgresql://me:geheim/1@host/db", "cannot be read"),
        ("postgresql://me:se@geheim@host/db", "cannot be read"),
        ("postgresql:/me:geheim@host/db", "is no URL"),
        ("", "an empty text is no URL"),
    ],
)
def test_what_is_no_storage_is_said(text, said):
    with pytest.raises(UsageError, match=said) as error:
        storage_url(text)
    assert "postgresql://USER@HOST/DATABASE" in error.value.help
    assert "geheim" not in f"{error.value} {error.value.help}"


def test_urls_are_shown_without_driver_and_password():
    assert storage_url("postgres://me:geheim1@h:5/db").shown == "postgresql://me:***@h:5/db"
    queried = storage_url("postgresql://me@h/db?password=geheim2&sslmode=require")
    assert queried.shown == "postgresql://me@h/db?password=***&sslmode=require"
    assert queried.without_password == "postgresql://me@h/db?sslmode=require"
    assert hidden("geheim2") == "***"
    assert storage_url("postgresql://me:p@h:5/db?password=q").without_password == "postgresql://me@h:5/db"
    assert storage_url("postgresql://h/db").url == "postgresql+psycopg://h/db"
    assert storage_url("sqlite:////tmp/a%20b.db").file == "/tmp/a b.db"


def test_a_worker_that_hangs_does_not_hold_a_study_for_ever(postgres, monkeypatch):
    monkeypatch.setattr(storage_sql, "IDLE_SECONDS", 1)
    database, name = Database(storage_url(postgres)), next(NAMES)
    create_study(database, name, {}, {})
    hanging = SqlLedger(database, name)
    context = hanging.transaction()
    context.__enter__().put(Row(0, {}))
    with SqlLedger(database, name).transaction() as table:
        table.put(Row(1, {}))
    with pytest.raises(StudyError, match="idle-in-transaction"):
        context.__exit__(None, None, None)
    assert list(hanging.read().rows) == [1]


def test_a_study_that_is_held_too_long_is_said(postgres, monkeypatch):
    monkeypatch.setattr(storage_sql, "LOCK_SECONDS", 1)
    database, name = Database(storage_url(postgres)), next(NAMES)
    create_study(database, name, {}, {})
    said = pytest.raises(StudyError, match="has been held for 1 s by another worker")
    with SqlLedger(database, name).transaction(), said, SqlLedger(database, name).transaction():
        pass


def test_each_row_ends_once_whoever_is_killed(postgres, tmp_path):
    database, name = Database(storage_url(postgres)), next(NAMES)
    create_study(database, name, {}, {number: Row(number, {}) for number in range(40)})
    log = tmp_path / "ended"

    def start(number):
        words = [str(WORKER), postgres, name, f"w{number}", "0.5", str(log)]
        return subprocess.Popen([sys.executable, *words], start_new_session=True)

    workers = [start(number) for number in range(3)]
    for number in range(3, 5):
        time.sleep(1.2)
        victim = workers.pop(0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        workers.append(start(number))
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    rows = SqlLedger(database, name).read().rows
    assert {number: row.objectives for number, row in rows.items()} == {n: (float(n),) for n in range(40)}
    assert set(Counter(log.read_text().split()).values()) == {1}
