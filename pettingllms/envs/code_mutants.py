"""Programs that are wrong on purpose: a right one with one small change, of the kinds that people make."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def mutants(source: str, count: int) -> list[str]:
    """Up to `count` different programs, each `source` with one operator or one small number changed.

    They are spread over the whole program and the same each time. Some may compute the same as `source`.
    Empty where it cannot be parsed.
    """
    try:
        tree = ast.parse(source)
        found = list(dict.fromkeys(_changed(tree)))
    except (SyntaxError, ValueError, RecursionError):
        return []
    step = max(1, len(found) // count)
    return found[::step][:count]


def _changed(tree: ast.Module) -> Iterator[str]:
    for number, node in enumerate(ast.walk(tree)):
        for field, replacement in _replacements(node):
            twin = deepcopy(tree)
            place = next(other for index, other in enumerate(ast.walk(twin)) if index == number)
            setattr(place, field, replacement)
            yield ast.unparse(twin)


def _replacements(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What may stand in a field of `node` instead."""
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in _SWAPPED:
        yield "op", _SWAPPED[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
        yield "ops", [_SWAPPED[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 1000:
        yield "value", node.value + 1
