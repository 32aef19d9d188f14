"""What pydantic found wrong with a tree, said in our own words and at the right keys."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.fields import alternatives, annotation_at, describe, did_you_mean, listing
from pettingllms.config.model import ConfigModel, OptionError
from pettingllms.config.repair import counted, known_as, nearest, renamed, retyped, reworded
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.registry import closest

UNKNOWN_KEY, MISSING_KEY, WRONG_TYPE, BAD_VALUE, AXIS = "PLM003", "PLM004", "PLM005", "PLM006", "PLM401"

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "greater than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
MAX_ADVICE = 200
"""Unknown keys that get a did-you-mean: in a file with more, the keys are not the trouble."""
_LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}


def shape_findings(
    error: ValidationError, data: dict[str, Any], model: type[ConfigModel], prefix: KeyPath = ()
) -> list[Finding]:
    """One finding for each faulty key of `data`, whose root stands at `prefix` of the experiment."""
    found: dict[KeyPath, Finding] = {}
    for detail in error.errors(include_url=False, include_context=True, include_input=False):
        finding = _finding(detail, data, model, prefix, advise=len(found) < MAX_ADVICE)
        # Each alternative of a union reports its own error; the first speaks for all.
        found.setdefault(finding.path, finding)
    return list(found.values())


def _finding(
    detail: ErrorDetails, data: dict[str, Any], model: type[ConfigModel], prefix: KeyPath, *, advise: bool
) -> Finding:
    kind, path = detail["type"], _existing(_meant(detail), data)
    if kind == "extra_forbidden":
        return _unknown_key(path, data, model, prefix, advise=advise)
    if kind == "missing":
        return _missing_key((*path, detail["loc"][-1]), model, prefix, data)
    return _bad_value(detail, (*prefix, *path), get(data, path), annotation_at(path, model))


def _meant(detail: ErrorDetails) -> KeyPath:
    """The location of an error, to the key that a validator of options named."""
    error = detail.get("ctx", {}).get("error")
    return (*detail["loc"], *error.path) if isinstance(error, OptionError) else detail["loc"]


def _bad_value(detail: ErrorDetails, path: KeyPath, value: Any, annotation: Any) -> Finding:
    kind, context = detail["type"], detail.get("ctx", {})
    shown, rule, help_text, fix = f"{dotted(path)} = {written(value)}", None, None, None
    choices = [str(choice) for option in alternatives(annotation) for choice in _choices(option)]
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        rule = f"must be {words} {_number(context[key])}"
    elif kind in _LENGTHS:
        key, words = _LENGTHS[kind]
        rule = f"must have {words} {context[key]} item" + ("" if context[key] == 1 else "s")
    elif kind == "string_too_short":
        rule = "must not be empty"
    elif kind == "finite_number":
        rule = "must be a finite number"
    elif kind == "literal_error" and isinstance(value, str) and choices:
        near, meant = closest(value, choices), nearest(value, choices)
        rule = f"must be {describe(annotation)}"
        help_text = f'did you mean "{near}"?' if near else None
        fix = reworded(path, meant) if meant else None
    rule = rule or _own_rule(detail, annotation)
    if rule is None:
        return _wrong_type(path, value, annotation)
    return Finding(path, f"{shown} {rule}", help=help_text, code=BAD_VALUE, fix=fix)


def _own_rule(detail: ErrorDetails, annotation: Any) -> str | None:
    """What options of plug-ins say in words that the schema itself does not need; None for all others."""
    kind, words = detail["type"], detail["msg"].partition(" should ")[2]
    if kind in ("value_error", "assertion_error"):
        return f"is refused: {' '.join(str(detail['ctx']['error']).split())}"
    of_plugins = kind in ("multiple_of", "string_pattern_mismatch", "string_too_long")
    of_plugins = of_plugins or describe(annotation) == "any value"
    return f"must {words}" if of_plugins and words else None


def _choices(option: Any) -> tuple[Any, ...]:
    return get_args(option) if get_origin(option) is Literal else ()


def _existing(location: tuple[str | int, ...], data: Any) -> KeyPath:
    """The part of an error's location that is a path in `data`: the rest names union branches."""
    path: KeyPath = ()
    for part in location:
        if get(data, (*path, part)) is MISSING:
            break
        path = (*path, part)
    return path


def _unknown_key(
    path: KeyPath, data: dict[str, Any], model: type[ConfigModel], prefix: KeyPath, *, advise: bool
) -> Finding:
    help_text, fix = None, None
    if not advise:
        pass
    elif prefix:
        known = list(model.model_fields)
        near, meant = closest(str(path[-1]), known), nearest(str(path[-1]), known)
        help_text = f"did you mean {near}?" if near else listing(known)
        is_free = len(path) == 1 and meant is not None and meant not in data
        fix = renamed((*prefix, *path), meant) if meant is not None and is_free else None
    else:
        help_text, fix = did_you_mean(path, data), known_as(path, data)
    where = f"[{dotted((*prefix, *path[:-1]))}]" if (*prefix, *path[:-1]) else "the experiment"
    message = f"{where} has no key {dotted(path[-1:])}"
    return Finding((*prefix, *path), message, help=help_text, at_key=True, code=UNKNOWN_KEY, fix=fix)


