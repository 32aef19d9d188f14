"""One conversation with an engine's process: calls go out and answers come in by threads of their own."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pettingllms.errors import LostEngineError, RolloutError
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.engine_link import LEAVE_SECONDS, Link
from pettingllms.rollout.engine_server import in_one_line

POLL_SECONDS = 0.2
SILENT_SECONDS = 8.0
"""How long an engine's process may say nothing, where it says every second that it lives."""


class Connection:
    """The conversation over `link`; it begins with `settings`, whose answer says whether an engine was built.

    `log`: where the process writes, for messages.

    Neither a pipe nor a socket can be waited for with a timeout everywhere, and a process that is stopped
    does not even take a call: two threads do that, so that no method of this waits for ever.
    """

    def __init__(self, link: Link, settings: EngineSettings, log: Path) -> None:
        self.link, self._log = link, log
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._beats = 0
        """How often the process has said that it lives; it begins when the engine is built."""
        self._process: int | None = None
        self._ended: str | None = None
        self._writer = threading.Thread(target=self._write, name="engine calls", daemon=True)
        self._reader = threading.Thread(target=self._read, name="engine answers", daemon=True)
        self._writer.start()
        self._reader.start()
        self.send(settings)

    def send(self, message: Any) -> None:
        """Send a call; whether it arrives shows in its answer."""
        self._outgoing.put(pickle.dumps(message))

    def answer(self, check: Callable[[], None]) -> Any:
        """The next answer; `check` is called while it is awaited, and what it raises ends the wait.

        Raises RolloutError when the engine could not do what it was asked for, and LostEngineError when its
        process is gone or says nothing for `SILENT_SECONDS`, which then is killed. Silence is counted in
        looks, not by the clock: this process may itself have been stopped meanwhile.
        """
        beats, silent = self._beats, 0.0
        while self._ended is None:
            check()
            try:
                answer = self._answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                silent = silent + POLL_SECONDS if self._beats == beats else 0.0
                beats = self._beats
                if self.link.ended():
                    self.close()
                elif beats and silent >= SILENT_SECONDS:
                    self.link.kill(self._process)
                    self.close()
                    self._ended = f"said nothing for {SILENT_SECONDS:g} seconds and was killed"
                continue
            if isinstance(answer, str):
                self._ended = f"{self.close()}; its answer could not be read: {answer}"
            elif answer is None:
                self.close()
            else:
                worked, value = answer
                if not worked:
                    raise RolloutError(f"the engine failed: {value}", help=f"its log is {self._log}")
                return value
        raise LostEngineError(self._ended)

    def close(self) -> str:
        """Hang up; returns what became of the process.

        A child is asked to end, and killed after a second; a host goes on.
        """
        if self._ended is not None:
            return self._ended
        self._outgoing.put(None)
        self._writer.join(LEAVE_SECONDS)
        if self._writer.is_alive():
            # Nobody takes the calls; closing their stream would wait for the writer.
            self.link.kill(self._process)
            self._writer.join()
        self._ended = self.link.end()
        self._reader.join(LEAVE_SECONDS)
        if not self._reader.is_alive():
            # It is where what the process started keeps the stream open.
            self.link.answers.close()
        return self._ended

    def _write(self) -> None:
        """Own thread: calls, until there are no more or nobody takes them."""
        try:
            while (message := self._outgoing.get()) is not None:
                self.link.calls.write(message)
                self.link.calls.flush()
        except (OSError, ValueError):
            self._answers.put(None)

    def _read(self) -> None:
        """Own thread: answers, and in between the number of the process as a sign of life.

        The last thing in the queue is None where the process hung up, or a text: why an answer is unreadable.
        """
        try:
            while True:
                answer = pickle.load(self.link.answers)
                if isinstance(answer, int):
                    self._process = answer
                    self._beats += 1
                else:
                    self._answers.put(answer)
        except (EOFError, OSError):
            self._answers.put(None)
        except Exception as error:
            # Unpickling imports and calls what the answer names; whatever goes wrong, somebody waits here.
            self._answers.put(in_one_line(error))
