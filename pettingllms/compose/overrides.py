"""Overrides of the command line: `k=v`, `+k=v`, `++k=v`, `~k`, `k:=v`, `k+=[x]`."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pettingllms.compose.special_values import NULL, special_kind
from pettingllms.compose.tree import COMMAND_LINE, MISSING, Tree, get, is_section
from pettingllms.documents.scan import MAX_DEPTH
from pettingllms.documents.source import Finding, KeyPath, Place, Source, Span, dotted
from pettingllms.documents.toml import too_large

INVALID_OVERRIDE, UNKNOWN_KEY = "PLM009", "PLM003"
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = re.compile(rf"{_KEY}(?:\.{_KEY})*")


class Schema(Protocol):
    """What overrides must know about the keys they name."""

    def kinds(self, path: KeyPath) -> frozenset[str] | None:
        """What a value at `path` may be: text, integer, number, boolean, list, table; all six for
        anything. An item of a list is at its index. None: there is no such key.
        """

    def default(self, path: KeyPath) -> Any:
        """The value of a key that is not set, or None."""

    def advice(self, path: KeyPath, data: dict[str, Any]) -> str | None:
        """What to do about a key that does not exist."""


@dataclass(frozen=True, slots=True)
class Override:
    """One override as written; columns are 1-based in `text`."""

    text: str
    operation: str
    path: KeyPath
    value: str
    key_column: int
    value_column: int

    @property
    def source(self) -> Source:
        """The text as diagnostics show it."""
        return Source(COMMAND_LINE, self.text)

    @property
    def key_span(self) -> Span:
        """Where the key stands."""
        return Span(1, self.key_column, 1, self.key_column + len(dotted(self.path)))

    @property
    def value_span(self) -> Span:
        """Where the value stands; the key of an override without one."""
        if not self.value:
            return self.key_span
        return Span(1, self.value_column, 1, self.value_column + len(self.value))


class _RefusedError(Exception):
    """An override cannot be applied."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


def apply_overrides(tree: Tree, texts: Sequence[str], schema: Schema) -> list[Finding]:
    """Change `tree` by each override in turn; return the faults of those that cannot be applied."""
    findings: list[Finding] = []
    for text in texts:
        try:
            _apply(tree, parse_override(text), schema)
        except _RefusedError as refused:
            findings.append(refused.finding)
    return findings


def parse_override(text: str) -> Override:
    """Split `text` at its first equals sign."""
    left, equals, value = text.partition("=")
    sign = re.match(r"\s*(\+\+|\+|~)?", left)
    operation = (sign.group(1) or "") if sign else ""
    start = sign.end() if sign else 0
    key = left[start:].rstrip()
    for suffix in (":", "+"):
        if equals and key.endswith(suffix) and not operation:
            operation, key = suffix + "=", key[:-1].rstrip()
    value_column = len(left) + 2
    if not equals and operation != "~":
        raise _refuse(text, 1, len(text), f"{text!r} is not an override", "write it as key=value")
    if _PATH.fullmatch(key) is None:
        group = re.search(r"[@/]", key)
        message = f"there is no config group {key}" if group else f"{key!r} is not a key"
        raise _refuse(text, start + 1, max(len(key), 1), message, "write section.key=value")
    path = tuple(word.strip("\"'") for word in re.findall(_KEY, key))
    if len(path) > MAX_DEPTH:
        raise _refuse(text, start + 1, len(key), f"the key has more than {MAX_DEPTH} levels", None)
    return Override(text, operation, path, value, start + 1, value_column)


def _refuse(text: str, column: int, length: int, message: str, help_text: str | None) -> _RefusedError:
    place = Place(Source(COMMAND_LINE, text), Span(1, column, 1, column + length))
    return _RefusedError(Finding((), message, help=help_text, place=place, code=INVALID_OVERRIDE))


def _fault(
    override: Override,
    message: str,
    help_text: str | None,
    code: str = INVALID_OVERRIDE,
    *,
    at_key: bool = True,
) -> _RefusedError:
    place = Place(override.source, override.key_span if at_key else override.value_span)
    return _RefusedError(Finding(override.path, message, help=help_text, place=place, code=code))


def _apply(tree: Tree, override: Override, schema: Schema) -> None:
    path, kinds = override.path, schema.kinds(override.path)
    _check_parents(tree, override)
    current = get(tree.data, path)
    if kinds is None and current is MISSING:
        message = f"there is no key {dotted(path)}"
        raise _fault(override, message, schema.advice(path, tree.data), UNKNOWN_KEY)
    if override.operation == "~":
        if current is MISSING:
            raise _fault(override, f"{dotted(path)} is not set, so it cannot be deleted", None)
        if override.value.strip() and read_value(override.value, path, schema) != current:
            message = f"{dotted(path)} has another value than {override.value}, so it is not deleted"
            raise _fault(override, message, f"write ~{dotted(path)} to delete it whatever it is")
        tree.delete(path, override.source, override.key_span)
        return
    if override.operation == "+" and current not in (MISSING, None) and not isinstance(current, (dict, list)):
        help_text = f"to change it write {dotted(path)}=…"
        raise _fault(override, f"{dotted(path)} is already set", help_text)
    value = read_value(override.value, path, schema)
    if override.operation == "+=":
        tree.set(path, _appended(override, current, value, schema), *_spans(override))
        return
    _check_section(tree, override, value, kinds)
    if override.operation == ":=":
        tree.set(path, value, *_spans(override))
    else:
        _merge(tree, override, path, value)


