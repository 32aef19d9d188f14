"""Where a value comes from: every layer that touched it, and the references that it went through."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pettingllms.compose.overrides import Schema
from pettingllms.compose.reference_grammar import GrammarError, parse_text
from pettingllms.compose.references import source_of
from pettingllms.compose.referred import referred
from pettingllms.compose.resolution import Resolution
from pettingllms.compose.secrets import REDACTED, is_secret_path, redacted, secret_texts, shown
from pettingllms.compose.special_values import special_kind
from pettingllms.compose.tree import MISSING, Tree, Write, get
from pettingllms.documents.source import KeyPath, Place, dotted
from pettingllms.errors import UsageError
from pettingllms.registry import closest

MAX_STEPS = 64

Kind = Literal["default", "file", "override", "deleted", "reference", "environment", "sweep"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a value; `value` as it may be shown.

    `path`: what the step is about: the key itself, or the key that a reference names. `name`: the
    file, the override, the reference or the environment variable. `included`: the entries of
    defaults lists that led to the file, outermost first; `package`: where the file was mounted.
    `depth`: how many references lie between the key and this step.
    """

    kind: Kind
    path: KeyPath
    name: str
    value: Any = None
    place: Place | None = None
    included: tuple[Place, ...] = ()
    package: KeyPath = ()
    note: str | None = None
    depth: int = 0
    wins: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """One leaf: its effective value as it may be shown, and its steps, lowest precedence first.

    `state`: `set`; `default` where only the schema gives a value; `unset` where nothing does;
    `broken` where a reference has no value.
    """

    path: KeyPath
    value: Any
    state: Literal["set", "default", "unset", "broken"]
    steps: tuple[Step, ...] = field(default=())

    @property
    def winner(self) -> Step | None:
        """The layer whose value counts."""
        return next((step for step in self.steps if step.wins), None)


def read_path(text: str) -> KeyPath:
    """The key path that `text` names, written as in overrides. Raises UsageError."""
    try:
        node: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else {}
    except (ValueError, RecursionError):
        node = {}
    path: list[str | int] = []
    while isinstance(node, dict) and len(node) == 1:
        key, node = next(iter(node.items()))
        path.append(key)
    if node != 0:
        raise UsageError(f"{text!r} is not a path of keys", help="write it as section.key")
    return tuple(path)


def explain(tree: Tree, resolution: Resolution, path: KeyPath, schema: Schema) -> list[Explanation]:
    """Explain the value at `path`; for a section, every leaf below it.

    `tree` is the composed tree, `resolution` the same with swept values at their defaults and
    references resolved. Raises UsageError where there is no such key.
    """
    explainer = _Explainer(tree, resolution, schema)
    path = _with_indexes(resolution.data, path)
    value = get(resolution.data, path)
    if isinstance(value, dict) and value:
        return [explainer.leaf(below) for below in _leaves(value, path)]
    if value is MISSING and path not in tree.history and schema.kinds(path) is None:
        raise _unknown(path, tree, resolution, schema)
    return [explainer.leaf(path)]


