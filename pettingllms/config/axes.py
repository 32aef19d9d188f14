"""Swept values of a composed file: the axes that sweep tables make, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from pettingllms.compose.special_values import special_kind
from pettingllms.compose.tree import MISSING, Layer, Tree, get
from pettingllms.config.fields import annotation_at, did_you_mean
from pettingllms.config.ranges import Range
from pettingllms.config.repair import reworded
from pettingllms.config.shape import AXIS, MAX_ADVICE, MISSING_KEY, UNKNOWN_KEY, shape_findings, written
from pettingllms.config.sweep import AXES
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.registry import closest

INVALID_OVERRIDE, BAD_RANGE, SWEPT_TWICE = "PLM009", "PLM405", "PLM414"
SPACE: KeyPath = ("sweep", "space")
NOT_SWEPT = ("sweep", "format", "defaults", "plugins")
"""Root keys of which nothing can be swept: they are read before there is a cell."""
Kind = Literal["choice", "int", "float"]
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = re.compile(rf"{_KEY}(?:\.{_KEY})*")
_FORMS = {
    "choice": '{ sweep = "choice", values = […], default = … }',
    "int": '{ sweep = "int", low = …, high = …, default = … }',
    "float": '{ sweep = "float", low = …, high = …, default = … }',
}


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept value.

    `path`: where its values take effect; `home`: where it is written, below `sweep.space` in the second
    form. `values`: what a grid tries, in order; None where that has no end, or is too much to list.
    `when`: the condition under which it is swept; `zip`: the name of axes that move together.
    """

    path: KeyPath
    values: tuple[Any, ...] | None
    default: Any
    home: KeyPath = ()
    kind: Kind = "choice"
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False
    points: int | None = None
    when: str | None = None
    zip: str | None = None

    def __post_init__(self) -> None:
        if not self.home:
            object.__setattr__(self, "home", self.path)

    @property
    def range(self) -> Range | None:
        """The range of an axis of numbers."""
        if self.low is None or self.high is None:
            return None
        return Range(self.low, self.high, self.step, self.log, self.points, self.kind == "int")

    @property
    def count(self) -> int | None:
        """How many values a grid tries; None where they have no end."""
        if self.values is not None:
            return len(self.values)
        return self.range.count() if self.range else None


@dataclass(frozen=True, slots=True)
class Axes:
    """What the sweep tables of a file are.

    `faulty`: paths of those that are no axis. `fixed`: paths that an override gives one value instead.
    """

    axes: tuple[Axis, ...]
    faulty: frozenset[KeyPath]
    fixed: tuple[KeyPath, ...]
    findings: list[Finding]


def axes_of(tree: Tree, tables: Mapping[KeyPath, dict[str, Any]]) -> Axes:
    """Read the sweep `tables` of `tree`, which stand at these paths.

    `[sweep.space]` is taken out of the tree's data: its tables then stand at the paths that they name,
    over whatever a file set there.
    """
    reader = _Reader(tree, tables)
    reader.read()
    return Axes(tuple(reader.axes), frozenset(reader.faulty), tuple(reader.fixed), reader.findings)


