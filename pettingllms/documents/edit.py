"""Changes of values in a text that leave everything else as it was written, or are refused."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pettingllms.documents.edit_toml import TomlEdit
from pettingllms.documents.edit_yaml import YamlEdit
from pettingllms.documents.literals import same
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import Document, DocumentError, KeyPath, dotted
from pettingllms.errors import RefusedError

_REMOVED = object()


@dataclass(frozen=True, slots=True)
class _Change:
    path: KeyPath
    value: Any
    appended: bool = False


def edit(document: Document, intended: dict[str, Any], written: Mapping[KeyPath, str] | None = None) -> str:
    """Return the text of `document` changed so that its data are `intended`.

    Lines that hold no changed value stay as they are; a key that goes takes its own trailing
    comment with it, and comments above it stay. `written`: how a person wrote new values, taken
    over where the format reads the same from it. Raises RefusedError where the changed text does
    not read as `intended`, as where a value is shared through a YAML anchor.
    """
    intended = _in_format(intended, document.format)
    written = written or {}
    edited, before = document, _in_format(document.data, document.format)
    changed = list(_changes(before, intended, (), written))
    for change in changed:
        edited = _step(edited, change, written.get(change.path))
    removed = [change.path for change in changed if change.value is _REMOVED]
    return verified(document, edited, intended, removed).text


def _step(document: Document, change: _Change, written: str | None) -> Document:
    editor = TomlEdit(document) if document.format == "toml" else YamlEdit(document)
    path = change.path
    if (change.value is _REMOVED or change.appended) and path not in document.spans:
        # What stood there was shared, and went with another change.
        raise refusal(document, path)
    if change.value is _REMOVED:
        return reread(document, editor.remove(path), path)
    text: str | None = None
    if change.appended:
        text = editor.append(path, change.value[len(_at(document.data, path)) :])
    elif path not in document.spans:
        return reread(document, editor.add(path, change.value, written), path)
    if text is None:
        text = editor.replace(path, change.value, written)
    if text is not None:
        return reread(document, text, path)
    shorter = reread(document, editor.remove(path), path)
    return _step(shorter, _Change(path, change.value), written)


def reread(document: Document, text: str, path: KeyPath) -> Document:
    """Read `text`, which is `document` after a change at `path`. Raises RefusedError where it is none."""
    try:
        return parse_document(text, document.path, document.bom)
    except DocumentError:
        raise refusal(document, path) from None


def verified(
    before: Document, edited: Document, intended: dict[str, Any], removed: Sequence[KeyPath] = ()
) -> Document:
    """Return `edited` where its data are `intended`. Raises RefusedError.

    `removed`: keys that went; whether the sections that they leave empty stay does not count.
    """
    # A section that loses its last key may go with it: an empty section says nothing.
    found, wanted = _in_format(edited.data, edited.format), copy.deepcopy(intended)
    for path in removed:
        for length in range(len(path) - 1, 0, -1):
            _drop_empty(found, path[:length])
            _drop_empty(wanted, path[:length])
    if not same(found, wanted):
        wrong = next(iter(_changes(found, wanted)))
        raise refusal(before, wrong.path)
    return edited


def refusal(document: Document, path: KeyPath) -> RefusedError:
    """The error of a change at `path` that cannot be made without changing something else."""
    known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in document.spans), None)
    line = document.spans[known][1].line if known else 1
    message = f"{document.path}:{line}: {dotted(path)} cannot be changed without changing something else"
    return RefusedError(message, help="nothing was written; edit the file by hand here")


def _changes(
    before: Any, after: Any, path: KeyPath = (), whole: Collection[KeyPath] = ()
) -> Iterator[_Change]:
    """The changes that make `after` of `before`: what goes, what changes, what comes.

    `whole`: swept values that are not changed key by key.
    """
    if not path or (_is_section(before) and _is_section(after)):
        yield from (_Change((*path, key), _REMOVED) for key in before if key not in after)
        for key in before:
            if key in after:
                yield from _changes(before[key], after[key], (*path, key), whole)
        for key in after:
            if key not in before:
                yield from _added((*path, key), after[key])
    elif same(before, after):
        return
    elif _are_swept(before, after) and path not in whole:
        for key in before:
            yield from _changes(before[key], after[key], (*path, key), whole)
    elif isinstance(before, list) and isinstance(after, list) and before:
        yield from _changes_of_list(before, after, path)
    else:
        yield _Change(path, after)


def _changes_of_list(before: list[Any], after: list[Any], path: KeyPath) -> Iterator[_Change]:
    """Items that come behind the others, that go, or that change one by one; else the whole list."""
    kept = _kept(before, after)
    if same(before, after[: len(before)]):
        yield _Change(path, after, appended=True)
    elif kept is not None:
        yield from (_Change((*path, i), _REMOVED) for i in reversed(range(len(before))) if i not in kept)
    elif len(before) == len(after) and all(map(_is_alike, before, after)):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changes(one, other, (*path, index))
    else:
        yield _Change(path, after)


def _kept(before: list[Any], after: list[Any]) -> list[int] | None:
    """Which items of `before` are those of `after`; None where `after` has others, or none at all."""
    kept: list[int] = []
    for index, item in enumerate(before):
        if len(kept) < len(after) and same(item, after[len(kept)]):
            kept.append(index)
    return kept if after and len(kept) == len(after) else None


def _is_alike(one: Any, other: Any) -> bool:
    """True where `other` can take the place of `one` in a list without its neighbours."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_alike(one[key], other[key]) for key in one)
    return same(one, other) or (not isinstance(one, (dict, list)) and not isinstance(other, (dict, list)))


def _added(path: KeyPath, value: Any) -> Iterator[_Change]:
    """A new section comes key by key, so that each finds its place."""
    if _is_section(value) and value:
        for key, item in value.items():
            yield from _added((*path, key), item)
    else:
        yield _Change(path, value)


def _is_section(value: Any) -> bool:
    """True for a table of keys; a null and a swept value are tables that stand for a value."""
    return isinstance(value, dict) and next(iter(value), None) not in ("null", "sweep")


def _are_swept(before: Any, after: Any) -> bool:
    """True for two swept values written with the same keys."""
    tables = isinstance(before, dict) and isinstance(after, dict) and list(before) == list(after)
    return tables and next(iter(before), None) == "sweep"


def _in_format(value: Any, name: str) -> Any:
    """`value` with nulls as documents of the format have them."""
    if value is None or value == {"null": True}:
        return None if name == "yaml" else {"null": True}
    if isinstance(value, dict):
        return {key: _in_format(item, name) for key, item in value.items()}
    return [_in_format(item, name) for item in value] if isinstance(value, list) else value


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def _drop_empty(data: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get(path[-1]) == {}:
        del data[path[-1]]
