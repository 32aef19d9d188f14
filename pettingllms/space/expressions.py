"""Expressions of `when` and `constraints`: a text read into a small tree by whitelist, never run as code."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache

from pettingllms.documents.source import KeyPath
from pettingllms.space.parts import (
    Arithmetic,
    Comparison,
    Constant,
    EvaluationError,
    ExpressionError,
    Items,
    Junction,
    Key,
    Negative,
    Not,
    Part,
    UnknownPathError,
)
from pettingllms.space.tokens import MAX_DEPTH, TOKEN, tokens

__all__ = ["EvaluationError", "Expression", "ExpressionError", "UnknownPathError", "parse"]

MAX_LENGTH = 2000
"""Characters of an expression."""
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and what it means; `keys`: each key that it names, in order."""

    text: str
    root: Part
    keys: tuple[Key, ...]

    @property
    def paths(self) -> frozenset[KeyPath]:
        """The paths of the experiment that it names."""
        return frozenset(key.path for key in self.keys)


@lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """Read `text`. Raises ExpressionError where it is no expression."""
    if len(text) > MAX_LENGTH:
        message = f"the expression has {len(text)} characters, more than {MAX_LENGTH}"
        raise ExpressionError(message, MAX_LENGTH)
    names, python = tokens(text)
    if not python.strip():
        raise ExpressionError("the expression is empty", 0)
    indent = len(python) - len(python.lstrip())
    try:
        tree = ast.parse(python[indent:], mode="eval")
    except SyntaxError as error:
        # Python puts the fault at 0 where the text ends too early.
        raise _unexpected(text, indent + error.offset - 1 if error.offset else len(text)) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError("the expression cannot be read", 0, len(text)) from None
    reader = _Reader(text, names, indent)
    root = reader.part(tree.body, 0)
    keys = sorted((key for key in names.values() if isinstance(key, Key)), key=lambda key: key.start)
    return Expression(text, root, tuple(keys))


def _unexpected(text: str, offset: int) -> ExpressionError:
    """What is said where Python's grammar stops; every word before it was understood."""
    offset += len(text[offset:]) - len(text[offset:].lstrip())
    match = TOKEN.match(text, offset)
    if match is None:
        return ExpressionError("something is missing at the end", max(len(text.rstrip()) - 1, 0))
    help_text = "write ==" if match[0] == "is" else None
    word = match[0] if match.lastgroup == "text" else repr(match[0])
    return ExpressionError(f"{word} is not expected here", offset, len(match[0]), help_text)


class _Reader:
    """Turns Python's tree into ours, and refuses everything that has no place in it."""

    def __init__(self, text: str, names: dict[int, Constant | Key], indent: int) -> None:
        self.text, self.names, self.indent = text, names, indent

    def part(self, node: ast.expr, depth: int) -> Part:
        start, end = self.span(node)
        if depth > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} operations are nested", start)
        found: Part | None = None
        match node:
            case ast.Name():
                found = self.names[start]
            case ast.List(elts=items) | ast.Tuple(elts=items):
                found = Items(start, end, tuple(self.part(item, depth + 1) for item in items))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = Negative(start, end, self.part(operand, depth + 1))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = Not(start, end, self.part(operand, depth + 1))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                sides = self.part(left, depth + 1), self.part(right, depth + 1)
                found = Arithmetic(start, end, _ARITHMETIC[type(sign)], *sides)
            case ast.Compare(left=left, ops=signs, comparators=others) if all(
                type(sign) in _COMPARISONS for sign in signs
            ):
                words = [_COMPARISONS[type(sign)] for sign in signs]
                rest = zip(words, [self.part(other, depth + 1) for other in others], strict=True)
                found = Comparison(start, end, self.part(left, depth + 1), tuple(rest))
            case ast.BoolOp(op=joint, values=values):
                word = "and" if isinstance(joint, ast.And) else "or"
                found = Junction(start, end, word, tuple(self.part(value, depth + 1) for value in values))
        if found is None:
            raise self.refused(node, start, end)
        return found

    def span(self, node: ast.expr) -> tuple[int, int]:
        # The masked text is ASCII, so that Python's byte offsets are indexes.
        return node.col_offset + self.indent, (node.end_col_offset or node.col_offset) + self.indent

    def refused(self, node: ast.expr, start: int, end: int) -> ExpressionError:
        what = {
            ast.Call: "functions cannot be called",
            ast.Subscript: "brackets after a key have no meaning",
            ast.UnaryOp: "a plus sign stands between two numbers",
        }
        help_text = "write the index as a key: a.0" if isinstance(node, ast.Subscript) else None
        message = what.get(type(node), f"{self.text[start:end]} has no meaning in an expression")
        return ExpressionError(message, start, end - start, help_text)
