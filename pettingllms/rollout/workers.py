"""Threads in which the work of agents and environments is carried out."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pettingllms.rollout.effects import Job

BUNCH_SECONDS = 0.001
"""For so long results gather while jobs wait: threads that wake each other for each small job lose more."""


@dataclass(slots=True, eq=False)
class _Batch:
    """The jobs that one owner asked for at once."""

    owner: int
    jobs: Sequence[Job]
    results: list[Any] = field(init=False)
    started: int = 0
    ended: int = 0
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.results = [None] * len(self.jobs)


class Workers:
    """`threads` threads that carry out batches of jobs, first come, first served.

    One batch occupies all threads but one at most, so that slow jobs of one owner leave room for the others;
    `share` says how many owners there are. The threads are daemons: a job that never ends keeps no
    process alive. Used as a context; after an exception it is left without waiting for running jobs.
    """

    def __init__(self, threads: int, owners: int) -> None:
        self._limit = threads if owners == 1 else max(1, threads - 1)
        self._waiting: deque[_Batch] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._open = True
        self._ended: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._open = False
            self._waiting.clear()
            self._changed.notify_all()
        if error is None:
            for thread in self._threads:
                thread.join()

    def share(self, owners: int) -> None:
        """From now on there are `owners`: a last one may take every thread."""
        if owners == 1:
            with self._changed:
                self._limit = len(self._threads)
                self._changed.notify_all()

    def add(self, owned: Sequence[tuple[int, Sequence[Job]]]) -> None:
        """Take on jobs of owners that have none here yet, at least one of each."""
        batches = [_Batch(owner, jobs) for owner, jobs in owned]
        with self._changed:
            self._waiting += batches
            self._changed.notify(len(self._threads))

    def ready(self) -> bool:
        """Whether some owner's jobs have all ended."""
        return not self._ended.empty()

    def finished(self, seconds: float) -> list[tuple[int, list[Any]]]:
        """Owners whose jobs have all ended, with the results; waits at most `seconds` for the first.

        Raises what a job raised.
        """
        done: list[tuple[int, list[Any]]] = []
        try:
            batch = self._ended.get(timeout=seconds)
            if self._waiting:
                time.sleep(BUNCH_SECONDS)
            while True:
                if batch.error is not None:
                    raise batch.error
                done.append((batch.owner, batch.results))
                batch = self._ended.get_nowait()
        except queue.Empty:
            return done

    def _work(self) -> None:
        """One thread: job after job until the pool is closed."""
        taken = self._next(None, None)
        while taken is not None:
            batch, place = taken
            error = None
            try:
                batch.results[place] = batch.jobs[place]()
            except BaseException as raised:
                error = raised
            taken = self._next(batch, error)

    def _next(self, ended: _Batch | None, error: BaseException | None) -> tuple[_Batch, int] | None:
        """Count the job of `ended` that has ended; wait for the next one, or for the end: None."""
        with self._changed:
            if ended is not None:
                self._end(ended, error)
            while (taken := self._take()) is None and self._open:
                self._changed.wait()
            return taken

    def _take(self) -> tuple[_Batch, int] | None:
        """The next job that may start, if there is one."""
        for batch in self._waiting:
            if batch.started - batch.ended < self._limit:
                place = batch.started
                batch.started += 1
                if batch.started == len(batch.jobs):
                    self._waiting.remove(batch)
                return batch, place
        return None

    def _end(self, batch: _Batch, error: BaseException | None) -> None:
        """Hand the batch over with its last job, or with the first error at once."""
        batch.ended += 1
        first = error is not None and batch.error is None
        batch.error = batch.error or error
        last = batch.ended == len(batch.jobs)
        if first or (last and batch.error is None):
            self._ended.put(batch)
