"""Searching the web: one request to a service, within a time limit, with every way to fail named."""

from __future__ import annotations

import html
import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pettingllms.hiding import hide
from pettingllms.retrieval.passages import Fault, Passage, RetrievalError

ATTEMPTS, FIRST_WAIT = 3, 0.5
"""How often a query is sent that may be answered later, and the seconds before the second time; the next wait
is twice as long. All of it is within the time limit."""
LONGEST_ANSWER = 2**22
"""Bytes that are read of one answer."""
REMEMBERED = 4096
"""Queries whose answers are kept, so that candidates of one group are given the same."""
AGAIN: tuple[Fault, ...] = ("unreachable", "rate_limited", "server_error")
"""Faults after which the same request may be answered later."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is no answer: the key is for the host of the service."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


class WebRetriever(ABC):
    """A service on the web. `key`: sent in a header, and written nowhere; `seconds`: for one query in all."""

    name: ClassVar[str]
    address: ClassVar[str]

    def __init__(self, key: str, seconds: float) -> None:
        hide({key: f"(the key of {self.name})"})
        self._key, self._seconds = key, seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], list[Passage]] = OrderedDict()

    @abstractmethod
    def request(self, query: str, k: int, key: str) -> urllib.request.Request:
        """What is sent."""

    @abstractmethod
    def results(self, answer: Any) -> Sequence[Mapping[str, Any]]:
        """The results in what came back. Whatever is no such answer raises LookupError or TypeError."""

    @abstractmethod
    def passage(self, result: Mapping[str, Any]) -> Passage:
        """One result."""

    def search(self, query: str, k: int) -> list[Passage]:
        """Ask the service, or remember what it said. Raises RetrievalError."""
        with self._lock:
            if (query, k) in self._known:
                return self._known[query, k]
        answer = self._answer(self.request(query, k, self._key))
        try:
            found = [self.passage(result) for result in self.results(answer)][:k]
            found = [Passage(_plain(one.title), _plain(one.text)) for one in found]
        except (LookupError, TypeError, AttributeError) as cause:
            raise RetrievalError("bad_answer", f"{self.name} said what is no list of results") from cause
        with self._lock:
            self._known[query, k] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _answer(self, request: urllib.request.Request) -> Any:
        until, wait = time.monotonic() + self._seconds, FIRST_WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                body = self._fetched(request, until)
                break
            except RetrievalError as error:
                late = time.monotonic() + wait > until
                if error.kind not in AGAIN or attempt == ATTEMPTS or late:
                    raise
                time.sleep(wait)
                wait *= 2
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as cause:
            raise RetrievalError("bad_answer", f"{self.name} said what is no JSON") from cause

    def _fetched(self, request: urllib.request.Request, until: float) -> bytes:
        """The body of the answer, which another thread waits for.

        A server that sends byte by byte would keep the socket's own limit from passing.
        """
        done: queue.SimpleQueue[bytes | RetrievalError] = queue.SimpleQueue()
        left = max(0.01, until - time.monotonic())
        threading.Thread(target=lambda: done.put(_fetch(self.name, request, left)), daemon=True).start()
        try:
            found = done.get(timeout=left)
        except queue.Empty:
            raise RetrievalError("timeout", f"{self.name} said nothing in {self._seconds:g} s") from None
        if isinstance(found, RetrievalError):
            raise found
        return found


def _fetch(name: str, request: urllib.request.Request, seconds: float) -> bytes | RetrievalError:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=seconds) as answer:
            body: bytes = answer.read(LONGEST_ANSWER)
            return body
    except urllib.error.HTTPError as error:
        with error:
            return RetrievalError(_kind(error.code), f"{name} answered HTTP {error.code} {error.reason}")
    except TimeoutError:
        return RetrievalError("timeout", f"{name} said nothing in {seconds:.3g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        kind: Fault = "timeout" if isinstance(reason, TimeoutError) else "unreachable"
        return RetrievalError(kind, f"{name}: {type(reason).__name__}: {reason}")


def _kind(status: int) -> Fault:
    if status in (401, 403):
        return "key_refused"
    if status in (408, 425, 429):
        return "rate_limited"
    return "server_error" if status >= 500 else "bad_answer"


def _plain(text: Any) -> str:
    """A text without entities and halves of characters. Raises TypeError for what is none."""
    if not isinstance(text, str):
        raise TypeError(text)
    return " ".join(html.unescape(text).encode("utf-8", errors="replace").decode().split())


def json_request(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> urllib.request.Request:
    """A POST of `body` as JSON."""
    own = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    return urllib.request.Request(url, json.dumps(body).encode(), own, method="POST")
