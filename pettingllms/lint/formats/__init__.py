"""How diagnostics are written: a table of names, loaded on use."""

from collections.abc import Callable, Sequence

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.registry import Registry

Formatter = Callable[[Sequence[Diagnostic]], str]

FORMATTERS: Registry[Formatter] = Registry(
    "output format",
    {
        "text": "pettingllms.lint.formats.text:format_text",
        "concise": "pettingllms.lint.formats.concise:format_concise",
        "json": "pettingllms.lint.formats.json:format_json",
    },
)
