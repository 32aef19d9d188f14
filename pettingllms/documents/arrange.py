"""Brings an outline into the shape that TOML and YAML can both hold, so that either reads back the same."""

from __future__ import annotations

from collections.abc import Callable

from pettingllms.documents.outline import (
    Entry,
    Listing,
    Scalar,
    Table,
    children,
    comments_in,
    is_header,
    is_null,
    needs_header,
)

Note = Callable[[int, str], None]
"""Told of each change: the line in the source and what is different."""


def arrange(root: Table, note: Note) -> None:
    """Arrange `root` in place: plain keys before tables, comments where both formats have room for them."""
    first = root.entries[0] if root.entries else None
    head: list[str] = []
    if first is not None:
        head, first.above = first.above, []
    for entry in root.entries:
        _settle(entry, note, block=True, special=entry.key != "sweep")
    _order(root, note)
    if first is not None:
        _put_head(head, first, root.entries[0])
        root.entries[0].blank = False
    root.end = _squeezed(root.end)


def _put_head(head: list[str], was_first: Entry, is_first: Entry) -> None:
    """Keep the comment that opens the file at its top when another entry comes first."""
    if is_first is not was_first and head:
        # What stands directly on the entry, below a blank line, is about the entry; a block alone
        # opens the file.
        cut = next((index + 1 for index in reversed(range(len(head))) if not head[index]), len(head))
        was_first.above = [*head[cut:], *was_first.above]
        head = [*head[:cut], *([""] if head[cut - 1] else [])]
    is_first.above = [*head, *is_first.above]


def _squeezed(lines: list[str]) -> list[str]:
    """`lines` without blank ones at both ends and without two blank ones in a row."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept[:-1] if kept and not kept[-1] else kept


def _settle(entry: Entry, note: Note, *, block: bool, special: bool = True) -> None:
    """Arrange the value of `entry`. `block`: it may take several lines."""
    value = entry.value
    if isinstance(value, Scalar):
        return
    if isinstance(value, Table):
        if special and is_null(value):
            _hoist(entry, note)
            entry.value = Scalar(None)
            return
        _choose_form(entry, value, note, block=block and not (special and _is_special(value)))
        if not value.flow:
            for child in value.entries:
                _settle(child, note, block=True)
            if special and _would_become_special(value):
                value.flow = True
                _hoist(entry, note)
                _flatten(value)
                return
            _order(value, note)
            _sink_end(value)
            _lift_blank(entry, value)
    else:
        _choose_form(entry, value, note, block=block)
        if not value.flow:
            _settle_items(entry, value, note)


def _is_special(table: Table) -> bool:
    return is_null(table) or (bool(table.entries) and table.entries[0].key == "sweep")


def _would_become_special(table: Table) -> bool:
    """True where plain keys before tables would put `sweep` or `null` first, which means something there."""
    plain = next((entry.key for entry in table.entries if not is_header(entry)), None)
    return plain in ("sweep", "null") and table.entries[0].key != plain


def _choose_form(entry: Entry, value: Table | Listing, note: Note, *, block: bool) -> None:
    """One line where there is nothing inside or no room; several where comments need them."""
    if not children(value) or not block:
        value.flow = True
        _hoist(entry, note)
    elif value.flow and next(comments_in(value), None) is not None:
        value.flow = False
    if value.flow:
        _flatten(value)


def _hoist(entry: Entry, note: Note) -> None:
    """Move the comments inside the value of `entry` above it."""
    inside = list(comments_in(entry.value))
    if inside:
        entry.above += inside
        note(entry.line, "a comment inside a value on one line moves above it")
    _strip(entry.value)


def _strip(value: Scalar | Table | Listing) -> None:
    for child in children(value):
        child.above, child.trailing = [], None
        _strip(child.value)
    if not isinstance(value, Scalar):
        value.end = []


def _flatten(value: Table | Listing) -> None:
    for child in children(value):
        child.blank = False
        inner = child.value
        if isinstance(inner, Scalar):
            continue
        if isinstance(inner, Table) and is_null(inner):
            child.value = Scalar(None)
        else:
            inner.flow = True
            _flatten(inner)


def _settle_items(entry: Entry, value: Listing, note: Note) -> None:
    value.tables = _as_tables(value)
    last = value.items[-1].value
    if not value.tables and isinstance(last, Table):
        # As deep as the keys of the last item, and as deep as comments below the last item.
        value.end = [*last.end, *value.end]
        last.end = []
    for item in value.items:
        table = item.value
        rows = value.tables and isinstance(table, Table) and bool(table.entries)
        if rows and isinstance(table, Table):
            table.flow = False
        elif isinstance(table, Table) and len(table.entries) == 1 and item.trailing is None:
            # `- key: value  # comment`: the comment is as much the item's as the key's.
            item.trailing, table.entries[0].trailing = table.entries[0].trailing, None
        _settle(item, note, block=rows)
        if rows:
            children(table)[0].blank = False
    if not value.tables:
        value.end = [line for line in value.end if line]
        value.items[0].blank = False
        return
    first = value.items[0]
    if entry.trailing is not None:
        entry.above.append(entry.trailing)
        entry.trailing = None
    entry.above += first.above
    entry.blank = entry.blank or first.blank
    first.above, first.blank = [], False
    sink = _sink(entry)
    sink += [line for line in value.end if line]
    value.end = []


def _as_tables(value: Listing) -> bool:
    """True where all items are tables and at least one has a shape that one line does not suit."""
    worthy = False
    for item in value.items:
        table = item.value
        if not isinstance(table, Table) or any(child.key in ("sweep", "null") for child in table.entries):
            return False
        if len(table.entries) > 1 and table.flow and next(comments_in(table), None) is None:
            return False
        if len(table.entries) > 1:
            worthy = True
        elif table.entries and not table.flow:
            inner = table.entries[0].value
            worthy = worthy or (
                isinstance(inner, Table) and not inner.flow and bool(inner.entries) and not _is_special(inner)
            )
    return worthy


def _order(table: Table, note: Note) -> None:
    """Put plain keys before tables, each kind in its order."""
    headers = [entry for entry in table.entries if is_header(entry)]
    above: str | None = None
    for entry in table.entries:
        if is_header(entry):
            above = above or entry.key
        elif above is not None:
            note(entry.line, f"the key {entry.key} moves above the table {above}")
    if headers:
        table.entries = [entry for entry in table.entries if not is_header(entry)] + headers


def _sink_end(table: Table) -> None:
    """Keep the comments at the end of `table`; those below a table inside become that table's."""
    end = [line for line in table.end if line]
    table.end = []
    last = table.entries[-1]
    sink = _sink(last) if is_header(last) else table.end
    sink += end


def _sink(entry: Entry) -> list[str]:
    """Where comments go that stand below the table or list of tables `entry`."""
    while True:
        value = entry.value
        if isinstance(value, Listing):
            last = value.items[-1]
            if not children(last.value):
                return entry.above if len(value.items) == 1 else last.above
            entry = last
        elif isinstance(value, Table):
            if not is_header(value.entries[-1]):
                return value.end
            entry = value.entries[-1]
        else:
            return entry.above


def _lift_blank(entry: Entry, table: Table) -> None:
    """A table without a header of its own takes the blank line above the first table inside."""
    if not needs_header(entry, table):
        first = table.entries[0]
        entry.blank = entry.blank or first.blank
        first.blank = False
