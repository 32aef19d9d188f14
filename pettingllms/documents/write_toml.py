"""An arranged outline to TOML 1.0 text."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pettingllms.documents.literals import toml_key, toml_value
from pettingllms.documents.outline import (
    Entry,
    Listing,
    Scalar,
    Table,
    Value,
    children,
    is_header,
    needs_header,
)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_INDENT = "  "


def write_toml(root: Table) -> str:
    """Return the text of `root`, which was arranged."""
    lines = [*_body((), root)]
    if root.end:
        lines += ["", *root.end] if root.entries else root.end
    return "".join(f"{line}\n" for line in lines).lstrip("\n")


def _body(path: tuple[str, ...], table: Table) -> Iterator[str]:
    """The lines below the header of `table`: its plain keys, then the tables inside."""
    for entry in table.entries:
        if not is_header(entry):
            if entry.blank:
                yield ""
            yield from entry.above
            yield from _pair(entry)
    if path:
        yield from table.end
    for entry in table.entries:
        if is_header(entry):
            yield from _section((*path, str(entry.key)), entry)


def _section(path: tuple[str, ...], entry: Entry) -> Iterator[str]:
    value = entry.value
    name = ".".join(toml_key(part) for part in path)
    if isinstance(value, Table):
        if needs_header(entry, value):
            yield from _header(entry, f"[{name}]")
        elif entry.blank:
            yield ""
        yield from _body(path, value)
        return
    assert isinstance(value, Listing)
    for index, item in enumerate(value.items):
        # What stands above the list stands above its first item.
        top = entry if index == 0 else item
        yield from _header(
            Entry(None, item.value, blank=top.blank, above=top.above, trailing=item.trailing), f"[[{name}]]"
        )
        if isinstance(item.value, Table):
            yield from _body(path, item.value)


def _header(entry: Entry, header: str) -> Iterator[str]:
    """A blank line sets every header apart; one that the author wrote makes two."""
    yield ""
    if entry.blank:
        yield ""
    yield from entry.above
    yield header + _behind(entry)


def _behind(entry: Entry) -> str:
    return "" if entry.trailing is None else f"  {entry.trailing}"


def _pair(entry: Entry) -> Iterator[str]:
    value = entry.value
    start = f"{toml_key(str(entry.key))} = "
    if isinstance(value, Listing) and not value.flow:
        yield f"{start}[{_behind(entry)}"
        for item in value.items:
            if item.blank:
                yield ""
            yield from (f"{_INDENT}{line}" if line else "" for line in item.above)
            yield f"{_INDENT}{_value(item.value, block=True)},{_behind(item)}"
        yield from (f"{_INDENT}{line}" for line in value.end)
        yield "]"
    else:
        yield f"{start}{_value(value, block=True)}{_behind(entry)}"


def _value(value: Value, *, block: bool = False) -> str:
    if isinstance(value, Scalar):
        return toml_scalar(value, block=block)
    if isinstance(value, Listing):
        return f"[{', '.join(_value(item.value) for item in value.items)}]"
    inside = ", ".join(f"{toml_key(str(child.key))} = {_value(child.value)}" for child in children(value))
    return f"{{ {inside} }}" if inside else "{}"


def toml_scalar(scalar: Scalar, *, block: bool = False) -> str:
    """`scalar` in TOML, a number as the source spells it where TOML reads the same.

    `block`: a text may take several lines.
    """
    value = scalar.value
    if isinstance(value, str):
        return _text(value, block=block)
    if scalar.text is not None and _reads_as(scalar.text, value):
        return scalar.text
    return toml_value(value)


def _reads_as(text: str, value: Any) -> bool:
    """True where `text` is how TOML may write `value`."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    try:
        found = tomllib.loads(f"v={text}")["v"]
    except (tomllib.TOMLDecodeError, ValueError):
        return False
    return type(found) is type(value) and bool(found == value)


def _text(text: str, *, block: bool) -> str:
    if block and "\n" in text[:-1] and not _CONTROL.search(text):
        return _lines(text)
    literal = '"' in text or "\\" in text
    if literal and "'" not in text and "\n" not in text and "\t" not in text and not _CONTROL.search(text):
        return f"'{text}'"
    return toml_value(text)


def _lines(text: str) -> str:
    """`text` as a string over several lines."""
    if "\\" in text and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return f'"""\n{escaped}"""'
