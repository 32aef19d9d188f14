"""`${…}`: references to other values of the same tree, each fault kept to its own string."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pettingllms.compose.evaluation import (
    CYCLE,
    NOT_AVAILABLE,
    UNKNOWN_REFERENCE,
    BrokenError,
    Evaluator,
    Marks,
    Outcome,
)
from pettingllms.compose.reference_grammar import GrammarError, parse_text
from pettingllms.compose.resolution import Fallback, Resolution, get_through, source_of, spread
from pettingllms.compose.tree import get
from pettingllms.documents.source import Finding, KeyPath, dotted

__all__ = ["UNKNOWN_REFERENCE", "Fallback", "Resolution", "get_through", "resolve_references", "source_of"]

MAX_CHAIN = 64
MAX_DEPTH = 64
MAX_VALUES = 100_000
# Frames of the interpreter's stack that resolving may take, of the 1000 that there are.
MAX_FRAMES = 700


def resolve_references(data: dict[str, Any], environment: Mapping[str, str] | None = None) -> Resolution:
    r"""Return `data` with every reference replaced by the value it stands for, as OmegaConf resolves it.

    A string that is one reference takes the value itself, whole sections too; inside a longer string
    the value is written as text. Paths are absolute, and relative with leading dots, from where the
    string is written. `\${` is a plain `${`. Unlike OmegaConf, a section in a longer text is a fault.
    `environment`: what `oc.env` reads, the process's own by default.
    """
    resolver = _Resolver(data, os.environ if environment is None else environment)
    result = resolver.result
    try:
        result.data = resolver.node((), data)
    except RecursionError:
        result.data = data
        result.findings.append(Finding((), "sections are nested too deeply", code=NOT_AVAILABLE))
    targets = {path: outcome.target for path, outcome in resolver.done.items() if outcome.target is not None}
    secret = {path for path, outcome in resolver.done.items() if outcome.environment}
    if secret or result.broken:
        spread(data, result, targets, secret)
        result.origins = {path: to for path, to in result.origins.items() if path not in result.broken}
    return result


class _Resolver:
    """Resolves strings on demand and each once; `done` and `contents` are by the path of the string."""

    def __init__(self, data: dict[str, Any], environment: Mapping[str, str]) -> None:
        self.data = data
        self.environment = environment
        self.result = Resolution()
        self.done: dict[KeyPath, Outcome] = {}
        self.contents: dict[KeyPath, tuple[Any, Marks]] = {}
        self.active: list[KeyPath] = []
        self.marks = [Marks()]
        self.evaluator = Evaluator(self)
        self.frames = 0
        self.copied = 0

    def node(self, path: KeyPath, raw: Any) -> Any:
        """The resolved value of `raw`, which is written at `path`."""
        if isinstance(raw, str):
            return self.leaf(path, raw) if "${" in raw else raw
        if not isinstance(raw, dict | list):
            return raw
        self.deeper(1)
        resolved: Any = {} if isinstance(raw, dict) else [None] * len(raw)
        for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
            resolved[key] = self.node((*path, key), value)
        self.frames -= 1
        return resolved

    def deeper(self, frames: int) -> None:
        if self.frames + frames > MAX_FRAMES and self.active:
            raise self.fault(self.active[-1], "references and sections are nested too deeply")
        self.frames += frames

    def leaf(self, path: KeyPath, raw: str) -> Any:
        """The value of the string at `path`; the string itself where it is broken."""
        frames = self.frames
        try:
            outcome = self.string(path, raw)
            if path not in self.contents:
                self.contents[path] = self.content(path, outcome)
        except BrokenError:
            self.frames = frames
            if path in self.active:
                raise
            self.result.broken.add(path)
        if path in self.result.broken:
            self.marks[-1].broken = True
            return raw
        value, marks = self.contents[path]
        self.marks[-1].add(marks)
        return value

    def string(self, path: KeyPath, raw: str) -> Outcome:
        """What the string at `path` stands for, not yet looked into where that is a section."""
        if path in self.result.broken:
            raise BrokenError
        if path not in self.done:
            self.done[path] = self.evaluated(path, raw)
        outcome = self.done[path]
        self.marks[-1].environment |= outcome.environment
        return outcome

    def evaluated(self, path: KeyPath, raw: str) -> Outcome:
        marks = self.enter(path)
        frames = self.frames
        try:
            outcome = self.evaluator.evaluate(path, parse_text(raw))
            if isinstance(outcome.value, dict | list):
                self.measure(path, outcome.value)
            if marks.broken:
                raise BrokenError
        except BrokenError:
            self.result.broken.add(path)
            raise
        except GrammarError as error:
            self.result.broken.add(path)
            raise self.fault(path, str(error), error.help) from None
        except RecursionError:
            self.result.broken.add(path)
            raise self.fault(path, "references are nested too deeply") from None
        finally:
            self.frames = frames
            self.leave()
        if outcome.asked is not None:
            self.result.origins[path] = outcome.asked
        return Outcome(outcome.value, outcome.target, outcome.asked, marks.environment)

    def enter(self, path: KeyPath) -> Marks:
        if path in self.active:
            raise self.cycle(path)
        if len(self.active) > MAX_CHAIN:
            raise self.fault(self.active[-1], f"more than {MAX_CHAIN} references follow each other")
        self.active.append(path)
        self.marks.append(Marks())
        return self.marks[-1]

    def leave(self) -> None:
        self.active.pop()
        self.marks.pop()

    def content(self, path: KeyPath, outcome: Outcome) -> tuple[Any, Marks]:
        """The value that the string at `path` takes, resolved all through, and what was met in it."""
        if outcome.target is None:
            return outcome.value, Marks()
        raw = get(self.data, outcome.target)
        if not isinstance(raw, dict | list):
            return raw, Marks()
        if self.copied > MAX_VALUES:
            raise BrokenError
        marks = self.enter(path)
        frames = self.frames
        try:
            self.deeper(3)
            value = self.node(outcome.target, raw)
            self.measure(path, value)
        except RecursionError:
            raise self.fault(path, "sections and references are nested too deeply") from None
        finally:
            self.frames = frames
            self.leave()
        return value, marks

    def measure(self, path: KeyPath, value: Any) -> None:
        """Refuse copies that together grow without bound: each reference may double what it copies."""
        waiting = [(value, len(path))]
        while waiting:
            item, depth = waiting.pop()
            told = self.copied > MAX_VALUES
            self.copied += 1
            if told:
                raise BrokenError
            if self.copied > MAX_VALUES or depth > MAX_DEPTH:
                limit = f"{MAX_VALUES} values" if depth <= MAX_DEPTH else f"{MAX_DEPTH} levels"
                raise self.fault(path, f"the references of this file make more than {limit}")
            if isinstance(item, dict | list):
                below = item.values() if isinstance(item, dict) else item
                waiting.extend((child, depth + 1) for child in below)

    def cycle(self, where: KeyPath) -> BrokenError:
        chain = self.active[self.active.index(where) :]
        self.result.broken.update(chain)
        words = " → ".join(dotted(at) for at in [*chain, where])
        message = f"references run in a circle: {words}"
        return self.fault(where, message, "give one of them a value", code=CYCLE)

    def fault(
        self, path: KeyPath, message: str, help_text: str | None = None, *, code: str = NOT_AVAILABLE
    ) -> BrokenError:
        self.result.findings.append(Finding(path, message, help=help_text, code=code))
        return BrokenError()
