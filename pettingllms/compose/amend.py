"""What overrides mean for the data of one file: the file as it shall be, and what it overrides then."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.compose import Composition, compose
from pettingllms.compose.defaults import package_header
from pettingllms.compose.groups import place_of, read_choices
from pettingllms.compose.overrides import INVALID_OVERRIDE, Override, Schema, apply_overrides, parse_override
from pettingllms.compose.tree import MISSING, Tree, get, is_section
from pettingllms.documents.source import Document, DocumentError, Finding, KeyPath, Place, dotted


@dataclass(slots=True)
class Amendment:
    """The data of a file after overrides.

    `written`: how the new values were written on the command line. `named`: the keys that were
    set. `findings`: why overrides cannot be applied. `notes`: what is worth knowing.
    """

    data: dict[str, Any]
    written: dict[KeyPath, str] = field(default_factory=dict)
    named: list[KeyPath] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def amend(document: Document, texts: Sequence[str], schema: Schema) -> Amendment:
    """Apply overrides to the data of `document` alone.

    What the file inherits counts for what an override may do: a list that it inherits is appended
    to as a whole, a key that it inherits cannot be deleted in it.
    """
    return _Amender(document, schema).run(texts)


def overruled(document: Document, amendment: Amendment, schema: Schema) -> list[str]:
    """A note for each key of `amendment` that another file sets after `document`, the changed file."""
    composition = _composed(document, schema)
    history = composition.tree.history if composition is not None else {}
    notes = []
    for path in amendment.named:
        writes = history.get(path, [])
        if writes and writes[-1].place.source.name != str(document.path):
            notes.append(f"{dotted(path)} is still what {writes[-1].place} says, which comes after this file")
    return notes


def _composed(document: Document, schema: Schema) -> Composition | None:
    try:
        return compose(document.path, schema=schema, text=document.text)
    except DocumentError:
        return None


class _Amender:
    def __init__(self, document: Document, schema: Schema) -> None:
        self.document, self.schema = document, schema
        self.local = Tree.of(document)
        self.whole = Tree.of(document)
        composition = _composed(document, schema)
        if composition is not None and package_header(document.text) in (None, "_global_"):
            self.whole = composition.tree
        self.result = Amendment(self.local.data)

    def run(self, texts: Sequence[str]) -> Amendment:
        for text in texts:
            if not self.choose_group(text):
                self.change(text)
        return self.result

    def change(self, text: str) -> None:
        """Apply an override of a value, first to the composed tree, which says whether that is allowed."""
        before = Tree(self.whole.source, copy.deepcopy(self.whole.data), dict(self.whole.spans))
        findings = apply_overrides(self.whole, [text], self.schema)
        if findings:
            self.result.findings += findings
            return
        override = parse_override(text)
        path, current, place = override.path, get(before.data, override.path), before.place(override.path)
        inherited = current is not MISSING and get(self.local.data, path) is MISSING
        if inherited and override.operation == "~":
            message = f"{dotted(path)} is set by {place}, so it cannot be deleted in this file"
            where = Place(override.source, override.key_span)
            finding = Finding(path, message, help="delete it there", place=where, code=INVALID_OVERRIDE)
            self.result.findings.append(finding)
            return
        if inherited and (override.operation == "+=" or self.schema.kinds(path) is None):
            self.local.set(path, current, override.source, override.key_span, override.value_span)
        self.result.findings += apply_overrides(self.local, [text], self.schema)
        self.result.named.append(path)
        if override.operation not in ("~", "+="):
            self.result.written[path] = override.value.strip()
        if inherited:
            self.result.notes.append(self.note(override, place, get(self.local.data, path)))

    def note(self, override: Override, place: Place, value: Any) -> str:
        """What it means that the file now sets a key that it inherited."""
        name = dotted(override.path)
        if is_section(value) and override.operation == ":=":
            return f"{name} of {place} keeps its other keys, as sections of several files merge"
        return f"{name} overrides what {place} says"

    def choose_group(self, text: str) -> bool:
        """Change a group's choice in the file's own `defaults` list; False for overrides of values."""
        choices = read_choices([text], self.document.path.parent)
        entries = self.local.data.get("defaults")
        known = entries if isinstance(entries, list) else []
        if choices.appended:
            added = choices.appended[0]
            group = f"{'/' * added.absolute}{added.group}" + (f"@{added.package}" if added.package else "")
            names: Any = list(added.names) if added.several else added.names[0]
            self.local.data["defaults"] = [*known, {group: names}]
            return True
        key = choices.undecided.get(text)
        if key is None:
            return False
        index = next((i for i, entry in enumerate(known) if _group(entry) == key), None)
        if index is None and not re.search("[@/]", key):
            return False
        if index is None:
            message = f"the defaults list of this file has no group {key}"
            finding = Finding(
                (), message, help=f"to add it write +{text}", place=place_of(text), code=INVALID_OVERRIDE
            )
            self.result.findings.append(finding)
        elif key in choices.deleted:
            self.local.data["defaults"] = [*known[:index], *known[index + 1 :]]
        else:
            chosen = choices.chosen[key]
            (word,) = known[index]
            value: Any = list(chosen.names) if chosen.several else next(iter(chosen.names), None)
            self.local.data["defaults"] = [*known[:index], {word: value}, *known[index + 1 :]]
        return True


def _group(entry: Any) -> str | None:
    """The group of an entry of a defaults list as the command line names it."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return None
    words = str(next(iter(entry))).split()
    return re.sub(r"^(\.\./|/)+", "", words[-1]) if words else None