class _Reader:
    def __init__(self, tree: Tree, tables: Mapping[KeyPath, dict[str, Any]]) -> None:
        self.tree, self.tables = tree, tables
        self.axes: list[Axis] = []
        self.faulty: set[KeyPath] = set()
        self.findings: list[Finding] = []
        changed = [path for path, writes in tree.history.items() if writes[-1].layer.kind == "override"]
        self.overridden = set(changed)
        self.overridden_below = {path[:n]: path for path in changed for n in range(1, len(path))}
        self.fixed = [path for path in tree.history if self.was_axis(path) and self.is_overridden(path)]
        # What is swept in place, and every section that holds a swept value, each with the home of an axis.
        self.taken = {path: path for path in tables if path[: len(SPACE)] != SPACE}
        self.holding = {path[:n]: path for path in self.taken for n in range(1, len(path))}

    def was_axis(self, path: KeyPath) -> bool:
        """True where a file sweeps `path` in place, and the composed tree does not."""
        writes = self.tree.history[path]
        swept = any(special_kind(write.value) == "sweep" for write in writes)
        return swept and path not in self.tables and path[0] not in NOT_SWEPT

    def is_overridden(self, path: KeyPath) -> bool:
        return any(path[:n] in self.overridden for n in range(1, len(path) + 1))

    def read(self) -> None:
        targets: dict[KeyPath, KeyPath] = {}
        space = get(self.tree.data, SPACE)
        if isinstance(space, dict):
            targets = dict(self.space(space, SPACE, ()))
        placed: dict[KeyPath, KeyPath] = {}
        for home, table in self.tables.items():
            inside = any(home[:n] in self.tables for n in range(1, len(home)))
            if home[: len(SPACE)] != SPACE or inside:
                faults, path = list(self.in_place(home, inside)), home
            elif home not in targets:
                continue
            elif self.is_overridden(targets[home]):
                self.fixed.append(targets[home])
                continue
            else:
                path = targets[home]
                faults = list(self.elsewhere(home, path))
            axis, wrong = (None, []) if faults else _axis(path, home, table)
            self.findings += [*faults, *wrong]
            if axis is None:
                self.faulty |= {home} if faults else {home, path}
                continue
            if home != path and not self.put(home, path, table):
                continue
            if home != path:
                placed[home] = path
            self.axes.append(axis)
        self.carry_spans(placed)
        if isinstance(space, dict):
            del self.tree.data["sweep"]["space"]

    def in_place(self, home: KeyPath, inside: bool) -> Iterator[Finding]:
        if inside or home[0] in NOT_SWEPT:
            where = "inside another swept value" if inside else "here"
            yield Finding(home, f"{dotted(home)} cannot be swept: no axis may stand {where}", code=AXIS)

    def space(self, node: dict[str, Any], home: KeyPath, path: KeyPath) -> Iterator[tuple[KeyPath, KeyPath]]:
        """Home and path of every swept value at or below a table of `[sweep.space]`."""
        for key, value in node.items():
            here = (*home, key)
            if not _PATH.fullmatch(key):
                self.findings.append(
                    Finding(here, f"{key!r} is not a key", "write section.key", at_key=True, code=AXIS)
                )
                continue
            there = (*path, *(word.strip("\"'") for word in re.findall(_KEY, key)))
            if special_kind(value) == "sweep":
                yield here, self.with_indexes(there)
            elif isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
                yield from self.space(value, here, there)
            else:
                self.findings.append(_no_axis(here, there, value))

    def with_indexes(self, path: KeyPath) -> KeyPath:
        """`path` with whole numbers as the keys of lists."""
        found: KeyPath = ()
        for part in path:
            index = isinstance(get(self.tree.data, found), list) and str(part).isdecimal()
            found = (*found, int(part) if index else part)
        return found

    def elsewhere(self, home: KeyPath, path: KeyPath) -> Iterator[Finding]:
        """Why nothing can be swept at `path` by a table at `home`."""
        if path[0] in NOT_SWEPT:
            message = f"{dotted(path)} cannot be swept: no axis may stand there"
            yield Finding(home, message, at_key=True, code=AXIS)
            return
        if annotation_at(path) is None and get(self.tree.data, path) is MISSING:
            message = f"there is no key {dotted(path)}"
            advise = len(self.findings) < MAX_ADVICE
            help_text = did_you_mean(path, self.tree.data) if advise else None
            yield Finding(home, message, help=help_text, at_key=True, code=UNKNOWN_KEY)
            return
        around = (path[:n] for n in range(1, len(path) + 1))
        other = next((self.taken[part] for part in around if part in self.taken), self.holding.get(path))
        if other is not None:
            where = f"{dotted(other)} ({self.tree.place(other)})"
            message = f"{dotted(path)} is swept twice: here and as {where}"
            yield Finding(home, message, help="remove one of them", at_key=True, code=SWEPT_TWICE)
        elif path in self.overridden_below:
            below = self.overridden_below[path]
            message = f"{dotted(below)} lies in {dotted(path)}, which {dotted(home)} sweeps whole"
            place, help_text = self.tree.place(below), f"override it whole: {dotted(path)}=…"
            yield Finding(below, message, help=help_text, place=place, code=INVALID_OVERRIDE)
        self.taken.setdefault(path, home)
        for length in range(1, len(path)):
            self.holding.setdefault(path[:length], home)

    def put(self, home: KeyPath, path: KeyPath, table: dict[str, Any]) -> bool:
        """Put the table at `path`, making the sections above it; False, with a finding, if that cannot be."""
        node: Any = self.tree.data
        for length, part in enumerate(path[:-1], start=1):
            below = get(node, (part,))
            if below is MISSING or below is None:
                node[part] = below = {}
            below = self.tree.expand_reference(path[:length], below)
            if not isinstance(below, (dict, list)):
                message = f"{dotted(path)} cannot be swept: {dotted(path[:length])} is not a section"
                self.findings.append(Finding(home, message, at_key=True, code=AXIS))
                return False
            node = below
        if isinstance(node, list) and get(node, path[-1:]) is MISSING:
            message = f"{dotted(path)} cannot be swept: the list has {len(node)} items"
            self.findings.append(Finding(home, message, at_key=True, code=AXIS))
            return False
        node[path[-1]] = table
        layer = self.tree.layer(home) or Layer("file", self.tree.source.name)
        self.tree.record(path, layer, self.tree.place(home), table)
        return True

    def carry_spans(self, placed: Mapping[KeyPath, KeyPath]) -> None:
        """Let what stands at a path of `[sweep.space]` be found where it is written."""
        paths, spans = set(placed.values()), {}
        for known, span in self.tree.spans.items():
            parts = [known[:n] for n in range(1, len(known) + 1)]
            if paths.isdisjoint(parts):
                spans[known] = span
            home = next((part for part in parts if part in placed), None)
            if home is not None:
                spans[(*placed[home], *known[len(home) :])] = span
        if placed:
            self.tree.spans = spans


