"""Opens a study for work: its ledger, and Optuna's study beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pettingllms.config.load import Draft
from pettingllms.config.sweep import SweepConfig
from pettingllms.sweep.advice.advisor import OptunaAdvisor
from pettingllms.sweep.advice.space import SearchSpace
from pettingllms.sweep.advice.storage import JOURNAL, database_storage, journal_storage
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.rows import Advisor
from pettingllms.sweep.study.named import Study

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

JOURNAL_LOCK = ".journal.lock"


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study that can be worked at."""

    study: Study
    advisor: Advisor


@contextmanager
def advised(study: Study, draft: Draft, sweep: SweepConfig) -> Iterator[OpenStudy]:
    """The study with Optuna's: made where it is missing, and made anew where the study was extended.

    Raises RefusedError where the study was extended by another process meanwhile.
    """
    # The import takes seconds, in which others may have the study.
    import optuna.storages  # noqa: F401

    space = SearchSpace.of(draft, sweep)
    with ExitStack() as stack:
        with study.ledger.transaction() as table:
            study.require_same(table)
            storage = stack.enter_context(optuna_storage(study))
            advisor = OptunaAdvisor(space, sweep, storage, study.advice_name)
            # What was opened may be older than what lies there.
            now = study.at(table.header)
            if now.needs_advice:
                former = _trials(storage, now.former_advice_name)
                now.set_advice(table, advisor.rebuild(table.rows, former))
        yield OpenStudy(study, advisor)


def _trials(storage: BaseStorage, name: str) -> list[FrozenTrial]:
    """The trials of Optuna's study of that name; none where there is no such study."""
    try:
        return list(storage.get_all_trials(storage.get_study_id_from_name(name)))
    except KeyError:
        return []


@contextmanager
def optuna_storage(study: Study) -> Iterator[BaseStorage]:
    """Where Optuna has its part of a study: in the journal of its folder, or in the same database."""
    if study.database is None:
        yield journal_storage(study.folder / JOURNAL, FileLock(study.folder / JOURNAL_LOCK))
        return
    with database_storage(study.database.url) as storage:
        yield storage
