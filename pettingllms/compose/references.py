"""`${a.b.c}`: references to other values of the same tree, each fault kept to its own string."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.registry import closest

UNKNOWN, CYCLE, NOT_AVAILABLE = "PLM201", "PLM202", "PLM203"
MAX_CHAIN = 64
MAX_DEPTH = 64
MAX_TEXT = 1_000_000
MAX_VALUES = 100_000


@dataclass(slots=True)
class Resolution:
    """A tree without references, and what is known about them.

    `origins`: path of each value that is one whole reference → path of what it refers to.
    `broken`: paths whose reference failed; their text is still in `data`.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


class _BrokenError(Exception):
    """A reference has no value; its finding was recorded."""


def resolve_references(data: dict[str, Any]) -> Resolution:
    r"""Return `data` with every reference replaced by the value at its absolute path.

    A string that is one reference takes the value itself, whole sections too; inside a longer
    string the value is written as text. `\${` is a plain `${`.
    """
    resolver = _Resolver(data)
    try:
        resolver.result.data = {key: resolver.node((key,), value) for key, value in data.items()}
    except RecursionError:
        resolver.result.data = data
        message = "references and sections are nested too deeply"
        resolver.result.findings.append(Finding((), message, code=NOT_AVAILABLE))
    return resolver.result