def _missing_key(path: KeyPath, model: type[ConfigModel], prefix: KeyPath, data: dict[str, Any]) -> Finding:
    where, wanted = (*prefix, *path), describe(annotation_at(path, model))
    name, section = dotted(where), dotted(where[:-1])
    message = f"{name} is missing"
    help_text = f"add {dotted(path[-1:])} = … to [{section}]; it is {wanted}"
    if wanted == "a table":
        message, help_text = f"the section [{name}] is missing", f"add [{name}]"
    return Finding(where, message, help=help_text, at_key=True, code=MISSING_KEY, fix=counted(where, data))


def _wrong_type(path: KeyPath, value: Any, annotation: Any) -> Finding:
    name, wanted = dotted(path), describe(annotation)
    if isinstance(value, dict) and wanted != "a table":
        axis = _meant_as_axis(path, value)
        if axis is not None:
            return axis
    if isinstance(value, (datetime.date, datetime.time)) and "text" in wanted:
        what = "a time" if isinstance(value, datetime.time) else "a date"
        help_text = f'quote it: "{value}"'
        message = f"{name} is {what}, not text"
        return Finding(path, message, help_text, code=WRONG_TYPE, fix=retyped(path, value, annotation))
    message = f"{name} must be {wanted}, not {_what(value)}"
    fix = retyped(path, value, annotation)
    return Finding(path, message, help=_repair(value, wanted), code=WRONG_TYPE, fix=fix)


def _meant_as_axis(path: KeyPath, value: dict[str, Any]) -> Finding | None:
    first = next(iter(value), "")
    near = closest(first, ["sweep", "null"])
    if first == near or (near is None and "values" not in value and "default" not in value):
        return None
    message = f"{dotted(path)} is a table whose first key is neither sweep nor null"
    help_text = (
        f"did you mean {near} instead of {first}?" if near else 'start a swept value with sweep = "choice"'
    )
    fix = renamed((*path, first), near) if near and near == nearest(first, ["sweep", "null"]) else None
    return Finding(path, message, help=help_text, code=AXIS, fix=fix)


def _repair(value: Any, wanted: str) -> str | None:
    if isinstance(value, str) and wanted in ("a number", "a whole number") and _is_number(value):
        return f"remove the quotes: {value}"
    if isinstance(value, str) and wanted == "true or false" and value.lower() in ("true", "false"):
        return f"remove the quotes: {value.lower()}"
    if wanted == "text" and isinstance(value, (int, float)):
        return f'quote it: "{written(value)}"'
    if isinstance(value, (str, list)):
        return _as_list(value, wanted)
    if wanted == "a whole number" and isinstance(value, float) and value.is_integer():
        return f"write {value:.0f}"
    return None


def _as_list(value: str | list[Any], wanted: str) -> str | None:
    """Help for a text where a list is wanted, and for a list where one value is."""
    if isinstance(value, str):
        items = [item.strip() for item in value.strip("[] ").split(",")]
        return f"write it as {written(items)}" if wanted.startswith("a list") else None
    if not value or wanted in ("a table", "any value"):
        return None
    choice = f"values = {written(value)}, default = {written(value[0])}"
    return f'to try each of them, write {{ sweep = "choice", {choice} }}'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def written(value: Any) -> str:
    """Return `value` about as TOML writes it, cut to a readable length."""
    text = "".join(_pieces(value))
    return text if len(text) <= 60 else text[:57] + "…"


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield '"' + value.replace("\n", "\\n") + '"'
    elif isinstance(value, bool):
        yield str(value).lower()
    elif value is None:
        yield "null"
    elif isinstance(value, list):
        yield "[" + ", ".join("".join(_pieces(item)) for item in value) + "]"
    elif isinstance(value, dict):
        inside = ", ".join(f"{key} = {''.join(_pieces(item))}" for key, item in value.items())
        yield "{ " + inside + " }" if inside else "{}"
    else:
        yield str(value)


def _what(value: Any) -> str:
    """The kind of `value` in words, with the value where it is short."""
    names = {dict: "a table", list: "a list", type(None): "null"}
    if type(value) in names:
        return names[type(value)]
    kinds = {str: "the text ", bool: "", int: "the number ", float: "the number "}
    return kinds.get(type(value), "the date ") + written(value)


def _number(limit: float) -> str:
    """A limit as people write it: whole numbers with all of their digits."""
    return str(int(limit)) if float(limit).is_integer() else f"{limit:g}"
