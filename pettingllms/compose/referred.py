"""The keys and environment variables that a text with `${…}` names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pettingllms.compose.expressions import Call, Expression, Items, Joined, Literal, Pairs, Reference
from pettingllms.documents.source import KeyPath


def referred(expression: Expression, path: KeyPath) -> Iterator[tuple[str, KeyPath | str]]:
    """Each reference of an expression that stands at `path`, as written, with what it names.

    A key is an absolute path, an environment variable its name. References inside of others come
    before them; one whose own name depends on another is left out.
    """
    for inner in inside(expression):
        yield from referred(inner, path)
    if isinstance(expression, Reference) and all(isinstance(part, str) for part in expression.parts):
        yield expression.text, absolute("".join(map(str, expression.parts)), path)
    elif isinstance(expression, Call) and expression.arguments:
        first = constant(expression.arguments[0])
        if first is not None and expression.name == ("oc", "env"):
            yield expression.text, first
        elif first is not None and expression.name == ("oc", "select"):
            yield expression.text, absolute(first, path)


def absolute(key: str, path: KeyPath) -> KeyPath:
    """The path that `key` names from `path`: a leading dot is the section around it, two the next one."""
    dots = len(key) - len(key.lstrip("."))
    keys = tuple(re.findall(r"[^.\[\]]+", key))
    return (*path[: max(len(path) - dots, 0)], *keys) if dots else keys


def inside(expression: Expression) -> list[Expression]:
    """The expressions that one is made of."""
    if isinstance(expression, Pairs):
        return [item for _, item in expression.pairs]
    if isinstance(expression, Items):
        return list(expression.items)
    if isinstance(expression, Call):
        return list(expression.arguments)
    if isinstance(expression, Reference | Joined):
        return [part for part in expression.parts if not isinstance(part, str)]
    return []


def constant(expression: Expression) -> str | None:
    """The text of an argument that holds no reference."""
    pieces = expression.parts if isinstance(expression, Joined) else (expression,)
    texts = [str(piece.value) for piece in pieces if isinstance(piece, Literal)]
    return "".join(texts) if len(texts) == len(pieces) else None
