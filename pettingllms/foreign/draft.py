"""An experiment in the making: its keys, swept values and `[sweep]`, and what could not be taken over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.overrides import Schema
from pettingllms.documents.outline import Table
from pettingllms.documents.outline_data import Spelled
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.foreign.functions import Interval, Range, Sweep
from pettingllms.foreign.grammar import GrammarFault, Node, Scalar

NULL = {"null": True}
_KINDS = {str: "text", int: "integer", float: "number", bool: "boolean", list: "list", dict: "table"}
_NUMBER = re.compile(r"[+-]?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?")
_ENVIRONMENT = re.compile(r"\$\{oc\.env:[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Note:
    """What people should know about an import; `left_out`: something of the source is not in the file."""

    message: str
    line: int = 0
    left_out: bool = False


@dataclass(slots=True)
class Draft:
    """What is known of the experiment.

    `head`: comments at its top. `base`: a file whose keys and comments stay, below `tree`. `chosen`:
    entries of `defaults` that choose other files than those which it brings in.
    """

    schema: Schema
    head: list[str] = field(default_factory=list)
    defaults: list[Any] = field(default_factory=list)
    chosen: list[Any] = field(default_factory=list)
    tree: dict[str, Any] = field(default_factory=dict)
    axes: dict[KeyPath, dict[str, Any]] = field(default_factory=dict)
    sweep: dict[str, Any] = field(default_factory=dict)
    sweep_comments: list[str] = field(default_factory=list)
    base: Table | None = None
    notes: list[Note] = field(default_factory=list)
    seen: set[Note] = field(default_factory=set, repr=False)

    def say(self, message: str, line: int = 0, *, comment: bool = False) -> None:
        """Note `message`; with `comment` it stands in the file as well."""
        note = Note(message, line)
        if note not in self.seen:
            self.seen.add(note)
            self.notes.append(note)
            if comment:
                self.head.append(message)

    def moved(self, line: int, message: str) -> None:
        """Note what the form of TOML changes in `base`."""
        if line:
            self.say(message, line)

    def leave_out(self, what: str, why: str, line: int = 0) -> None:
        """Note that `what` is not in the file, there too."""
        message = f"{what}: {why}"
        self.notes.append(Note(message, line, left_out=True))
        where = f" (line {line})" if line else ""
        self.head.append(f"Left out{where}: {message}")

    def put(self, path: KeyPath, value: Any, line: int = 0) -> None:
        """Set the plain value, or the table of a swept one, at `path`."""
        node = self.tree
        for length, part in enumerate(path[:-1], start=1):
            below = node.setdefault(str(part), {})
            if not isinstance(below, dict) or is_special(below):
                self.leave_out(dotted(path), f"{dotted(path[:length])} was given a value of its own", line)
                return
            node = below
        key, known = str(path[-1]), node.get(str(path[-1]))
        if isinstance(known, dict) and known and not is_special(known) and not isinstance(value, dict):
            self.leave_out(dotted(path), "keys below it were set before", line)
            return
        if known is not None and not (isinstance(known, dict) and isinstance(value, dict)):
            self.say(f"{dotted(path)} is given twice; the last value counts", line)
        plain = isinstance(value, dict) and not is_special(value)
        if plain and isinstance(known, dict) and not is_special(known):
            for name, item in value.items():
                self.put((*path, name), item, line)
            return
        node[key] = value
        self.axes.pop(path, None)
        if is_special(value) and "sweep" in value:
            self.axes[path] = value

    def value(self, path: KeyPath, node: Node) -> Any:
        """The value that `node` is at `path`, as the schema wants it there."""
        if isinstance(node, list):
            return [self.value((*path, index), item) for index, item in enumerate(node)]
        if isinstance(node, dict):
            return {key: self.value((*path, key), item) for key, item in node.items()}
        return dict(NULL) if node.value is None else self._scalar(self.schema.kinds(path), node)

    def _scalar(self, kinds: frozenset[str] | None, node: Scalar) -> Any:
        kind = _KINDS[type(node.value)]
        if node.quoted:
            return node.value
        if kinds is not None and kind not in kinds and "text" in kinds:
            return node.text
        if kind == "text" and (kinds is None or "text" not in kinds):
            return _decoded(node)
        if kind == "integer" and kinds is not None and "integer" not in kinds and "number" in kinds:
            return float(node.value)
        return _spelled(node)

    def axis(self, path: KeyPath, sweep: Sweep, *, inclusive: bool = False) -> dict[str, Any]:
        """The table of a swept value. `inclusive`: ranges hold their end, as Hydra's Optuna sweeper has it.

        Raises GrammarFault where it has no form.
        """
        if isinstance(sweep, Interval):
            return self.span(path, sweep.start, sweep.end, log=sweep.log)
        if isinstance(sweep, Range) and inclusive and sweep.step > 0 and sweep.remark is None:
            return self.span(path, sweep.start, sweep.stop, step=sweep.step)
        nodes = sweep.values() if isinstance(sweep, Range) else sweep.values
        values = [self.value(path, node) for node in nodes]
        if not values:
            raise GrammarFault("it has no values")
        return {"sweep": "choice", "values": values, "default": values[0]}

    def span(
        self, path: KeyPath, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> dict[str, Any]:
        """The table of a range of numbers, whole where the schema wants that. Raises GrammarFault."""
        kinds = self.schema.kinds(path) or frozenset()
        whole = all(float(number).is_integer() for number in (low, high, step or 1))
        as_integer = whole and ("integer" in kinds or (not kinds and isinstance(low, int)))
        only_fractions = "number" in kinds and "integer" not in kinds
        integer = as_integer and not only_fractions
        if not low <= high or not high - low < float("inf"):
            raise GrammarFault(f"it goes from {low} to {high}")
        convert = int if integer else float
        table: dict[str, Any] = {"sweep": "int" if integer else "float"}
        table |= {"low": convert(low), "high": convert(high)}
        if step is not None and (not integer or step != 1):
            table["step"] = convert(step)
        if log:
            table["log"] = True
        return table | {"default": convert(low)}


def is_special(value: Any) -> bool:
    """True for a table that stands for a null or a swept value."""
    return isinstance(value, dict) and next(iter(value), None) in ("null", "sweep")


def _spelled(node: Scalar) -> Any:
    if isinstance(node.value, float) and _NUMBER.fullmatch(node.text) and "_" not in node.text:
        return Spelled(node.value, node.text.lstrip("+"))
    return node.value


def _decoded(node: Scalar) -> Any:
    """An environment variable where no text is wanted: its text is read as the value that it is."""
    if isinstance(node.value, str) and _ENVIRONMENT.fullmatch(node.value):
        return f"${{oc.decode:{node.value}}}"
    return node.value
