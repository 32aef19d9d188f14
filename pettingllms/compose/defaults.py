"""The `defaults` list of one file: its entries as written, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pettingllms.documents.source import START, Document, Finding, Place, Source

INVALID_DEFAULTS = "PLM214"
_HEADER = re.compile(r"#[ \t]*@package[ \t]+(\S+)")
_NO_REFERENCES = "references in a defaults list are not available in this version"
_SHAPES = 'write "name", { group = "name" } or "_self_"'


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `group/name`, or a plain path of a file where `is_group` is False.

    `group` is a folder as written, without a leading slash where `absolute`. `names`: the chosen
    files; empty for a group that is set to null. `package` as written behind `@`.
    """

    place: Place
    group: str = ""
    names: tuple[str, ...] = ()
    package: str | None = None
    is_group: bool = False
    is_self: bool = False
    several: bool = False
    absolute: bool = False
    optional: bool = False
    override: bool = False


def package_header(text: str) -> str | None:
    """The package that a `# @package` comment at the head of `text` names."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            return None
        found = _HEADER.fullmatch(stripped)
        if found:
            return found.group(1)
    return None


def read_entries(document: Document) -> tuple[list[Entry], list[Finding]]:
    """Return the entries of `document`'s `defaults` list, `_self_` last if absent, and the faults."""
    raw = document.data.get("defaults", [])
    whole = _place(document, ("defaults",))
    if not isinstance(raw, list):
        return [Entry(whole, is_self=True)], [_fault(whole, "defaults must be a list of files", _SHAPES)]
    entries: list[Entry] = []
    findings: list[Finding] = []
    for index, item in enumerate(raw):
        place = _place(document, ("defaults", index))
        entry = _entry(item, place)
        if isinstance(entry, Finding):
            findings.append(entry)
        elif entry.is_self and any(known.is_self for known in entries):
            findings.append(_fault(place, "_self_ stands twice in one defaults list", "keep one of the two"))
        elif entries and entries[-1].override and not entry.override and not entry.is_self:
            message = "an entry follows an override"
            findings.append(_fault(place, message, "put `override …` entries at the end of the list"))
        else:
            entries.append(entry)
    if not any(entry.is_self for entry in entries):
        entries.append(Entry(whole, is_self=True))
    return entries, findings


def _entry(item: Any, place: Place) -> Entry | Finding:
    if isinstance(item, str):
        return _plain(item, place)
    if not isinstance(item, dict) or len(item) != 1:
        what = f"has {len(item)} keys" if isinstance(item, dict) else "is neither a name nor a group"
        return _fault(place, f"this entry of the defaults list {what}", _SHAPES)
    ((key, value),) = item.items()
    names = tuple(value) if isinstance(value, list) else () if value in (None, {"null": True}) else (value,)
    if not all(isinstance(name, str) and name for name in names):
        message = f"the group {key} must be given the name of a file"
        return _fault(place, message, f'write {{ "{key}" = "name" }}')
    words = key.split()
    if not words or not set(words[:-1]) <= {"optional", "override"}:
        return _fault(place, f"{key!r} is no group", _SHAPES)
    group, _, package = words[-1].partition("@")
    if "${" in key or any("${" in name for name in names):
        return _fault(place, _NO_REFERENCES, "write the name")
    return Entry(
        place,
        group=group.lstrip("/"),
        names=names,
        package=package if "@" in words[-1] else None,
        is_group=True,
        several=isinstance(value, list),
        absolute=group.startswith("/"),
        optional="optional" in words[:-1],
        override="override" in words[:-1],
    )


def _plain(item: str, place: Place) -> Entry | Finding:
    if item == "_self_":
        return Entry(place, is_self=True)
    words = item.split()
    optional = words[:1] == ["optional"] and len(words) > 1
    path, at, package = (item.strip()[len("optional") :].strip() if optional else item).partition("@")
    if not path or "${" in item:
        return _fault(place, _NO_REFERENCES if path else "no file is named", _SHAPES)
    group, _, name = path.lstrip("/").rpartition("/")
    return Entry(
        place,
        group=group,
        names=(name,),
        package=package if at else None,
        absolute=path.startswith("/"),
        optional=optional,
    )


def _place(document: Document, path: tuple[str | int, ...]) -> Place:
    source = Source(str(document.path), document.text)
    for length in range(len(path), 0, -1):
        if path[:length] in document.spans:
            return Place(source, document.spans[path[:length]][1])
    return Place(source, START)


def _fault(place: Place, message: str, help_text: str | None = None) -> Finding:
    return Finding((), message, help=help_text, place=place, code=INVALID_DEFAULTS)
