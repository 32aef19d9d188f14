"""A draft as the text of one TOML experiment."""

from __future__ import annotations

from typing import Any

from pettingllms.documents.arrange import arrange
from pettingllms.documents.outline import Entry, Listing, Scalar, Table, children
from pettingllms.documents.outline_data import value_of
from pettingllms.documents.write_toml import write_toml
from pettingllms.foreign.draft import Draft, is_special

_DEFAULTS = "The default of each swept value is the first of its values, or its low end."


def render(draft: Draft) -> str:
    """Return `draft` as TOML: what it was taken from in comments, its keys, `[sweep]` last."""
    comments = [*draft.head, _DEFAULTS] if draft.axes else draft.head
    root = draft.base if draft.base is not None else Table([Entry("format", Scalar(1))])
    if draft.defaults or draft.chosen:
        entries = [*draft.defaults, "_self_", *draft.chosen]
        root.entries.insert(1, Entry("defaults", value_of(entries)))
    for key, value in draft.tree.items():
        _set(root, key, value)
    if draft.sweep:
        _set(root, "sweep", draft.sweep)
        section = next(entry for entry in root.entries if entry.key == "sweep")
        section.above += draft.sweep_comments
        _make_inline(section)
    else:
        root.end += draft.sweep_comments
    if not root.entries:
        root.entries.append(Entry("format", Scalar(1)))
    first = root.entries[0]
    own = ["", *first.above] if first.above else []
    first.above = [*(f"# {_one_line(text)}" for text in comments), *own]
    arrange(root, draft.moved)
    return write_toml(root)


def _one_line(text: str) -> str:
    """`text` as the inside of a comment: no line ends, no control characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _make_inline(section: Entry) -> None:
    """Tables inside `[sweep]` are written on one line."""
    for entry in children(section.value):
        if isinstance(entry.value, (Table, Listing)):
            entry.value.flow = True


def _set(table: Table, key: str, value: Any) -> None:
    """Set `key`; plain tables merge, everything else replaces."""
    known = next((entry for entry in table.entries if entry.key == key), None)
    if known is None:
        table.entries.append(Entry(key, value_of(value)))
    elif isinstance(known.value, Table) and isinstance(value, dict) and not is_special(value):
        for name, item in value.items():
            _set(known.value, name, item)
    else:
        known.value = value_of(value)