class _Explainer:
    def __init__(self, tree: Tree, resolution: Resolution, schema: Schema) -> None:
        self.tree, self.resolution, self.schema = tree, resolution, schema
        self.hidden = secret_texts(resolution.data)
        self.redacted = redacted(resolution.data, resolution)

    def leaf(self, path: KeyPath) -> Explanation:
        value, default = get(self.resolution.data, path), self.schema.default(path)
        steps = list(self.layers(path))
        steps += self.references(path, 1, set())
        state: Literal["set", "default", "unset", "broken"] = "set"
        if path in self.resolution.broken:
            state = "broken"
        elif value is MISSING:
            state, value = ("unset", None) if default is None else ("default", default)
        return Explanation(path, self.effective(path, value), state, tuple(steps))

    def layers(self, path: KeyPath) -> Iterator[Step]:
        """The schema's default, then everything that wrote `path` or a value around it."""
        writes = self.writes(path)
        present = get(self.resolution.data, path) is not MISSING
        last = max((index for index, write in enumerate(writes) if write.value is not MISSING), default=None)
        default = self.schema.default(path)
        if default is not None:
            value = self.shown(path, default)
            yield Step("default", path, "schema default", value, wins=not present or last is None)
        for index, write in enumerate(writes):
            layer, deleted = write.layer, write.value is MISSING
            yield Step(
                "deleted" if deleted else layer.kind,
                path,
                self.name(path, write),
                None if deleted else self.shown(path, write.value),
                write.place,
                layer.included,
                layer.package,
                layer.note,
                wins=present and index == last,
            )

    def writes(self, path: KeyPath) -> list[Write]:
        """Everything that gave `path`, or a value around it, what it holds, lowest precedence first."""
        found: list[Write] = []
        for length in range(1, len(path) + 1):
            around = self.tree.history.get(path[:length], ())
            found += [replace(write, value=_inside(write.value, path[length:])) for write in around]
        found.sort(key=lambda write: write.order)
        first = next((n for n, write in enumerate(found) if write.value is not MISSING), len(found))
        # What takes away a key that nobody had set is no part of its story.
        return found[first:]

    def references(self, path: KeyPath, depth: int, seen: set[KeyPath]) -> Iterator[Step]:
        """The sweep or the references that the value at `path` goes through, each with what it leads to."""
        if path in seen or depth > MAX_STEPS:
            return
        seen.add(path)
        at, raw = self.raw(path)
        if special_kind(raw) == "sweep" and isinstance(raw, dict):
            values = self.shown(path, raw)
            yield Step("sweep", at, str(raw.get("sweep")), values, self.tree.place(at), depth=depth)
        if not isinstance(raw, str) or "${" not in raw:
            return
        rest = path[len(at) :]
        for text, target in self.targets(at, raw):
            if isinstance(target, str):
                yield Step("environment", at, target, text, self.tree.place(at), depth=depth)
                continue
            there = (*target, *rest)
            value = get(self.resolution.data, there)
            place = None if value is MISSING else self.tree.place(self.raw(there)[0])
            value = None if value is MISSING else self.effective(there, value)
            yield Step("reference", there, text, value, place, depth=depth)
            yield from self.references(there, depth + 1, seen)

    def raw(self, path: KeyPath) -> tuple[KeyPath, Any]:
        """What is written at `path`, or the reference above it that brings it, and where that stands."""
        for length in range(len(path), 0, -1):
            raw = get(self.tree.data, path[:length])
            if raw is not MISSING:
                return path[:length], raw
        return path, MISSING

    def targets(self, path: KeyPath, raw: str) -> list[tuple[str, KeyPath | str]]:
        """Each reference in `raw` with the path that it names, and each environment variable by its name."""
        if path in self.resolution.origins:
            return [(self.text(raw), self.resolution.origins[path])]
        try:
            found = list(referred(parse_text(raw), path))
        except (GrammarError, RecursionError):
            return []
        return [
            (self.text(text), _with_indexes(self.resolution.data, to) if isinstance(to, tuple) else to)
            for text, to in found
        ]

    def shown(self, path: KeyPath, value: Any) -> Any:
        return shown(None if value == {"null": True} else _plain(value), path, self.hidden)

    def effective(self, path: KeyPath, value: Any) -> Any:
        """The resolved value, or the reference in its place where it comes from the environment."""
        environment = self.resolution.from_environment
        source = source_of(path, self.resolution.origins)
        if source in environment:
            return self.shown(path, environment[source])
        known = get(self.redacted, path)
        if isinstance(known, (dict, list)):
            return known
        above = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in environment), None)
        return self.shown(path, value if above is None else environment[above])

    def text(self, text: str) -> str:
        return str(shown(text, (), self.hidden))

    def name(self, path: KeyPath, write: Write) -> str:
        if write.layer.kind == "override" and is_secret_path(path) and write.value is not MISSING:
            return f"{dotted(path)}={REDACTED}"
        return self.text(write.layer.name)


def _inside(value: Any, rest: KeyPath) -> Any:
    """What a value that was written around a key says about the key at `rest` in it."""
    if not rest or isinstance(value, str) or value is MISSING:
        return value
    if special_kind(value) == "sweep":
        return get(value.get("default", MISSING), rest)
    return get(value, rest)


def _with_indexes(data: Any, path: KeyPath) -> KeyPath:
    """`path` with numbers where it names items of lists."""
    found: list[str | int] = []
    for part in path:
        if isinstance(data, list) and isinstance(part, str) and part.isdecimal():
            part = int(part)  # noqa: PLW2901
        found.append(part)
        data = get(data, (part,))
    return tuple(found)


def _leaves(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path


def _plain(value: Any) -> Any:
    """A default of the schema as plain data."""
    dump = getattr(value, "model_dump", None)
    return dump() if dump is not None else value


def _unknown(path: KeyPath, tree: Tree, resolution: Resolution, schema: Schema) -> UsageError:
    near = closest(dotted(path), [dotted(leaf) for leaf in _leaves(resolution.data, ())])
    advice = schema.advice(path, tree.data) or (f"did you mean {near}?" if near else None)
    return UsageError(f"there is no key {dotted(path)}", help=advice)
