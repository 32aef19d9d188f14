"""What a rule is: one function whose docstring is its page, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.facts import Facts


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule looks at: one typed cell, the tree as it was set, the machine where it is known.

    `packages`: where files were mounted. `unchecked`: what a rule could not check, and why, in words.
    """

    config: ExperimentConfig
    data: dict[str, Any]
    facts: Facts | None
    packages: frozenset[KeyPath] = frozenset()
    unchecked: set[str] = field(default_factory=set)

    def is_set(self, path: KeyPath) -> bool:
        """True where the file or an override sets `path` to something other than null."""
        return get(self.data, path) not in (MISSING, None)

    def first_set(self, *paths: KeyPath) -> KeyPath:
        """The first of `paths` that is set, else the last one."""
        return next((path for path in paths if self.is_set(path)), paths[-1])


Check = Callable[[Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `reads`: the key paths that it looks at, `*` for any key of a freely named section; it is run again
    only where one of them changes. `check` is None where loading finds the fault. `blocks`: no run
    starts, though the experiment may be right.
    """

    code: str
    name: str
    severity: Severity
    reads: tuple[KeyPath, ...]
    page: str
    check: Check | None
    blocks: bool = False


RULES: dict[str, Rule] = {}


def overlap(path: KeyPath, read: KeyPath) -> bool:
    """True where one is at, below or above the other; `*` in `read` is any key."""
    return all(other in (one, "*") for one, other in zip(path, read, strict=False))


def rule(
    code: str, name: str, severity: Severity, reads: Sequence[str], *, blocks: bool = False
) -> Callable[[Check], Check]:
    """Register a rule; its docstring becomes its page."""

    def register(check: Check) -> Check:
        paths = tuple(tuple(path.split(".")) for path in reads)
        _add(Rule(code, name, severity, paths, _page(check), check, blocks))
        return check

    return register


def loading_rule(
    code: str, name: str, severity: Severity, *, blocks: bool = False
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register the page of a fault that is found while a file is read and typed."""

    def register(description: Callable[[], None]) -> Callable[[], None]:
        _add(Rule(code, name, severity, (), _page(description), None, blocks))
        return description

    return register


def _add(new: Rule) -> None:
    if new.code in RULES:
        raise ValueError(f"two rules are numbered {new.code}")
    RULES[new.code] = new


def _page(function: Callable[..., Any]) -> str:
    import inspect

    return inspect.cleandoc(function.__doc__ or "")
