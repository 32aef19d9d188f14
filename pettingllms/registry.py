"""Tables of plug-ins: a name stands for `module:Object`, imported on first use; own classes join them."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from pettingllms.errors import PettingLLMsError, RefusedError, raised_in_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z][\w.:/-]*")
_DOORS = {"pettingllms.registry", "pettingllms.trainer.multiagentssys_register", "_collections_abc"}
"""Modules that only pass on what somebody else registers."""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word most like `word`, or of which one begins the other; None without one.

    `cutoff`: how alike they must be, from 0 to 1.
    """
    words = list(known)
    matches = difflib.get_close_matches(word, words, n=1, cutoff=cutoff)
    if matches:
        return matches[0]
    begun = [one for one in words if min(len(word), len(one)) >= 3]
    begun = [one for one in begun if word.startswith(one) or (one.startswith(word) and "_" not in one)]
    return begun[0] if len(begun) == 1 else None


@dataclass(frozen=True, slots=True)
class Registration:
    """What a plug-in registered, and where: its module, file and line."""

    name: str
    value: Any
    module: str
    file: str
    line: int


class Registry(Mapping[str, str], Generic[T]):
    """Names and the objects behind them; knowing a name imports nothing.

    `announced`: documented names that this version does not have. `group`: the entry points by which
    installed packages add names; None where nobody else can. `check`: `module:function`, which says in words
    what keeps an object from standing here.

    What a plug-in registers while it is loaded is kept in `registrations`; only what the plug-ins in force
    brought has a name here (`plugged`, set by `pettingllms.plugins`). What a program registers in other
    ways has one until the process ends.
    """

    extensible: ClassVar[list[Registry[Any]]] = []
    """Those with a `group`."""
    loading: ClassVar[bool] = False
    """True while a plug-in is loaded."""

    def __init__(
        self,
        kind: str,
        rows: Mapping[str, str],
        announced: Iterable[str] = (),
        *,
        group: str | None = None,
        check: str | None = None,
    ) -> None:
        self.kind, self.group = kind, group
        self.registrations: list[Registration] = []
        self.plugged: dict[str, T] = {}
        self.imported_packages = False
        self._announced, self._check = frozenset(announced), check
        self._rows, self._own = dict(rows), dict[str, T]()
        if group is not None:
            self.extensible.append(self)

    @property
    def announced(self) -> frozenset[str]:
        """Documented names that nothing stands behind."""
        return frozenset(name for name in self._announced if name not in self._rows and not self.own(name))

    def __getitem__(self, name: str) -> str:
        if name in self._rows:
            return self._rows[name]
        value = self.own(name)
        if value is not None:
            return f"{getattr(value, '__module__', '?')}:{getattr(value, '__qualname__', '?')}"
        return self._installed[name][0].value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._rows, *self.plugged, *self._own, *self._installed]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def own(self, name: str) -> T | None:
        """The object that a plug-in in force or the program registered as `name`; None for other names."""
        return self.plugged.get(name, self._own.get(name))

    def load(self, name: str) -> T:
        """Import and return the object called `name`.

        Raises RefusedError where there is none, with the nearest known name, or where a package that brings
        it cannot be used.
        """
        if name in self._rows:
            return cast("T", _imported(self._rows[name]))
        value = self.own(name)
        if value is not None:
            return value
        if name in self._installed:
            return self._of_package(name)
        near = closest(name, self)
        help_text = f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(self))}"
        raise RefusedError(f"unknown {self.kind} {name!r}", help=help_text)

    def register(self, name: str, value: T) -> None:
        """Let `name` stand for `value`. Raises RefusedError where that cannot be."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RefusedError(f"{name!r} cannot name the {self.kind}", help="write a word such as 'mine'")
        if name in self._rows or name in self._installed:
            where = self._rows.get(name) or f"entry point of {_package(self._installed[name][0])}"
            raise RefusedError(
                f"the {self.kind} {name!r} is there already: {where}", help="choose another name"
            )
        self._refuse_improper(f"the {self.kind} {name!r}", value)
        if not Registry.loading:
            self._own[name] = value
            return
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") in _DOORS:
            frame = frame.f_back
        module = str(frame.f_globals.get("__name__"))
        made = Registration(name, value, module, frame.f_code.co_filename, frame.f_lineno)
        self.registrations.append(made)

    def overshadowed(self) -> list[str]:
        """What is wrong with entry points that no name leads to, each with both places."""
        found = []
        for name, points in self._installed.items():
            places = [f"{point.value} of the package {_package(point)}" for point in points]
            if name in self._rows:
                found += [
                    f"the {self.kind} {name!r} is {self._rows[name]}, so that {place} has no effect"
                    for place in places
                ]
            elif len(places) > 1:
                found.append(f"the {self.kind} {name!r} is {' and '.join(places)}, so that it is refused")
        return found

    def forget(self, name: str) -> None:
        """Take back what the program registered as `name`. Raises KeyError for any other name."""
        del self._own[name]

    @cached_property
    def _installed(self) -> dict[str, list[EntryPoint]]:
        """The entry points of installed packages by name; looked for when a name is not known otherwise."""
        if self.group is None:
            return {}
        from importlib.metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for one in entry_points(group=self.group):
            found.setdefault(one.name, []).append(one)
        return found

    def _of_package(self, name: str) -> T:
        points = self._installed[name]
        what = f"the {self.kind} {name!r} of the package {_package(points[0])}"
        if len(points) > 1:
            packages = " and ".join(map(_package, points))
            raise RefusedError(f"the {self.kind} {name!r} is in {packages}", help="uninstall all but one")
        self.imported_packages = True
        try:
            value = cast("T", _imported(points[0].value))
        except PettingLLMsError:
            raise
        except (Exception, SystemExit) as error:
            help_text = "mend or reinstall the package"
            raise RefusedError(f"{what} cannot be loaded: {raised_in_line(error)}", help=help_text) from error
        self._refuse_improper(what, value)
        return value

    def _refuse_improper(self, what: str, value: object) -> None:
        fault = None if self._check is None else _imported(self._check)(value)
        if fault is not None:
            raise RefusedError(f"{what} {fault}", help="docs/environments.md has a complete example")


def _imported(row: str) -> Any:
    module, _, attribute = row.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
