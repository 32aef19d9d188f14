"""Which study an experiment goes on with, and how another one is made.

A study has the name of its experiment, its successors `…-2`, `…-3`; it is a folder below the output folder,
or a study in a database, which has such a folder for its trials on each machine.

`sweep run` calls `open_or_create` with the report of the linter, `sweep worker` the same with `create=False`.
What comes back has all that a worker needs: `ledger`, `folder`, `database` (where Optuna's study lies too;
None for `study.journal` in the folder), `advice_name` (what Optuna's study is called), `notes` for the user.
Where `needs_advice` is true the study was extended: in one transaction, which looks at the header's `advised`
once more, Optuna's study is made anew from the rows, and `set_advice` notes their new numbers. A transaction
that claims calls `require_same` first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pettingllms.errors import StudyError
from pettingllms.lint.report import Report
from pettingllms.sweep.folders import require_writable
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.in_database import Database, study_headers
from pettingllms.sweep.ledger.url import storage_url
from pettingllms.sweep.study.header import Wanted, changed, extend, refuse_changes
from pettingllms.sweep.study.shelves import (
    DatabaseShelf,
    Files,
    FolderShelf,
    Shelf,
    Study,
    place_of,
    study_in,
    with_folder,
)
from pettingllms.sweep.trial import source_name

__all__ = ["Study", "newest_study", "open_or_create", "study_base", "study_called", "study_in"]

LOCK = ".studies.lock"
"""Below an output folder: held while a study is looked for or made."""


def study_base(experiment_name: str) -> str:
    """The name of an experiment's first study, fit for a folder."""
    return re.sub(r"[^\w.-]+", "_", experiment_name).strip(".") or "study"


def open_or_create(
    checked: Report,
    *,
    output: Path,
    storage: str | None = None,
    overlays: Sequence[Path] = (),
    new_study: bool = False,
    may_extend: bool = False,
    create: bool = True,
) -> Study:
    """The newest study of the experiment; a new one where there is none, or with `new_study`.

    `storage`: the URL of a database, None for the study's folder. Raises RefusedError where the study is
    locked to something else, unless it `may_extend`; StudyError where the storage cannot be reached, and
    without `create` where there is no study.
    """
    experiment = checked.experiment
    wanted = Wanted.of(checked, overlays)
    assert experiment is not None
    base = study_base(experiment.config.training.experiment_name)
    files = {source_name(experiment): experiment.text}
    shelf = _shelf(output, storage)
    require_writable(output, "--output")
    # Two that begin at the same moment shall not make two studies.
    with FileLock(output / LOCK):
        name = None if new_study else _newest(shelf, base)
        if name is not None:
            return _opened(with_folder(shelf.study(name), files), wanted, may_extend=may_extend)
        if not create:
            raise _absent(base, output, storage)
        return _made(shelf, base, wanted, files)


def newest_study(base: str, output: Path, storage: str | None = None) -> Study:
    """The newest study named `base`, to be looked at. Raises StudyError where there is none."""
    shelf = _shelf(output, storage)
    name = _newest(shelf, base)
    if name is None:
        raise _absent(base, output, storage)
    return shelf.study(name)


def study_called(name: str, output: Path, storage: str) -> Study | None:
    """The study of that name in a database; None where it has none."""
    url = storage_url(storage)
    return DatabaseShelf(url, output).study(name) if name in study_headers(Database(url)) else None


def _shelf(output: Path, storage: str | None) -> Shelf:
    return FolderShelf(output) if storage is None else DatabaseShelf(storage_url(storage), output)


def _newest(shelf: Shelf, base: str) -> str | None:
    own = [name for name, header in shelf.headers(base).items() if header.get("experiment") == base]
    return max(own, key=lambda name: place_of(name, base), default=None)


def _made(shelf: Shelf, base: str, wanted: Wanted, files: Files) -> Study:
    while True:
        place = max((place_of(name, base) for name in shelf.headers(base)), default=0) + 1
        name = base if place == 1 else f"{base}-{place}"
        if shelf.make(name, wanted.header(name, base), wanted.rows, files):
            return replace(shelf.study(name), created=True)


def _opened(study: Study, wanted: Wanted, *, may_extend: bool) -> Study:
    header = study.ledger.read().header
    space, rest = changed(header, wanted)
    if not may_extend:
        refuse_changes(study.name, space, rest)
    notes: list[str] = []
    if space or rest or _is_news(header, wanted):
        with study.ledger.transaction() as table:
            notes = extend(table, wanted, time.time())
            if _is_news(table.header, wanted):
                table.set_header({**table.header, **wanted.told})
            header = table.header
    return replace(study.at(header), notes=tuple(notes))


def _is_news(header: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether the limits of the study have changed, which are not locked."""
    return bool(header.get("sweep") != wanted.told["sweep"])


def _absent(base: str, output: Path, storage: str | None) -> StudyError:
    where = f"below {output}" if storage is None else f"in {storage_url(storage).shown}"
    option = "--output names the folder that it is in" if storage is None else "--storage its database"
    return StudyError(f"there is no study {base} {where}", help=f"`sweep run FILE` starts one; {option}")
