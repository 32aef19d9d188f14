"""Studies in a database: two tables beside those of Optuna, for workers on many machines.

`pettingllms_studies` has a row for each study, with its header as JSON; `pettingllms_cells` a row for each
of its cells. In PostgreSQL a transaction of the ledger is one of the database, which holds the study's row
from its beginning; the server takes that back when the connection of a killed worker breaks, and after
`IDLE_SECONDS` from one that hangs. In SQLite, whose only lock is one on the whole file, Optuna could not
write meanwhile: there a lock file beside the database is held, and the changes are written at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pettingllms.errors import StudyError
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.row_json import FORMAT, dumped, parsed_row, parsed_table, row_data
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.ledger.storage import ChangedTable, Snapshot
from pettingllms.sweep.ledger.url import StorageUrl
from pettingllms.sweep.packages import missing

if TYPE_CHECKING:
    import sqlalchemy as sa

LOCK_SECONDS = 120
"""How long others may hold the study in all."""
IDLE_SECONDS = 60
"""After this time without a word inside a transaction, the server takes the study back."""
CONNECT_SECONDS = 10
_CREATION = 0x706C6D73
"""The number of the advisory lock under which tables are made: any, the same for all."""


class Database:
    """The database at `url`, connected to anew for each transaction, so that none hangs in between."""

    def __init__(self, url: StorageUrl) -> None:
        self.url = url

    @cached_property
    def engine(self) -> sa.Engine:
        """The connection's maker. Raises StudyError where a package is missing."""
        wanted = ["sqlalchemy", *(["psycopg"] if self.url.kind == "postgresql" else [])]
        if absent := missing(wanted):
            extra = "postgres" if absent == ["psycopg"] else "sweep"
            raise StudyError(
                f"--storage {self.url.shown} needs {', '.join(absent)}, which is not installed",
                help=f"install with: uv sync --extra {extra}, or pip install 'pettingllms[{extra}]'",
            )
        import sqlalchemy as sa

        return sa.create_engine(self.url.url, poolclass=sa.NullPool, connect_args=self._connect_args())

    @cached_property
    def tables(self) -> tuple[sa.Table, sa.Table]:
        """The tables of studies and of cells."""
        import sqlalchemy as sa

        metadata = sa.MetaData()
        studies = sa.Table(
            "pettingllms_studies",
            metadata,
            sa.Column("name", sa.String(512), primary_key=True),
            sa.Column("format", sa.Integer, nullable=False),
            sa.Column("header", sa.Text, nullable=False),
        )
        cells = sa.Table(
            "pettingllms_cells",
            metadata,
            sa.Column("study", sa.ForeignKey(studies.c.name, ondelete="CASCADE"), primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("cell", sa.Text, nullable=False),
        )
        return studies, cells

    @contextmanager
    def begun(self, *, reading: bool = False) -> Iterator[sa.Connection]:
        """A transaction of the database; SQLAlchemy's errors are StudyErrors."""
        import sqlalchemy as sa

        postgres = self.url.kind == "postgresql"
        try:
            with self.engine.connect() as connection:
                if reading and postgres:
                    # Header and rows of one moment.
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    if postgres:
                        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                        idle = f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
                        connection.execute(sa.text(idle))
                    yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self._fault(error) from error

    def alone(self) -> FileLock | nullcontext[None]:
        """What keeps others away from a SQLite file; PostgreSQL has locks of its own."""
        if self.url.kind == "postgresql":
            return nullcontext()
        path = Path(self.url.file)
        if not path.parent.is_dir():
            raise StudyError(
                f"--storage {self.url.shown}: there is no folder {path.parent}", help="create it first"
            )
        return FileLock(path.with_name(f".{path.name}.lock"))

    def has_tables(self, connection: sa.Connection) -> bool:
        """Whether a study was ever kept here."""
        import sqlalchemy as sa

        return all(sa.inspect(connection).has_table(table.name) for table in self.tables)

    def make_tables(self, connection: sa.Connection) -> None:
        """Make the tables where they are missing, once among all who try."""
        import sqlalchemy as sa

        if self.url.kind == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION)))
        self.tables[0].metadata.create_all(connection)

    def _connect_args(self) -> dict[str, Any]:
        if self.url.kind == "sqlite":
            return {"timeout": 30}
        # A machine that has gone says no goodbye: its connection is found broken after a minute.
        alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        return {"connect_timeout": CONNECT_SECONDS, **alive}

    def _fault(self, error: Exception) -> StudyError:
        cause = getattr(error, "orig", None) or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
        where = f"--storage {self.url.shown}"
        if type(cause).__name__ == "LockNotAvailable":
            held = f"{where}: the study has been held for {LOCK_SECONDS} s by another worker"
            return StudyError(held, help="look at pg_stat_activity for a session that hangs, and end it")
        if self.url.kind == "sqlite":
            return StudyError(f"{where}: {lines[0]}", help="is it a SQLite file that this user may write?")
        return StudyError(
            f"{where}: {lines[0]}",
            help="check that the server runs, the user, the database, and the password in PGPASSWORD or "
            f"~/.pgpass: psql '{self.url.shown}'",
        )


