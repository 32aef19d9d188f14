"""Opens the study of an experiment: the newest of its name, or another one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.sweep import SweepConfig
from pettingllms.documents.source import dotted
from pettingllms.errors import StudyError
from pettingllms.lint.engine import Report
from pettingllms.sweep.advisor import OptunaAdvisor
from pettingllms.sweep.advisor_space import SearchSpace
from pettingllms.sweep.advisor_storage import JOURNAL, journal_storage
from pettingllms.sweep.file_lock import FileLock
from pettingllms.sweep.folders import create_folder
from pettingllms.sweep.rows import Advisor, Row
from pettingllms.sweep.storage import StoredLedger
from pettingllms.sweep.storage_file import LEDGER, FileLedger, is_study, ledger_text
from pettingllms.sweep.trial import source_name

if TYPE_CHECKING:
    from pettingllms.sweep.start_sweep import SweepOptions


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study that can be worked at. Its trials lie in `folder`."""

    name: str
    folder: Path
    ledger: StoredLedger
    advisor: Advisor


def create_or_open(checked: Report, options: SweepOptions) -> OpenStudy:
    """The newest study of the experiment's name below the output folder; a new one where there is none."""
    wanted = options.output / study_name(checked)
    newest = _newest(wanted)
    if newest is None or options.new_study:
        newest = _created(checked, wanted, options)
    return _opened(checked, newest.absolute())


def open_existing(checked: Report, options: SweepOptions) -> OpenStudy:
    """The newest study of the experiment's name. Raises StudyError where there is none."""
    newest = _newest(options.output / study_name(checked))
    if newest is None:
        raise StudyError(
            f"there is no study {study_name(checked)} below {options.output}",
            help="`sweep run FILE` starts it; --output names the folder that it is in",
        )
    return _opened(checked, newest.absolute())


def study_name(checked: Report) -> str:
    """The name of the experiment, fit for a folder."""
    assert checked.experiment is not None
    return re.sub(r"[^\w.-]+", "_", checked.experiment.config.training.experiment_name)


def _newest(wanted: Path) -> Path | None:
    found = [path for path in _numbered(wanted) if is_study(path)]
    return found[-1] if found else None


def _numbered(wanted: Path) -> Iterator[Path]:
    """`wanted`, `wanted-2`, … as far as they exist."""
    number, path = 1, wanted
    while path.exists():
        yield path
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")


def _created(checked: Report, wanted: Path, options: SweepOptions) -> Path:
    experiment = checked.experiment
    assert experiment is not None
    sweep = experiment.config.sweep or SweepConfig()
    rows = [
        Row(
            cell.number,
            {dotted(path): value for path, value in cell.values.items()},
            tuple(dotted(path) for path in cell.values if path in cell.active),
        )
        for cell in (checked.cells.runnable if sweep.sampler == "grid" else ())
    ]
    files = {source_name(experiment): experiment.text, LEDGER: ledger_text({}, rows)}
    made = create_folder(wanted, files)
    first = _newest(wanted)
    if not options.new_study and made != wanted and first is not None and is_study(wanted):
        # Another process was faster: there is one study then.
        shutil.rmtree(made)
        return wanted
    return made


def _opened(checked: Report, folder: Path) -> OpenStudy:
    experiment, draft = checked.experiment, checked.draft
    assert experiment is not None
    assert draft is not None
    sweep = experiment.config.sweep or SweepConfig()
    ledger = FileLedger(folder)
    with ledger.transaction():
        storage = journal_storage(folder / JOURNAL, FileLock(folder / ".journal.lock"))
        advisor = OptunaAdvisor(SearchSpace.of(draft, sweep), sweep, storage, folder.name)
    return OpenStudy(folder.name, folder, ledger, advisor)
