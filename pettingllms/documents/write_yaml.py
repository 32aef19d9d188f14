"""An arranged outline to YAML text, which OmegaConf reads as the same values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pettingllms.documents.literals import toml_value, yaml_value
from pettingllms.documents.outline import Entry, Listing, Scalar, Table, Value
from pettingllms.documents.yaml_scalars import ScalarError, kind_of, value_of

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_STARTS_PLAIN = re.compile(r"[^\s\-?:,\[\]{}#&*!|>'\"%@`=<]|-(?![\s\-]|$)")
_ENDS_PLAIN = re.compile(r":(?:\s|$)|\s#|\t|\n|\s$")
_FLOW_SIGNS = re.compile(r"[,\[\]{}:?]")


def write_yaml(root: Table) -> str:
    """Return the text of `root`, which was arranged."""
    lines = [*_entries(root, 0)]
    if root.end:
        lines += ["", *root.end] if root.entries else root.end
    return "".join(f"{line}\n" for line in lines)


def _entries(table: Table, indent: int) -> Iterator[str]:
    for entry in table.entries:
        if entry.blank:
            yield ""
        yield from _comments(entry.above, indent)
        yield from _entry(entry, indent)
    if indent:
        yield from _comments(table.end, indent)


def _comments(lines: list[str], indent: int) -> Iterator[str]:
    return (" " * indent + line if line else "" for line in lines)


def _behind(entry: Entry) -> str:
    return "" if entry.trailing is None else f"  {entry.trailing}"


def _entry(entry: Entry, indent: int) -> Iterator[str]:
    value = entry.value
    start = " " * indent + _text(str(entry.key), flow=False) + ":"
    if isinstance(value, Scalar) or value.flow:
        yield from _scalar_lines(start, entry, indent, 2)
    else:
        yield start + _behind(entry)
        if isinstance(value, Table):
            yield from _entries(value, indent + 2)
        else:
            for item in value.items:
                yield from _item(item, indent)
            # Deeper than the dashes, or they would stand above the next key.
            yield from _comments(value.end, indent + 2)


def _item(item: Entry, indent: int) -> Iterator[str]:
    if item.blank:
        yield ""
    yield from _comments(item.above, indent)
    value, dash = item.value, " " * indent + "-"
    if isinstance(value, Table) and not value.flow:
        lines = [*_entries(value, indent + 2)]
        if item.trailing is None and not value.entries[0].above:
            yield f"{dash} {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield dash + _behind(item)
            yield from lines
    elif isinstance(value, Table) and len(value.entries) == 1:
        child = value.entries[0]
        yield f"{dash} {_text(str(child.key), flow=False)}: {_value(child.value, flow=False)}{_behind(item)}"
    else:
        yield from _scalar_lines(dash, item, indent, 4)


def _scalar_lines(start: str, entry: Entry, indent: int, deeper: int) -> Iterator[str]:
    """`start` and the value of `entry`; a text of several lines stands `deeper` than `indent`."""
    value = entry.value
    if isinstance(value, Scalar) and isinstance(value.value, str) and _fits_block(value.value):
        text = value.value
        sign = str(deeper) if text[0] in " \n\t" else ""
        chomping = "" if text.endswith("\n") else "-"
        yield f"{start} |{sign}{chomping}{_behind(entry)}"
        for line in text.removesuffix("\n").split("\n"):
            yield " " * (indent + deeper) + line if line else ""
    else:
        yield f"{start} {_value(value, flow=False)}{_behind(entry)}"


def _fits_block(text: str) -> bool:
    """True for a text of several lines that a block scalar holds unchanged."""
    ends_well = text.removesuffix("\n").rpartition("\n")[2].strip() != ""
    return "\n" in text[:-1] and ends_well and not _CONTROL.search(text)


def _value(value: Value, *, flow: bool) -> str:
    if isinstance(value, Scalar):
        return yaml_scalar(value, flow=flow)
    if isinstance(value, Listing):
        return f"[{', '.join(_value(item.value, flow=True) for item in value.items)}]"
    inside = (
        f"{_text(str(child.key), flow=True)}: {_value(child.value, flow=True)}" for child in value.entries
    )
    return f"{{{', '.join(inside)}}}"


def yaml_scalar(scalar: Scalar, *, flow: bool = False) -> str:
    """`scalar` in YAML, a number as the source spells it where YAML reads the same.

    `flow`: it stands inside brackets.
    """
    value = scalar.value
    if isinstance(value, str):
        return _text(value, flow=flow)
    if scalar.text is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        kind = kind_of(scalar.text)
        try:
            found = value_of(scalar.text, kind) if kind in ("int", "float") else None
        except ScalarError:
            found = None
        if type(found) is type(value) and found == value and abs(value) != float("inf"):
            return scalar.text
    return yaml_value(value)


def _text(text: str, *, flow: bool) -> str:
    if _CONTROL.search(text) or "\n" in text or "\t" in text:
        return toml_value(text)
    plain = _STARTS_PLAIN.match(text) and not _ENDS_PLAIN.search(text) and kind_of(text) == "str"
    if plain and not (flow and _FLOW_SIGNS.search(text)):
        return text
    return toml_value(text) if "\\" not in text and '"' not in text else "'" + text.replace("'", "''") + "'"
