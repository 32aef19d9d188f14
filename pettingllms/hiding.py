"""Secrets of this process: texts that may appear in none of its output, and streams that leave them out."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHORTEST, SHORTEST_NUMBER = 5, 6
"""Shorter texts and numbers hide nothing, and would be found among other words."""
WORDS = {"error", "errors", "warning", "warnings"}
"""Words of every report."""

_USER = re.compile(r"(://[^/@:?#\s]*):[^/?#\s]*@")
_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&#\s]*")
_hidden: dict[str, str] = {}


def hide(secrets: Mapping[str, str]) -> None:
    """From now on write what `secrets` maps a text to in its place."""
    _hidden.update(forms(secrets))


def without_passwords(text: str) -> str:
    """Return `text` with `***` for the password of each URL in it, behind the user or in the query."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1:***@", text))


def not_in_the_open(secrets: Mapping[str, str], spoken: Collection[str]) -> dict[str, str]:
    """`secrets` without those that are `spoken`, or that the command line or the current folder show."""
    seen = [*sys.argv, str(Path.cwd())]
    kept = (text for text in secrets if text not in spoken and not any(text in word for word in seen))
    return {text: secrets[text] for text in kept}


def forms(secrets: Mapping[str, str]) -> dict[str, str]:
    """Each text that is long enough to be a secret, also line by line and as programs quote it."""
    found: dict[str, str] = {}
    for text, shown in secrets.items():
        quoted = (repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        path = (os.path.normpath(text),) if "/" in text else ()
        for form in (text, *text.splitlines(), *quoted, *path):
            if worth_hiding(form):
                found[form] = shown
    return found


def worth_hiding(text: str) -> bool:
    """True where `text` is long enough to be a secret, and no word of every report."""
    return len(text) >= (SHORTEST_NUMBER if text.isdecimal() else SHORTEST) and text not in WORDS


def hidden(text: str) -> str:
    """Return `text` with what stands for each secret of this process in its place."""
    return replaced(text, _hidden)


def replaced(text: str, secrets: Mapping[str, str]) -> str:
    """Return `text` with each of `secrets` replaced where it stands as a word, longer ones first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret in text:
            shown = secrets[secret].replace("\\", "\\\\")
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", shown, text)
    return text


@contextmanager
def in_the_open() -> Iterator[None]:
    """Write what follows as it is: data that was redacted by its paths."""
    before = dict(_hidden)
    _hidden.clear()
    try:
        yield
    finally:
        _hidden.update(before)


class HidingStream:
    """A text stream that writes no secret; in all else the stream that it was made of."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` without secrets; return how much of it was taken."""
        self._stream.write(hidden(text) if _hidden else text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write every line without secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_output() -> None:
    """Let standard output and standard error of this process leave secrets out."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, HidingStream):
            setattr(sys, name, HidingStream(stream))
