"""Whole-number arithmetic of the shell, `$((…))`, computed from a checked syntax tree."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

_LIMIT = 2**63
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: int(a / b) if abs(a) < 2**52 else a // b,
    ast.Mod: lambda a, b: a - b * int(a / b),
}


class ArithmeticFault(Exception):  # noqa: N818 - says why, shown to people
    """The expression has no value that is known beforehand."""


def evaluate(text: str, variable: Callable[[str], str]) -> int:
    """The value of `text`; `variable` gives the text of a variable. Raises ArithmeticFault."""
    plain = re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: match.group(1) or match.group(2), text.strip())
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ArithmeticFault("only + - * / % and parentheses are computed") from None
    return _value(tree, variable)


def _value(node: ast.expr, variable: Callable[[str], str]) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        text = variable(node.id).strip()
        if re.fullmatch(r"[+-]?\d{1,18}", text):
            return int(text)
        raise ArithmeticFault(f"{node.id} is {text[:40]!r}, no whole number")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, variable)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, variable), _value(node.right, variable)
        if right == 0 and isinstance(node.op, (ast.Div, ast.Mod)):
            raise ArithmeticFault("it divides by zero")
        result = _OPERATORS[type(node.op)](left, right)
        if abs(result) >= _LIMIT:
            raise ArithmeticFault("the number is too large")
        return result
    raise ArithmeticFault("only + - * / % and parentheses are computed")
