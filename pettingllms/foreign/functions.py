"""Hydra's functions on values: sweeps (`choice`, `range`, `interval`), casts, `sort`, `shuffle` and `tag`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pettingllms.foreign.grammar import Call, GrammarFault, Node, Scalar, parse_value

MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Several values. `remark`: what is not kept of them."""

    values: tuple[Node, ...]
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """`range(start, stop, step)`."""

    start: int | float
    stop: int | float
    step: int | float = 1
    remark: str | None = None

    def values(self) -> list[Scalar]:
        """Its numbers, `stop` excluded; exact for decimal steps."""
        whole = all(isinstance(number, int) for number in (self.start, self.stop, self.step))
        start, stop, step = (Decimal(str(number)) for number in (self.start, self.stop, self.step))
        if step == 0:
            raise GrammarFault("the step of range(…) is 0")
        found: list[Scalar] = []
        while (start < stop) if step > 0 else (start > stop):
            number = int(start) if whole else float(start)
            found.append(Scalar(number, str(number)))
            start += step
            if len(found) > MAX_VALUES:
                raise GrammarFault(f"range(…) makes more than {MAX_VALUES} values")
        return found


@dataclass(frozen=True, slots=True)
class Interval:
    """`interval(start, end)`. `log`: drawn evenly over the logarithm."""

    start: int | float
    end: int | float
    log: bool = False
    remark: str | None = None


Sweep = Choice | Range | Interval


def read_value(text: str) -> Node | Sweep:
    """The value or sweep that `text` is; a comma outside brackets makes a choice. Raises GrammarFault."""
    nodes = [evaluate(node) for node in parse_value(text)]
    if len(nodes) == 1:
        return nodes[0]
    return _choice(nodes)


def evaluate(node: Node) -> Node | Sweep:
    """`node` with its calls evaluated. Raises GrammarFault."""
    if isinstance(node, list):
        return [_element(evaluate(item)) for item in node]
    if isinstance(node, dict):
        return {key: _element(evaluate(item)) for key, item in node.items()}
    if not isinstance(node, Call):
        return node
    if node.name not in _FUNCTIONS:
        raise GrammarFault(f"{node.name}(…) is no function of Hydra")
    arguments = [evaluate(argument) for argument in node.arguments]
    named = {name: evaluate(argument) for name, argument in node.named}
    try:
        return _FUNCTIONS[node.name](arguments, named)
    except (TypeError, ValueError, OverflowError, ArithmeticError, IndexError) as cause:
        raise GrammarFault(f"{node.name}(…): {cause}") from None


def _element(node: Node | Sweep) -> Node:
    if isinstance(node, Sweep):
        raise GrammarFault("a sweep stands inside a list or a table")
    return node


def _choice(nodes: Sequence[Node]) -> Choice:
    return Choice(tuple(_element(node) for node in nodes))


def _make_choice(arguments: list[Any], named: dict[str, Any]) -> Choice:
    if named or not arguments:
        raise GrammarFault("choice(…) needs values")
    if len(arguments) == 1 and isinstance(arguments[0], Choice):
        return arguments[0]
    return _choice(arguments)


def _number(node: Any) -> int | float:
    value = node.value if isinstance(node, Scalar) else node
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise GrammarFault(f"{getattr(node, 'text', node)} is no number")
    return value


def _bound(arguments: list[Any], named: dict[str, Any], names: Sequence[str]) -> dict[str, int | float]:
    given = dict(zip(names, arguments, strict=False)) | named
    if len(arguments) > len(names) or not set(given) <= set(names):
        raise GrammarFault(f"it takes {', '.join(names)}")
    return {name: _number(node) for name, node in given.items()}


def _make_range(arguments: list[Any], named: dict[str, Any]) -> Range:
    given = _bound(arguments, named, ("start", "stop", "step"))
    if "stop" not in given:
        given = {"step": 1, **given, "start": 0, "stop": given["start"]}
    return Range(given["start"], given["stop"], given.get("step", 1))