def _spans(override: Override) -> tuple[Source, Span, Span]:
    return override.source, override.key_span, override.value_span


def _check_parents(tree: Tree, override: Override) -> None:
    for length in range(1, len(override.path)):
        parent = get(tree.data, override.path[:length])
        if parent is MISSING or parent is None:
            return
        parent = tree.expand_reference(override.path[:length], parent)
        if special_kind(parent) == "sweep" and length + 1 <= len(override.path):
            raise _fault(
                override,
                f"{dotted(override.path[:length])} is a swept value, which has no keys of its own",
                f"override it whole: {dotted(override.path[:length])}=…",
            )
        if not isinstance(parent, dict):
            what = "a list; set it whole" if isinstance(parent, list) else "not a section"
            raise _fault(override, f"{dotted(override.path[:length])} is {what}", None)


def _appended(override: Override, current: Any, value: Any, schema: Schema) -> list[Any]:
    before = schema.default(override.path) if current is MISSING else current
    if not isinstance(before, list):
        raise _fault(override, f"{dotted(override.path)} is not a list, so nothing can be appended", None)
    if not isinstance(value, list):
        raise _fault(override, "what is appended must be a list", "write key+=[value]", at_key=False)
    return [*before, *value]


def _check_section(tree: Tree, override: Override, value: Any, kinds: frozenset[str] | None) -> None:
    """Refuse to replace a section by one value."""
    section = kinds == frozenset({"table"}) or is_section(get(tree.data, override.path))
    reference = isinstance(value, str) and "${" in value
    if section and not isinstance(value, dict) and not reference and value is not None:
        name = dotted(override.path)
        raise _fault(
            override,
            f"{name} is a section; {override.text} would replace it by one value",
            f"set its keys: {name}.key=value; no defaults list has a config group {name}",
            at_key=False,
        )


def _merge(tree: Tree, override: Override, path: KeyPath, value: Any) -> None:
    """Set `value` at `path`: tables merge key by key, everything else replaces."""
    current = tree.expand_reference(path, get(tree.data, path))
    if is_section(value) and is_section(current):
        for key, item in value.items():
            _merge(tree, override, (*path, key), item)
    else:
        tree.set(path, value, *_spans(override))


def read_value(text: str, path: KeyPath, schema: Schema) -> Any:
    """Read `text` as TOML where that gives what the schema wants at `path`, else as plain text."""
    kinds = schema.kinds(path) or frozenset({"text", "integer", "number", "boolean", "list", "table"})
    text = text.strip()
    parsed: Any = dict(NULL) if text.lower() == "null" else _parse(text)
    if isinstance(parsed, dict) and special_kind(parsed):
        return parsed
    if "list" in kinds and text.startswith("[") and text.endswith("]"):
        return _read_list(text, path, schema)
    if parsed is MISSING and "table" in kinds and text.startswith("{") and text.endswith("}"):
        return _read_table(text, path, schema)
    return _typed(text, parsed, kinds)


def _typed(text: str, parsed: Any, kinds: frozenset[str]) -> Any:
    """What `text`, read as the TOML value `parsed`, is where only `kinds` may stand."""
    if "text" in kinds and "integer" not in kinds:
        return parsed if isinstance(parsed, str) else text
    if parsed is MISSING:
        return _python_spelling(text, kinds)
    if "number" in kinds and "integer" not in kinds and type(parsed) is int:
        return float(parsed)
    return parsed


def _python_spelling(text: str, kinds: frozenset[str]) -> Any:
    if "boolean" in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d+", text):
        # A whole number that does not fit in 64 bits: no key has such a value.
        return text
    if "number" in kinds and re.fullmatch(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text):
        return float(text)
    return text


def _parse(text: str) -> Any:
    """The TOML value that `text` is, or `MISSING`; text of several lines may look like more keys."""
    try:
        data = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return MISSING
    sound = len(data) == 1 and _depth(data) <= MAX_DEPTH and not any(too_large(data))
    # No key of an experiment is a date: what looks like one is a name.
    return data["v"] if sound and not isinstance(data["v"], (datetime.date, datetime.time)) else MISSING


def _depth(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(item) for item in below), default=0)


def _read_list(text: str, path: KeyPath, schema: Schema) -> Any:
    """Read `[a, b]`, whose texts need no quotes; each item is read as the schema wants it."""
    items = _split(text[1:-1])
    if items is None or len(path) >= MAX_DEPTH:
        return text
    return [read_value(item, (*path, index), schema) for index, item in enumerate(items)]


def _read_table(text: str, path: KeyPath, schema: Schema) -> Any:
    """Read `{a: 1, b: {c: x}}` as Hydra writes it; text that is no such table stays text."""
    items = _split(text[1:-1])
    if items is None or len(path) >= MAX_DEPTH:
        return text
    table: dict[str, Any] = {}
    for item in items:
        match = re.fullmatch(rf"\s*({_KEY})\s*:(.*)", item, re.DOTALL)
        if match is None:
            return text
        key = match.group(1).strip("\"'")
        table[key] = read_value(match.group(2), (*path, key), schema)
    return table


def _split(text: str) -> list[str] | None:
    """Split at commas outside quotes and brackets; None where those do not match."""
    items, depth, quote, start = [], 0, "", 0
    escaped = False
    for position, character in enumerate(text):
        if quote:
            if character == quote and not escaped:
                quote = ""
            escaped = quote == '"' and character == "\\" and not escaped
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            items.append(text[start:position])
            start = position + 1
    if quote or depth:
        return None
    items.append(text[start:])
    return [item for item in items if item.strip()]
