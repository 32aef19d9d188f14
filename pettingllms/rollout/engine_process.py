"""The engine in a process of its own, as the trainer sees it: one that dies or hangs is replaced.

The process has its own threads, random numbers and log file, and can be killed without harm to the
trainer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pettingllms.errors import LostEngineError, RolloutError
from pettingllms.process import ENGINE_HOST
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.engine_connection import Connection
from pettingllms.rollout.engine_link import Child, Host, Link
from pettingllms.types import Completion, Request

LOG_TAIL_LINES = 15
RESTARTS = 3
"""How often in a row an engine is started again that brings nothing new in between."""


class EngineProcess:
    """An engine in a process of its own; the same protocol as an engine.

    The process is the host that the environment names, which then was started for this trial, or else a
    child. The constructor returns at once, so that the engine loads while the caller imports; `wait_ready`
    waits. `check` is called while an answer is awaited; what it raises ends the wait. Raises RolloutError
    when the host is not there.

    A process that was ready and then ends, or says nothing for 8 seconds, is replaced by a child, in the
    middle of a call too, and `warn` is told. The child gets the newest weights of every policy, and all
    requests since nothing was last pending, in the same portions: it makes the same batches of them, and
    equal seeds give equal answers. Answers that the caller has already are dropped. After `RESTARTS` in a
    row without an answer that is new, the call raises RolloutError with the end of the log.
    """

    def __init__(
        self,
        settings: EngineSettings,
        log: Path,
        check: Callable[[], None],
        warn: Callable[[str], None] = print,
    ) -> None:
        self._settings, self._log, self._check, self._warn = settings, log, check, warn
        self._was_ready = False
        self._losses = 0
        """Processes lost since the last answer that was new."""
        self._loaded: dict[str, tuple[int, Path]] = {}
        """Version and folder of each policy's weights, the oldest load first."""
        self._asleep = False
        self._wave: list[list[tuple[int, Request]]] = []
        """What was submitted since nothing was last pending, call by call."""
        self._pending: set[int] = set()
        self._answered: set[int] = set()
        """Requests of the wave whose answers the caller has."""
        self._again: set[int] = set()
        """Those of them that a new process works on once more."""
        self._connection = Connection(self._link(), settings, log)

    def wait_ready(self) -> None:
        """Wait until the engine has loaded. Raises RolloutError when it ends instead."""
        try:
            self._answer()
        except LostEngineError as lost:
            raise self._failure(lost) from None
        self._was_ready = True

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """As `Engine.submit`, without waiting; an error comes with the next call."""
        portion = list(requests)
        self._wave.append(portion)
        self._pending.update(number for number, _ in portion)
        self._connection.send(("submit", (portion,)))

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:
        """As `Engine.collect`."""
        new: list[tuple[int, Completion]] = []
        while True:
            # What only the process owes, and nobody waits for, is waited for here.
            done = self._call("collect", wait or not self._pending)
            fresh = [answer for answer in done if answer[0] not in self._again]
            self._again.difference_update(number for number, _ in done)
            self._answered.update(number for number, _ in fresh)
            self._pending.difference_update(number for number, _ in fresh)
            new += fresh
            if new:
                self._losses = 0
            if not done and (wait or not self._pending):
                break
            if new or not wait if self._pending else not self._again:
                break
        if not self._pending:
            self._forget_requests()
        return new

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """As `Engine.load_policy`; `folder` must stay until the next version of the policy is loaded."""
        self._do("load_policy", policy, version, folder)
        self._loaded.pop(policy, None)
        self._loaded[policy] = (version, folder)

    def forget_prompts(self) -> None:
        """As `Engine.forget_prompts`."""
        self._do("forget_prompts")

    def sleep(self) -> None:
        """As `Engine.sleep`."""
        self._do("sleep")
        self._asleep = True

    def wake(self) -> None:
        """As `Engine.wake`."""
        self._do("wake")
        self._asleep = False

    def restore(self) -> None:
        """As `Engine.restore`."""
        self._do("restore")
        self._loaded.clear()
        self._asleep = False

    def close(self) -> None:
        """End a child: ask first, kill after a second. A host stays, for who started it to end or to keep."""
        # A thread that still waits for an answer shall not take this for a loss.
        self._was_ready = False
        self._connection.close()

    def _link(self) -> Link:
        address = os.environ.get(ENGINE_HOST)
        if address is None:
            return Child(self._settings, self._log)
        try:
            return Host(address)
        except OSError as cause:
            raise self._failure(f"is not there: {cause.strerror}") from cause

    def _do(self, name: str, *arguments: Any) -> None:
        """A call that changes the engine."""
        self._call(name, *arguments)
        self._losses = 0

    def _call(self, name: str, *arguments: Any) -> Any:
        """The answer to a call, of this process or of one that takes its place."""
        while True:
            self._connection.send((name, arguments))
            try:
                return self._answer()
            except LostEngineError as lost:
                self._replace(lost)
            except RolloutError:
                # What an engine that failed does with its requests nobody knows.
                self._forget_requests()
                raise

    def _replace(self, lost: RolloutError) -> None:
        """Start a child, and bring it where the process was that is lost."""
        while True:
            self._losses += 1
            if not self._was_ready or self._losses > RESTARTS:
                raise self._failure(lost)
            self._warn(
                f"the engine process {lost}: it is started again, and {len(self._pending)} requests are "
                f"asked again; {self._log} may say why"
            )
            self._again = set(self._answered)
            try:
                child = Child(self._settings, self._log)
                self._connection = Connection(child, self._settings, self._log)
                self._answer()
                for policy, (version, folder) in self._loaded.items():
                    self._connection.send(("load_policy", (policy, version, folder)))
                    self._answer()
                for portion in self._wave:
                    self._connection.send(("submit", (portion,)))
                if self._asleep:
                    self._connection.send(("sleep", ()))
                    self._answer()
                return
            except LostEngineError as again:
                lost = again
            except (RolloutError, OSError) as again:
                # The memory of a process that was killed may not be free yet.
                self._connection.close()
                lost = RolloutError(f"could not be replaced: {again}")

    def _answer(self) -> Any:
        return self._connection.answer(self._check)

    def _forget_requests(self) -> None:
        self._wave.clear()
        for numbers in (self._pending, self._answered, self._again):
            numbers.clear()

    def _failure(self, ended: object) -> RolloutError:
        """Why there are no more answers, with what the process said last."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        lines = text.splitlines()[-LOG_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines)
        return RolloutError(
            f"the engine process {ended}; its last lines:\n{tail}",
            help=f"its whole log is {self._log}",
        )
