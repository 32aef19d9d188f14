"""How diagnostics are written: a table of names, loaded on use."""

from collections.abc import Sequence
from typing import Protocol

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.registry import Registry


class Formatter(Protocol):
    """From diagnostics to a text; the second argument names every file that was checked."""

    def __call__(self, diagnostics: Sequence[Diagnostic], files: Sequence[str] = (), /) -> str:
        """Return the whole text, its last line end included."""
        ...


FORMATTERS: Registry[Formatter] = Registry(
    "output format",
    {
        "text": "pettingllms.lint.formats.text:format_text",
        "concise": "pettingllms.lint.formats.concise:format_concise",
        "json": "pettingllms.lint.formats.json:format_json",
        "github": "pettingllms.lint.formats.github:format_github",
        "sarif": "pettingllms.lint.formats.sarif:format_sarif",
        "gitlab": "pettingllms.lint.formats.gitlab:format_gitlab",
        "junit": "pettingllms.lint.formats.junit:format_junit",
    },
)
