"""Several engines behind the protocol of one: each request goes to the engine that serves its policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent import futures
from pathlib import Path

from pettingllms.rollout.engine import Engine
from pettingllms.types import Completion, Request

Answers = list[tuple[int, Completion]]


class Engines:
    """The engines of a run as one.

    An engine is used by one thread at a time: that of the caller while only one has something to do, else
    each by a thread that waits for it. What is submitted to one that is at work is handed over when it
    comes back, which it does after a moment.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        """`engines`: by policy; policies that share an engine have the same object."""
        self._of = dict(engines)
        self._all = list({id(engine): engine for engine in self._of.values()}.values())
        self._pending: list[set[int]] = [set() for _ in self._all]
        """Requests that each engine owes an answer."""
        self._later: list[list[tuple[int, Request]]] = [[] for _ in self._all]
        """Requests that were not handed over yet."""
        self._working: dict[futures.Future[Answers], int] = {}
        """What engines are doing in threads, and which engine does it."""
        self._threads = futures.ThreadPoolExecutor(len(self._all), "engine")

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Deal the requests to the engines of their policies."""
        for one in requests:
            place = self._place(one[1].policy)
            self._later[place].append(one)
            self._pending[place].add(one[0])
        self._hand_over()

    def collect(self, wait: bool = True) -> Answers:
        """What any of the engines has done."""
        self._hand_over()
        busy = [place for place, pending in enumerate(self._pending) if pending]
        if len(busy) == 1 and not self._working:
            return self._done(busy[0], self._all[busy[0]].collect(wait))
        done: Answers = []
        while not done and any(self._pending):
            self._hand_over()
            for place in set(busy) - set(self._working.values()):
                if self._pending[place]:
                    self._working[self._threads.submit(self._all[place].collect, False)] = place
            done = self._finished()
            if not wait:
                break
        return done

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """As `Engine.load_policy`, in the policy's engine."""
        self._all[self._place(policy)].load_policy(policy, version, folder)

    def forget_prompts(self) -> None:
        """As `Engine.forget_prompts`, in all engines."""
        for engine in self._all:
            engine.forget_prompts()

    def sleep(self) -> None:
        """As `Engine.sleep`, in all engines."""
        for engine in self._all:
            engine.sleep()

    def wake(self) -> None:
        """As `Engine.wake`, in all engines."""
        for engine in self._all:
            engine.wake()

    def restore(self) -> None:
        """As `Engine.restore`, in all engines."""
        for engine in self._all:
            engine.restore()

    def close(self) -> None:
        """Close all engines, also after one could not be."""
        try:
            for engine in self._all:
                engine.close()
        finally:
            self._threads.shutdown(wait=False)

    def _place(self, policy: str) -> int:
        return self._all.index(self._of[policy])

    def _hand_over(self) -> None:
        """Submit what waits for engines that no thread uses."""
        for place in set(range(len(self._all))) - set(self._working.values()):
            if self._later[place]:
                self._all[place].submit(self._later[place])
                self._later[place] = []

    def _finished(self) -> Answers:
        """Wait until at least one engine comes back; the answers of all that did."""
        done: Answers = []
        for future in futures.wait(self._working, return_when=futures.FIRST_COMPLETED).done:
            done += self._done(self._working.pop(future), future.result())
        return done

    def _done(self, place: int, answers: Answers) -> Answers:
        self._pending[place] -= {number for number, _ in answers}
        return answers
