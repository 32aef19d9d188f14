"""Tables of plug-ins: a name stands for `module:Object`, imported on first use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar, cast

from pettingllms.errors import RefusedError

T = TypeVar("T")


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


class Registry(Mapping[str, str], Generic[T]):
    """Names and the objects behind them; knowing a name imports nothing.

    `announced`: documented names that this version does not have.
    """

    def __init__(self, kind: str, rows: Mapping[str, str], announced: Iterable[str] = ()) -> None:
        self.kind = kind
        self.announced = frozenset(announced) - rows.keys()
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> str:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, name: str) -> T:
        """Import and return the object called `name`.

        Raises RefusedError, with the nearest known name, when there is none.
        """
        if name not in self._rows:
            near = closest(name, self._rows)
            help_text = f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(self._rows))}"
            raise RefusedError(f"unknown {self.kind} {name!r}", help=help_text)
        module, _, attribute = self._rows[name].partition(":")
        return cast("T", getattr(importlib.import_module(module), attribute))
