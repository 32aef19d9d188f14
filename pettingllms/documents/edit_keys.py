"""Keys renamed and moved in a text: the value keeps its spelling, and comments go with their key."""

from __future__ import annotations

import copy
import re
from collections import Counter
from typing import Any

from pettingllms.documents.edit import refusal, reread, verified
from pettingllms.documents.edit_toml import TomlEdit
from pettingllms.documents.edit_yaml import YamlEdit
from pettingllms.documents.layout import Layout
from pettingllms.documents.source import Document, KeyPath

_COMMENTS = {"toml": re.compile(r"#[^\r\n]*"), "yaml": re.compile(r"(?<!\S)#[^\r\n]*")}


def renamed(document: Document, path: KeyPath, key: str) -> str:
    """Return the text of `document` with `key` for the last key of `path`, at every place that names it.

    Raises RefusedError where nothing stands at `path`, or `key` is there already.
    """
    intended = copy.deepcopy(document.data)
    section, to = _at(intended, path[:-1]), (*path[:-1], key)
    if not isinstance(section, dict) or path[-1] not in section or key in section:
        raise refusal(document, path)
    pairs = [(key if name == path[-1] else name, value) for name, value in section.items()]
    section.clear()
    section.update(pairs)
    return _checked(document, _editor(document).rekey(path, to), intended, path)


def moved(document: Document, path: KeyPath, to: KeyPath) -> str:
    """Return the text of `document` with the key at `path` put at `to`, a section made where there is none.

    The comment behind the value and the comments right above the key go with it. Raises RefusedError
    where nothing stands at `path`, something stands at `to`, or a comment would be lost.
    """
    intended = copy.deepcopy(document.data)
    section = _at(intended, path[:-1])
    inside = path == to[: len(path)] or to == path[: len(to)]
    if inside or not isinstance(section, dict) or path[-1] not in section:
        raise refusal(document, path)
    value = section.pop(path[-1])
    node: Any = intended
    for part in to[:-1]:
        node = node.setdefault(part, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or to[-1] in node:
        raise refusal(document, path)
    node[to[-1]] = value
    editor = _editor(document)
    stretch = editor.stretch(path)
    text = editor.rekey(path, to) if stretch is None else _carried(document, stretch, path, to)
    return _checked(document, text, intended, path)


def comments(document: Document) -> list[tuple[int, str]]:
    """Every comment of the text, with the number of its line."""
    layout = Layout(document.text)
    above = {path[:-1] for path in document.spans}
    masked = list(document.text)
    for path, (key, value) in document.spans.items():
        # An item of a list has no key; what it spans may hold comments.
        own = () if isinstance(path[-1], int) else (key,)
        for span in own if path in above else (*own, value):
            start, end = layout.offsets(span)
            masked[start:end] = "_" * (end - start)
    found = _COMMENTS[document.format].finditer("".join(masked))
    return [(layout.line_at(match.start()), match.group()) for match in found]


def _carried(
    document: Document, stretch: tuple[int, int, tuple[int, int] | None], path: KeyPath, to: KeyPath
) -> str | None:
    """The text with the value and its comments taken out and put in at `to`."""
    start, end, lines = stretch
    layout = Layout(document.text)
    value, block, indent, shorter = layout.text[start:end], [], "", document
    if lines is not None:
        first, indent = _first_comment(document, layout, lines[0]), layout.indent(lines[0])
        block = [layout.line(number)[len(indent) :] for number in range(first, lines[0])]
        last = layout.line_at(layout.offsets(document.spans[path][1])[1])
        text = _without(Layout(_without(layout, last + 1, lines[1])), first, lines[0] - 1)
        shorter = reread(document, text, path)
    shorter = reread(document, _editor(shorter).remove(path), path)
    longer = _editor(reread(document, _editor(shorter).add(to, 0, None), path))
    spot = longer.stretch(to)
    if spot is None or (spot[2] is None and block):
        return None
    layout = longer.layout
    if spot[2] is not None:
        new = layout.indent(spot[2][0])
        if document.format == "yaml":
            value = re.sub(rf"\n{indent}(?=[^\r\n])", f"\n{new}", value)
        block = [new + line for line in block]
    text = layout.replaced(spot[0], layout.offsets(longer.document.spans[to][1])[1], value)
    return Layout(text).with_lines(spot[2][0] - 1, block) if spot[2] and block else text


def _first_comment(document: Document, layout: Layout, line: int) -> int:
    """The first line of the comments right above `line`; what opens the file stays there."""
    first, known = line, {number for number, _ in comments(document)}
    indent = layout.indent(line)
    while first - 1 in known and layout.is_comment(first - 1) and layout.indent(first - 1) == indent:
        first -= 1
    return first if first > 1 else line


def _without(layout: Layout, first: int, last: int) -> str:
    end = layout.starts[last] if last < len(layout.starts) else len(layout.text)
    return layout.replaced(layout.starts[first - 1], end, "") if first <= last else layout.text


def _checked(document: Document, text: str | None, intended: dict[str, Any], path: KeyPath) -> str:
    if text is None:
        raise refusal(document, path)
    edited = verified(document, reread(document, text, path), intended, [path])
    if Counter(text for _, text in comments(document)) != Counter(text for _, text in comments(edited)):
        raise refusal(document, path)
    return edited.text


def _editor(document: Document) -> TomlEdit | YamlEdit:
    return TomlEdit(document) if document.format == "toml" else YamlEdit(document)


def _at(data: Any, path: KeyPath) -> Any:
    """What stands at `path`; None where nothing does."""
    for part in path:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        data = data[part] if in_list or (isinstance(data, dict) and part in data) else None
    return data
