"""Where studies stand beside each other under their names: folders below an output folder, or a database."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pettingllms.errors import RefusedError, StudyError
from pettingllms.sweep.folders import create_folder
from pettingllms.sweep.ledger.in_database import Database, SqlLedger, create_study, study_headers
from pettingllms.sweep.ledger.in_folder import LEDGER, FileLedger, is_study, ledger_text
from pettingllms.sweep.ledger.rows import Row, Table
from pettingllms.sweep.ledger.storage import StoredLedger
from pettingllms.sweep.ledger.url import StorageUrl, storage_url

POINTER = "storage.json"
"""In the folder of a study that is kept in a database: which one."""
Files = Mapping[str, str]
"""What lies in a study's folder beside its ledger: relative path -> text."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study that is open.

    `folder`: where its trials of this machine lie. `database`: where it is kept; None for its folder, where
    Optuna has its journal. `advised`: the revision that Optuna's study was made of. `notes`: what the user
    is to be told of how it was opened.
    """

    name: str
    folder: Path
    ledger: StoredLedger
    database: StorageUrl | None
    revision: int = 1
    advised: int = 1
    created: bool = False
    notes: tuple[str, ...] = ()

    @property
    def advice_name(self) -> str:
        """The name of Optuna's study: another for each revision, as Optuna takes no changed space."""
        return _revised(self.name, self.revision)

    @property
    def former_advice_name(self) -> str:
        """The name of Optuna's study before the study was extended."""
        return _revised(self.name, self.advised)

    @property
    def needs_advice(self) -> bool:
        """Whether Optuna's study is to be made anew from the rows, which `set_advice` then notes."""
        return self.advised != self.revision

    def at(self, header: Mapping[str, Any]) -> Study:
        """The study as its header says."""
        name, revision = str(header.get("name", self.name)), int(header.get("revision", 1))
        return replace(self, name=name, revision=revision, advised=int(header.get("advised", revision)))

    def require_same(self, table: Table) -> None:
        """Raise RefusedError where the study was extended since it was opened."""
        if table.header.get("revision", 1) != self.revision:
            raise RefusedError(
                f"the study {self.name} was extended meanwhile",
                help="start this worker again, with the file of the extended study",
            )

    def set_advice(self, table: Table, numbers: Mapping[int, int]) -> None:
        """Note the Optuna trial of each row by its number; the others have none."""
        for row in list(table.rows.values()):
            table.put(replace(row, advice=numbers.get(row.number)))
        table.set_header({**table.header, "advised": self.revision})


class Shelf(Protocol):
    """Studies by name."""

    def headers(self, base: str) -> dict[str, Mapping[str, Any]]:
        """All names `base`, `base-2`, … that are taken; the header is empty where it is no study."""
        ...

    def make(self, name: str, header: Mapping[str, Any], rows: tuple[Row, ...], files: Files) -> bool:
        """Make a study, whole; False where the name was taken meanwhile."""
        ...

    def study(self, name: str) -> Study:
        """The study of that name."""
        ...


class FolderShelf:
    """Each study in a folder below `output`, with its trials."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def headers(self, base: str) -> dict[str, Mapping[str, Any]]:
        """See `Shelf`."""
        found = numbered(self._output, base).values()
        return {path.name: FileLedger(path).read().header if is_study(path) else {} for path in found}

    def make(self, name: str, header: Mapping[str, Any], rows: tuple[Row, ...], files: Files) -> bool:
        """See `Shelf`."""
        made = create_folder(self._output / name, {**files, LEDGER: ledger_text(header, rows)})
        if made.name != name:
            shutil.rmtree(made)
        return made.name == name

    def study(self, name: str) -> Study:
        """See `Shelf`."""
        return study_in(self._output / name)


class DatabaseShelf:
    """Studies in a database; each machine has a folder for the trials of each, below its own `output`."""

    def __init__(self, url: StorageUrl, output: Path) -> None:
        self._url, self._database, self._output = url, Database(url), output

    def headers(self, base: str) -> dict[str, Mapping[str, Any]]:
        """See `Shelf`."""
        found = study_headers(self._database)
        return {name: header for name, header in found.items() if place_of(name, base)}

    def make(self, name: str, header: Mapping[str, Any], rows: tuple[Row, ...], files: Files) -> bool:
        """See `Shelf`."""
        made = create_study(self._database, name, header, {row.number: row for row in rows})
        if made:
            with_folder(self.study(name), files)
        return made

    def study(self, name: str) -> Study:
        """See `Shelf`."""
        ledger = SqlLedger(self._database, name)
        header = ledger.read().header
        told = _pointer(name, self._url)
        own = (path for path in numbered(self._output, name).values() if _pointed(path) == told)
        folder = next(own, self._output / name).absolute()
        return Study(name, folder, ledger, self._url).at(header)


def with_folder(study: Study, files: Files) -> Study:
    """The study with a folder for its trials on this machine; `files` lie there beside them."""
    if study.database is None:
        return study
    told = _pointer(study.name, study.database)
    if _pointed(study.folder) == told:
        return study
    made = create_folder(study.folder, {**files, POINTER: json.dumps(told) + "\n"})
    return replace(study, folder=made.absolute())


def study_in(folder: Path) -> Study:
    """The study in `folder`, or that whose trials lie there. Raises StudyError where it is none."""
    told = _pointed(folder)
    if told is not None and not is_study(folder):
        name, url = str(told.get("study")), storage_url(str(told.get("storage")))
        ledger = SqlLedger(Database(url), name)
        return Study(name, folder.absolute(), ledger, url).at(ledger.read().header)
    own = FileLedger(folder)
    return Study(folder.name, folder.absolute(), own, None).at(own.read().header)


def numbered(output: Path, base: str) -> dict[int, Path]:
    """What lies below `output` under the names `base` (1), `base-2` (2), …, in order."""
    if not output.is_dir():
        return {}
    found = {place: path for path in output.iterdir() if (place := place_of(path.name, base))}
    return dict(sorted(found.items()))


def place_of(name: str, base: str) -> int:
    """Which of the studies of `base` has that name, from 1; 0 for another name."""
    if name == base:
        return 1
    match = re.fullmatch(rf"{re.escape(base)}-([1-9]\d*)", name)
    return int(match[1]) if match and int(match[1]) > 1 else 0


def _pointer(name: str, url: StorageUrl) -> dict[str, Any]:
    return {"study": name, "storage": url.without_password}


def _pointed(folder: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((folder / POINTER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as cause:
        raise StudyError(
            f"{folder / POINTER} cannot be read: {cause}", help="name the study by its FILE and --storage"
        ) from None
    return told if isinstance(told, dict) else {}


def _revised(name: str, revision: int) -> str:
    return name if revision == 1 else f"{name}@{revision}"