def _no_axis(home: KeyPath, path: KeyPath, value: Any) -> Finding:
    """What is said of something else than a swept value in `[sweep.space]`."""
    first = str(next(iter(value), "")) if isinstance(value, dict) else ""
    near = closest(first, ["sweep"]) if first else None
    message = f"{dotted(home)} = {written(value)} is no swept value"
    help_text = f"did you mean {near} instead of {first}?" if near else f"write {_FORMS['choice']}"
    if not isinstance(value, dict):
        help_text = f"a value that is not swept stands at {dotted(path)}"
    return Finding(home, message, help=help_text, code=AXIS)


def _axis(path: KeyPath, home: KeyPath, table: dict[str, Any]) -> tuple[Axis | None, list[Finding]]:
    """The axis that `table` makes; None, and what is wrong, where it makes none."""
    kind = table["sweep"]
    if not isinstance(kind, str) or kind not in AXES:
        message = f"{dotted(home)}.sweep = {written(kind)} is no kind of axis: {', '.join(AXES)}"
        near = closest(kind, AXES) if isinstance(kind, str) else None
        help_text = f'did you mean "{near}"?' if near else f"write {_FORMS['choice']}"
        fix = reworded((*home, "sweep"), near) if near else None
        return None, [Finding((*home, "sweep"), message, help=help_text, code=AXIS, fix=fix)]
    model = AXES[kind]
    try:
        model.model_validate(table)
    except ValidationError as error:
        return None, _as_axis_faults(shape_findings(error, table, model, home), kind)
    when, together = table.get("when"), table.get("zip")
    if kind == "choice":
        return Axis(path, tuple(table["values"]), table["default"], home, when=when, zip=together), []
    whole = kind == "int"
    convert = int if whole else float
    low, high, default = convert(table["low"]), convert(table["high"]), convert(table["default"])
    step = None if table.get("step") is None else convert(table["step"])
    numbers = Range(low, high, step, table.get("log", False), table.get("points"), whole)
    fault = numbers.fault()
    if fault is not None:
        key, what, advice = fault
        message = f"{dotted(path)}: {what}"
        return None, [Finding((*home, key), message, help=advice, code=BAD_RANGE)]
    axis = Axis(
        path,
        numbers.values(),
        default,
        home,
        "int" if whole else "float",
        low,
        high,
        step,
        numbers.log,
        numbers.points,
        when,
        together,
    )
    return axis, []


def _as_axis_faults(findings: list[Finding], kind: str) -> list[Finding]:
    """Faults of shape as those of an axis; a key that is missing because it is misspelt is said once."""
    meant = {finding.help for finding in findings if finding.code == UNKNOWN_KEY}
    found = []
    for finding in findings:
        missing = finding.code == MISSING_KEY
        if not missing or f"did you mean {finding.path[-1]}?" not in meant:
            help_text = f"write {_FORMS[kind]}" if missing else finding.help
            found.append(replace(finding, help=help_text, code=AXIS))
    return found
