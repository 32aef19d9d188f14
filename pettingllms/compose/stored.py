"""A resolved tree as it may be written to files: read again, it resolves to the same values."""

from __future__ import annotations

import re
from typing import Any

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.tree import with_values

_OPENING = re.compile(r"(\\*)\$\{")


def stored_tree(resolution: Resolution) -> dict[str, Any]:
    """The tree of `resolution` with references where values come from environment variables.

    Such values may be secrets, so that only the references to them are written. Plain texts that
    look like references are escaped.
    """
    tree: dict[str, Any] = with_values(escaped(resolution.data), resolution.from_environment)
    return tree


def escaped(value: Any) -> Any:
    """`value` with texts that look like references escaped: read again, they are themselves."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, str) and "${" in value:
        # Each backslash before an opening would itself be an escape.
        return _OPENING.sub(lambda match: match.group(1) * 2 + "\\${", value)
    return value
