"""A reflecting model behind an OpenAI-compatible endpoint, asked over the standard library."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.errors import ReflectionError

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same request may be answered later."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the second attempt; each further wait is twice as long."""
LONGEST_ANSWER = 2**22
"""Bytes that are read of one answer."""
POLL_SECONDS = 0.2
SHOWN = 300
"""Characters that an error shows of what the endpoint said."""


class _UnansweredError(Exception):
    """An attempt without an answer. `again`: whether another one may have it."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is no answer: the key is for the host that the file names."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


@dataclass(frozen=True, slots=True)
class EndpointReflector:
    """Asks `model` at `url` + `/chat/completions`, one prompt after the other.

    `key`: the API key, sent as a bearer token. `timeout`: seconds for one answer. `attempts`: how often it
    is asked where nothing comes of it. `temperature`: no unit. `max_tokens`: of an answer. `check`: called
    while an answer is awaited; what it raises ends the wait.
    """

    url: str
    model: str
    key: str | None
    timeout: float
    attempts: int
    temperature: float
    max_tokens: int
    check: Callable[[], None]

    def answers(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One answer per prompt. Raises ReflectionError where the endpoint gives none."""
        return [self._answer(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _answer(self, prompt: str, seed: int) -> str:
        request = self._request(prompt, seed)
        wait, why = FIRST_WAIT, ""
        for attempt in range(1, self.attempts + 1):
            if attempt > 1:
                self._pause(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            try:
                return _text_of(self._fetched(request))
            except _UnansweredError as failure:
                why = str(failure)
                if not failure.again:
                    break
        times = "once" if attempt == 1 else f"{attempt} times"
        raise ReflectionError(
            f"the reflecting model {self.model!r} at {self.url} gave no answer, asked {times}: {why}",
            help="see training.prompt.reflection_url, reflection_model and reflection_key_variable; "
            "the run goes on from its last step when it is resumed",
        )

    def _request(self, prompt: str, seed: int) -> urllib.request.Request:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )

    def _fetched(self, request: urllib.request.Request) -> bytes:
        """The body of the answer; another thread waits for it, so that a stop request need not."""
        done: queue.SimpleQueue[bytes | _UnansweredError] = queue.SimpleQueue()
        threading.Thread(target=lambda: done.put(_fetch(request, self.timeout)), daemon=True).start()
        until = time.monotonic() + self.timeout
        while True:
            self.check()
            try:
                found = done.get(timeout=POLL_SECONDS)
            except queue.Empty:
                # A server that sends byte by byte keeps the socket's own limit from passing.
                if time.monotonic() > until:
                    raise _UnansweredError(f"no answer within {self.timeout:g} s", again=True) from None
                continue
            if isinstance(found, _UnansweredError):
                raise found
            return found

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, POLL_SECONDS))


def _fetch(request: urllib.request.Request, timeout: float) -> bytes | _UnansweredError:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout) as answer:
            body: bytes = answer.read(LONGEST_ANSWER)
            return body
    except urllib.error.HTTPError as error:
        with error:
            said = " ".join(error.read(SHOWN).decode(errors="replace").split())
        return _UnansweredError(
            f"HTTP {error.code} {error.reason} {said}".rstrip(), again=error.code in AGAIN
        )
    except TimeoutError:
        return _UnansweredError(f"no answer within {timeout:g} s", again=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no connection within {timeout:g} s"
        return _UnansweredError(str(reason) or type(error).__name__, again=True)


def _text_of(body: bytes) -> str:
    """The text of the first choice of a chat completion."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str):
        said = " ".join(body[:SHOWN].decode(errors="replace").split())
        raise _UnansweredError(f"it said what is no chat completion: {said or 'nothing'}", again=True)
    return text