def _make_interval(arguments: list[Any], named: dict[str, Any]) -> Interval:
    given = _bound(arguments, named, ("start", "end"))
    if len(given) < 2:
        raise GrammarFault("interval(…) takes start, end")
    return Interval(float(given["start"]), float(given["end"]))


def _single(arguments: list[Any], named: dict[str, Any], names: Sequence[str]) -> Any:
    """The one argument of a function; several values are a choice."""
    values = [*arguments, *(named[name] for name in names if name in named)]
    if not values:
        raise GrammarFault("it needs a value")
    return values[0] if len(values) == 1 else _choice(values)


def _tag(arguments: list[Any], named: dict[str, Any]) -> Sweep:
    *tags, sweep = [*arguments, *named.values()]
    if not isinstance(sweep, Sweep):
        raise GrammarFault("tag(…) ends with a sweep")
    words = [tag.text for tag in tags if isinstance(tag, Scalar)]
    rest = [word for word in words if word != "log"]
    remark = f"the tag {', '.join(rest)} has no meaning here" if rest else sweep.remark
    if isinstance(sweep, Interval) and "log" in words:
        return dataclasses.replace(sweep, log=True, remark=remark)
    return dataclasses.replace(sweep, remark=remark)


def _shuffle(arguments: list[Any], named: dict[str, Any]) -> Node | Sweep:
    value = _single(arguments, named, ("list", "sweep"))
    if isinstance(value, list):
        raise GrammarFault("a list in random order has no fixed value; write the order")
    if isinstance(value, (Choice, Range)):
        return dataclasses.replace(value, remark="the values keep their order; they are not shuffled")
    raise GrammarFault("only lists and values are shuffled")


def _sort(arguments: list[Any], named: dict[str, Any]) -> Node | Sweep:
    backwards = bool(named["reverse"].value) if "reverse" in named else False
    value = _single(arguments, named, ("list", "sweep"))
    if isinstance(value, list):
        return sorted(value, key=_sort_key, reverse=backwards)
    if isinstance(value, Choice):
        return dataclasses.replace(
            value, values=tuple(sorted(value.values, key=_sort_key, reverse=backwards))
        )
    if isinstance(value, Range):
        return _choice(sorted(value.values(), key=_sort_key, reverse=backwards))
    raise GrammarFault("only lists and values are sorted")


def _sort_key(node: Any) -> Any:
    return node.value if isinstance(node, Scalar) else node


def _cast(convert: Callable[[Any], Any]) -> Callable[[list[Any], dict[str, Any]], Node | Sweep]:
    def cast(arguments: list[Any], named: dict[str, Any]) -> Node | Sweep:
        return apply(_single(arguments, named, ("value",)))

    def apply(node: Any) -> Any:
        if isinstance(node, Scalar):
            made = convert(node.value)
            return Scalar(made, str(made), quoted=isinstance(made, str))
        if isinstance(node, list):
            return [apply(item) for item in node]
        if isinstance(node, dict):
            return {key: apply(item) for key, item in node.items()}
        if isinstance(node, Choice):
            return dataclasses.replace(node, values=tuple(apply(item) for item in node.values))
        if convert not in (int, float):
            raise GrammarFault("numbers of a range are cast to int or float only")
        numbers = {
            field.name: convert(getattr(node, field.name))
            for field in dataclasses.fields(node)
            if field.name not in ("log", "remark")
        }
        return dataclasses.replace(node, **numbers)

    return cast


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise GrammarFault(f"{value!r} is neither true nor false")
        return value.lower() == "true"
    return bool(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _glob(_arguments: list[Any], _named: dict[str, Any]) -> Node:
    raise GrammarFault("glob(…) stands for names of files, which only a look into the group's folder shows")


_FUNCTIONS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "choice": _make_choice,
    "range": _make_range,
    "interval": _make_interval,
    "tag": _tag,
    "shuffle": _shuffle,
    "sort": _sort,
    "glob": _glob,
    "int": _cast(int),
    "float": _cast(float),
    "str": _cast(_text),
    "bool": _cast(_boolean),
}
