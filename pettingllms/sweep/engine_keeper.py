"""The engine of a run or a sweep: started ahead of each trial's launcher, kept between trials.

The engine lives in a process beside those of a trial, as they end with the trial. It is kept after a trial
that completed, where the next one needs the same engine. After any other its state is in doubt and it is
ended, as it is with this process, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.errors import LauncherError
from pettingllms.process import ENGINE_HOST
from pettingllms.sweep.launch import launch_environment
from pettingllms.sweep.process_group import ProcessGroup
from pettingllms.sweep.slots import WHOLE_MACHINE, Slot
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial

HOST = "pettingllms.rollout.engine_host"
"""The module that keeps an engine; it says how it is spoken to."""
POLL_SECONDS = 0.05
ANSWER_SECONDS = 60.0
"""How long an engine may take to restore its weights before another is started."""
LEAVE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class EngineKeeper:
    """A context with at most one engine process, and none when it is left. It keeps to `slot`.

    `while_waiting` is called now and then while an engine that was kept takes its time to answer.
    """

    def __init__(self, slot: Slot = WHOLE_MACHINE, while_waiting: Callable[[], None] = lambda: None) -> None:
        self._slot, self._while_waiting = slot, while_waiting
        self._host: _Host | None = None

    def prepare(self, trial: Trial, stop: StopRequest) -> dict[str, str]:
        """Have an engine for `trial`; returns the variables by which its worker finds it.

        There is none for a trial of several processes, or of several engines: those start their own. Nor is
        another started after a stop request. Raises LauncherError when the process cannot be started.
        """
        config = trial.config
        if config.launch.num_processes > 1 or len(engine_groups(config, plan_policies(config))) > 1:
            self.end()
            return {}
        if self._host is not None and (why := self._host.refuses(trial, stop, self._while_waiting)):
            self.end()
            if stop.signal is not None:
                return {}
            (trial.folder / "engine.log").write_text(f"not the engine of the trial before: {why}\n")
        if self._host is None:
            self._host = _Host(trial, self._slot)
        return {ENGINE_HOST: f"{self._host.token}@{self._host.path}"}

    def end(self) -> None:
        """End the engine, if there is one; warns where the system keeps it alive all the same."""
        if self._host is not None:
            host, self._host = self._host, None
            try:
                host.end()
            except LauncherError as error:
                # What the trials came to is worth more.
                _log.warning("warning: the engine did not end: %s", error)

    def __enter__(self) -> EngineKeeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


class _Host:
    """A process that keeps an engine, at first that of `trial`.

    Only this user can connect to its socket at `path`, and it listens only to who knows the `token`.
    """

    def __init__(self, trial: Trial, slot: Slot) -> None:
        # Others cannot look into such a folder.
        self._folder = tempfile.TemporaryDirectory(prefix="pettingllms-")
        self.path = str(Path(self._folder.name) / "engine")
        self.token = secrets.token_hex()
        self._owner = socket.socket(socket.AF_UNIX)
        with ExitStack() as undo, socket.socket(socket.AF_UNIX) as listener:
            undo.callback(self._folder.cleanup)
            undo.callback(self._owner.close)
            self._bind(listener)
            listener.listen()
            self._owner.connect(self.path)
            self._tell(self.token)
            self._tell(str(trial.folder))
            self._group = ProcessGroup(
                [sys.executable, "-m", HOST],
                launch_environment(trial.config, os.environ, slot.core_count) | slot.environment,
                trial.folder / "engine.log",
                stdin=listener.fileno(),
                cores=slot.cores,
            )
            undo.pop_all()

    def refuses(self, trial: Trial, stop: StopRequest, while_waiting: Callable[[], None]) -> str:
        """Why this process cannot serve `trial`; empty when it can."""
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            self._tell(str(trial.folder))
            while not select.select([self._owner], [], [], POLL_SECONDS)[0]:
                if stop.signal is not None or time.monotonic() > deadline:
                    return "it did not answer"
                while_waiting()
            # The answer is written in one piece that any socket takes whole.
            answer = self._owner.recv(1 << 16)
        except ConnectionError:
            answer = b""
        return str(json.loads(answer)) if answer else "it has ended"

    def end(self) -> None:
        """Hang up; the process is killed, with all that it started, where it does not end then."""
        self._owner.close()
        deadline = time.monotonic() + LEAVE_SECONDS
        while self._group.exit_status() is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        try:
            self._group.end()
        finally:
            with suppress(OSError):
                self._folder.cleanup()

    def _bind(self, listener: socket.socket) -> None:
        try:
            listener.bind(self.path)
        except OSError as cause:
            raise LauncherError(
                f"the engine's socket {self.path} cannot be made: {cause}",
                help="name another folder for temporary files in TMPDIR; its path must be short",
            ) from cause

    def _tell(self, text: str) -> None:
        self._owner.sendall(json.dumps(text).encode() + b"\n")