class SqlLedger:
    """The study `name` in a database."""

    def __init__(self, database: Database, name: str) -> None:
        self.database, self.name = database, name

    @contextmanager
    def transaction(self) -> Iterator[ChangedTable]:
        """Exclusive among all processes and machines; see `Ledger`."""
        database = self.database
        with database.alone():
            if database.url.kind == "postgresql":
                with database.begun() as connection:
                    table = self._table(connection, held=True)
                    yield table
                    self._write(connection, table)
            else:
                with database.begun() as connection:
                    table = self._table(connection)
                yield table
                if table.is_changed:
                    with database.begun() as connection:
                        self._write(connection, table)

    def read(self) -> Snapshot:
        """The study after the newest transaction; nothing is locked or written."""
        with self.database.begun(reading=True) as connection:
            table = self._table(connection)
        return Snapshot(table.header, table.rows)

    def _table(self, connection: sa.Connection, *, held: bool = False) -> ChangedTable:
        import sqlalchemy as sa

        studies, cells = self.database.tables
        if not self.database.has_tables(connection):
            raise _absent(self.database, self.name, [])
        query = sa.select(studies.c.format, studies.c.header).where(studies.c.name == self.name)
        found = connection.execute(query.with_for_update() if held else query).one_or_none()
        if found is None:
            known = connection.execute(sa.select(studies.c.name).order_by(studies.c.name)).scalars()
            raise _absent(self.database, self.name, list(known))
        if found.format != FORMAT:
            raise StudyError(
                f"study {self.name} has format {found.format}, and this version reads format {FORMAT}",
                help="use the version that wrote it",
            )
        query_cells = sa.select(cells.c.number, cells.c.cell).where(cells.c.study == self.name)
        lines = connection.execute(query_cells.order_by(cells.c.number)).all()
        try:
            rows = {number: parsed_row(text) for number, text in lines}
            return ChangedTable(parsed_table(found.header), rows)
        except ValueError as cause:
            raise StudyError(f"study {self.name} is damaged: {cause}", help="put back a copy") from None

    def _write(self, connection: sa.Connection, table: ChangedTable) -> None:
        import sqlalchemy as sa

        studies, cells = self.database.tables
        if table.new_header is not None:
            own = sa.update(studies).where(studies.c.name == self.name)
            connection.execute(own.values(header=dumped(table.new_header)))
        if gone := sorted({*table.changed, *table.dropped}):
            ours = sa.delete(cells).where(cells.c.study == self.name, cells.c.number.in_(gone))
            connection.execute(ours)
        if table.changed:
            connection.execute(sa.insert(cells), _lines(self.name, table.changed))


def create_study(database: Database, name: str, header: Mapping[str, Any], rows: Mapping[int, Row]) -> bool:
    """Put a study into the database, whole; False where there is one of that name."""
    import sqlalchemy as sa

    studies, cells = database.tables
    with database.alone(), database.begun() as connection:
        database.make_tables(connection)
        taken = connection.execute(sa.select(studies.c.name).where(studies.c.name == name)).first()
        if taken is not None:
            return False
        connection.execute(sa.insert(studies), [{"name": name, "format": FORMAT, "header": dumped(header)}])
        if rows:
            connection.execute(sa.insert(cells), _lines(name, rows))
    return True


def study_headers(database: Database) -> dict[str, Mapping[str, Any]]:
    """The header of each study in the database by name; those that cannot be read are empty."""
    import sqlalchemy as sa

    studies, _ = database.tables
    with database.begun(reading=True) as connection:
        if not database.has_tables(connection):
            return {}
        lines = connection.execute(sa.select(studies.c.name, studies.c.header)).all()
    found: dict[str, Mapping[str, Any]] = {}
    for name, text in lines:
        try:
            found[name] = parsed_table(text)
        except ValueError:
            found[name] = {}
    return found


def _lines(name: str, rows: Mapping[int, Row]) -> list[dict[str, Any]]:
    return [{"study": name, "number": number, "cell": dumped(row_data(row))} for number, row in rows.items()]


def _absent(database: Database, name: str, known: list[str]) -> StudyError:
    there = f"it has {', '.join(known)}" if known else "it has none yet"
    return StudyError(
        f"--storage {database.url.shown} has no study {name}: {there}", help="`sweep run FILE` starts one"
    )
