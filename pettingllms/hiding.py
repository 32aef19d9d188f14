"""Secrets of this process: texts that may appear in none of its output, and streams that leave them out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

SHORTEST, SHORTEST_NUMBER = 5, 6
"""Shorter texts and numbers hide nothing, and would be found inside other words."""

_hidden: dict[str, str] = {}


def hide(secrets: Mapping[str, str]) -> None:
    """From now on write what `secrets` maps a text to in its place."""
    _hidden.update({text: shown for text, shown in secrets.items() if worth_hiding(text)})


def worth_hiding(text: str) -> bool:
    """True where `text` is long enough to be a secret."""
    return len(text) >= (SHORTEST_NUMBER if text.isdecimal() else SHORTEST)


def hidden(text: str) -> str:
    """Return `text` with what stands for each secret in its place, longer secrets first."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, _hidden[secret])
    return text


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
