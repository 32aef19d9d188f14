"""What several formats write of a diagnostic: its rule's name, its file, its words in one line."""

from __future__ import annotations

import os
from pathlib import PurePath

from pettingllms.lint.diagnostic import Diagnostic


def rule_name(code: str) -> str | None:
    """The name of the rule `code`, such as `unknown-turn-order-agent`."""
    import pettingllms.lint.rules  # noqa: F401 - fills RULES
    from pettingllms.lint.rule import RULES

    return RULES[code].name if code in RULES else None


def title(code: str) -> str:
    """The code and the name of its rule."""
    return f"{code} {rule_name(code) or ''}".rstrip()


def printable(text: str, keep: str = "") -> str:
    """`text` with control characters replaced, which could otherwise steer a terminal."""
    return "".join(c if c.isprintable() or c in keep else "�" for c in text)


def one_line(text: str) -> str:
    """`text` in one line that a terminal can show."""
    return printable(" ".join(text.split()))


def is_file(name: str) -> bool:
    """False for the names of texts that no file holds: `<stdin>`, `<command line>`."""
    return not name.startswith("<")


def posix(name: str) -> str:
    """The name of a file as it is written in repositories: no `./`, no `a/../`, slashes."""
    return PurePath(os.path.normpath(name)).as_posix() if is_file(name) else name


def words(diagnostic: Diagnostic, between: str = "\n") -> str:
    """The message and, where there is any, the help; each in one line."""
    message = one_line(diagnostic.words)
    return f"{message}{between}help: {one_line(diagnostic.help)}" if diagnostic.help else message