class _Resolver:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.result = Resolution()
        self.done: dict[KeyPath, Any] = {}
        self.active: list[KeyPath] = []
        self.copied = 0

    def node(self, path: KeyPath, raw: Any) -> Any:
        """The resolved value of `raw`, which stands at `path`."""
        if isinstance(raw, dict):
            return {key: self.node((*path, key), value) for key, value in raw.items()}
        if isinstance(raw, list):
            return [self.node((*path, index), value) for index, value in enumerate(raw)]
        if not isinstance(raw, str) or "${" not in raw:
            return raw
        if path not in self.done:
            self.done[path] = self.string(path, raw)
        return self.done[path]

    def string(self, path: KeyPath, raw: str) -> Any:
        if path in self.result.broken:
            return raw
        if path in self.active:
            raise self.cycle(path)
        self.active.append(path)
        try:
            return self.expand(path, raw)
        except _BrokenError:
            self.result.broken.add(path)
            return raw
        finally:
            self.active.pop()

    def expand(self, path: KeyPath, raw: str) -> Any:
        parts = list(self.parse(path, raw))
        if len(parts) == 1 and isinstance(parts[0], tuple):
            target = parts[0]
            value = self.lookup(path, target)
            self.result.origins[path] = target
            below = [broken for broken in self.result.broken if broken[: len(target)] == target]
            self.result.broken.update((*path, *broken[len(target) :]) for broken in below)
            self.measure(path, value)
            return value
        text = "".join(part if isinstance(part, str) else self.text_of(path, part) for part in parts)
        if len(text) > MAX_TEXT:
            raise self.fault(path, NOT_AVAILABLE, f"references here make more than {MAX_TEXT} characters")
        return text

    def measure(self, path: KeyPath, value: Any) -> None:
        """Refuse copies that together grow without bound: each reference may double what it copies."""
        waiting = [(value, len(path))] if isinstance(value, (dict, list)) else []
        while waiting:
            item, depth = waiting.pop()
            self.copied += 1
            if self.copied > MAX_VALUES or depth > MAX_DEPTH:
                limit = f"{MAX_VALUES} values" if depth <= MAX_DEPTH else f"{MAX_DEPTH} levels"
                raise self.fault(path, NOT_AVAILABLE, f"the references of this file make more than {limit}")
            if isinstance(item, (dict, list)):
                below = item.values() if isinstance(item, dict) else item
                waiting.extend((child, depth + 1) for child in below)

    def text_of(self, path: KeyPath, target: KeyPath) -> str:
        value = self.lookup(path, target)
        if isinstance(value, (dict, list)):
            what = "section" if isinstance(value, dict) else "list"
            message = f"{dotted(target)} is a {what}, which cannot be part of a text"
            raise self.fault(path, NOT_AVAILABLE, message, "let the reference be the whole value")
        return str(value)

    def parse(self, path: KeyPath, raw: str) -> Iterator[str | KeyPath]:
        """Split `raw` into plain texts and the paths that it refers to."""
        position = 0
        for match in re.finditer(r"(\\)?\$\{", raw):
            if match.start() < position:
                continue
            if match.start() > position:
                yield raw[position : match.start()]
            if match.group(1):
                yield "${"
                position = match.end()
                continue
            end = _closing_brace(raw, match.end())
            if end is None:
                message = "a reference is not closed: } is missing"
                raise self.fault(path, NOT_AVAILABLE, message, "write \\${ for the plain characters ${")
            yield self.target(path, raw[match.end() : end].strip())
            position = end + 1
        if position < len(raw):
            yield raw[position:]

    def target(self, path: KeyPath, inside: str) -> KeyPath:
        why = None
        if "${" in inside:
            why = "a reference inside a reference"
        elif ":" in inside:
            why = f"the resolver {inside.partition(':')[0]!r}"
        elif inside.startswith("."):
            why = "a relative reference"
        if why is not None:
            message = f"${{{inside}}}: {why} is not available in this version"
            raise self.fault(path, NOT_AVAILABLE, message, "write the value, or a plain ${section.key}")
        keys = re.sub(r"\[([^\[\].]+)\]", r".\1", inside).split(".")
        if not all(keys):
            message = f"${{{inside}}} is not a path of keys"
            raise self.fault(path, NOT_AVAILABLE, message, "write it as ${section.key}")
        return tuple(keys)

    def lookup(self, path: KeyPath, keys: KeyPath) -> Any:
        """The resolved value at `keys`, followed through references on the way."""
        value: Any = self.data
        where: KeyPath = ()
        for depth, key in enumerate(keys):
            part: str | int = key
            if isinstance(value, list) and isinstance(key, str) and key.isdecimal():
                part = int(key)
            value = get(value, (part,))
            if value is MISSING:
                raise self.unknown(path, keys, depth)
            where = (*where, part)
            if isinstance(value, str) and "${" in value:
                value = self.follow(where, value)
        return self.follow(where, value)

    def follow(self, where: KeyPath, value: Any) -> Any:
        if len(self.active) > MAX_CHAIN:
            message = f"more than {MAX_CHAIN} references follow each other"
            raise self.fault(self.active[-1], NOT_AVAILABLE, message)
        resolved = self.node(where, value)
        if where in self.result.broken:
            raise _BrokenError
        return resolved

    def cycle(self, where: KeyPath) -> _BrokenError:
        chain = self.active[self.active.index(where) :]
        self.result.broken.update(chain)
        words = " → ".join(dotted(step) for step in [*chain, where])
        return self.fault(where, CYCLE, f"references run in a circle: {words}", "give one of them a value")

    def unknown(self, path: KeyPath, keys: KeyPath, depth: int) -> _BrokenError:
        parent = get_through(self.data, keys[:depth])
        near = closest(str(keys[depth]), [str(key) for key in parent]) if isinstance(parent, dict) else None
        known = [*keys[:depth], near, *keys[depth + 1 :]] if near else None
        suggestion = dotted(tuple(k for k in known if k is not None)) if known else None
        if suggestion is None:
            suggestion = closest(dotted(keys), [dotted(key) for key in _leaves(self.data)])
        inside = dotted(keys)
        message = f"${{{inside}}}: this file has no key {inside} (InterpolationKeyError)"
        help_text = f"did you mean ${{{suggestion}}}?" if suggestion else "refer to a key that this file sets"
        return self.fault(path, UNKNOWN, message, help_text)

    def fault(self, path: KeyPath, code: str, message: str, help_text: str | None = None) -> _BrokenError:
        self.result.findings.append(Finding(path, message, help=help_text, code=code))
        return _BrokenError()


def source_of(path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> KeyPath:
    """Follow references at or above `path` to where its value was written; `path` itself without any."""
    for _ in range(len(origins)):
        above = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in origins), None)
        if above is None:
            break
        path = (*origins[above], *path[len(above) :])
    return path


def get_through(data: Any, keys: KeyPath) -> Any:
    """Return the raw value at `keys`, where list items are named by their digits."""
    for key in keys:
        index = isinstance(data, list) and str(key).isdecimal()
        data = get(data, (int(key) if index else key,))
    return data


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return None


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path
