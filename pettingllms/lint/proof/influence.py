"""Which axes can change what: the swept values that a key, and a rule that reads it, depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.compose.expressions import Call, Expression, Reference
from pettingllms.compose.reference_grammar import GrammarError, parse_text
from pettingllms.compose.referred import constant, inside, referred
from pettingllms.config.axes import Axis
from pettingllms.config.key_rows import reading_depends_on
from pettingllms.config.load import Draft
from pettingllms.documents.source import KeyPath
from pettingllms.lint.rule import Rule, overlap
from pettingllms.space.expressions import ExpressionError, parse

AxisSet = frozenset[int]
NOTHING: AxisSet = frozenset()


class Influence:
    """For every key path the axes, by their number, that can change the value at, below or above it.

    Found from the text alone, so that it holds for every cell: a swept value depends on its axis and on
    what its `when` names; a text with references on what they name; a key with another spelling on the
    key that it stands for. A reference whose own name is computed may lead anywhere, so that it depends
    on every axis.
    """

    def __init__(self, draft: Draft) -> None:
        self._everything: AxisSet = frozenset(range(len(draft.axes)))
        self.touched: dict[KeyPath, AxisSet] = {}
        names: dict[KeyPath, set[KeyPath] | None] = {}
        for number, axis in enumerate(draft.axes):
            self.touched[axis.path] = frozenset({number})
            names[axis.path] = _names_of_axis(axis)
        if draft.axes:
            at_axes = set(self.touched)
            for path, text in _texts(draft.tree.data, (), at_axes):
                names[path] = _names(text, path)
            for path, others in reading_depends_on(draft.tree.data, at_axes).items():
                known = names.setdefault(path, set())
                names[path] = None if known is None else known | others
        self._spread(names)
        self._known: dict[KeyPath, AxisSet] = {}

    def of(self, path: KeyPath) -> AxisSet:
        """The axes that can change the value at `path`."""
        if path not in self._known:
            self._known[path] = self._of(path)
        return self._known[path]

    def of_rule(self, rule: Rule) -> AxisSet:
        """The axes that can change what `rule` finds."""
        found = [axes for path, axes in self.touched.items() if any(overlap(path, r) for r in rule.reads)]
        return NOTHING.union(*found)

    def _of(self, path: KeyPath) -> AxisSet:
        return NOTHING.union(*(axes for known, axes in self.touched.items() if overlap(known, path)))

    def _spread(self, names: Mapping[KeyPath, set[KeyPath] | None]) -> None:
        """Follow references until nothing new depends on an axis."""
        followers: dict[KeyPath, list[KeyPath]] = {path: [] for path in names}
        for path, named in names.items():
            if named is None:
                self.touched[path] = self._everything
            for name in named or ():
                for other in names:
                    if overlap(other, name):
                        followers[other].append(path)
        waiting = list(self.touched)
        while waiting:
            path = waiting.pop()
            for follower in followers[path]:
                before = self.touched.get(follower, NOTHING)
                if not self.touched[path] <= before:
                    self.touched[follower] = before | self.touched[path]
                    waiting.append(follower)


def _texts(node: Any, path: KeyPath, leave_out: set[KeyPath]) -> Iterator[tuple[KeyPath, str]]:
    """Every text with a reference, by its path; swept values are left out."""
    if isinstance(node, str):
        if "${" in node:
            yield path, node
    elif isinstance(node, dict | list) and path not in leave_out:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _texts(value, (*path, key), leave_out)


def _names(text: str, path: KeyPath) -> set[KeyPath] | None:
    """The keys that a text at `path` refers to; None where that depends on values."""
    try:
        expression = parse_text(text)
    except GrammarError:
        return set()
    if _is_computed(expression):
        return None
    return {name for _, name in referred(expression, path) if isinstance(name, tuple)}


def _is_computed(expression: Expression) -> bool:
    """True where a name inside the expression is put together from values, or a text is decoded."""
    if isinstance(expression, Reference) and not all(isinstance(part, str) for part in expression.parts):
        return True
    if isinstance(expression, Call) and expression.name == ("oc", "decode"):
        # The text that is decoded may itself hold references.
        return True
    if isinstance(expression, Call) and expression.name == ("oc", "select"):
        return not expression.arguments or constant(expression.arguments[0]) is None
    return any(map(_is_computed, inside(expression)))


def _names_of_axis(axis: Axis) -> set[KeyPath] | None:
    """What the value at an axis depends on besides the axis."""
    found: set[KeyPath] = set()
    for _, text in _texts([*(axis.values or ()), axis.default], (), set()):
        named = _names(text, axis.path)
        if named is None:
            return None
        found |= named
    if axis.when is not None:
        try:
            found |= parse(axis.when).paths
        except ExpressionError:
            return found
    return found
