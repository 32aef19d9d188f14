"""Special values: `{ null = true }`, and `{ sweep = … }`, which stands for several values."""

from __future__ import annotations

from typing import Any

from pettingllms.documents.source import Finding, KeyPath

MALFORMED = "PLM008"
NULL = {"null": True}


def special_kind(value: Any) -> str | None:
    """`null` or `sweep` where `value` is a table whose first key is that word."""
    first = next(iter(value), None) if isinstance(value, dict) else None
    return first if first in ("null", "sweep") else None


def plain_nulls(value: Any) -> Any:
    """Return `value` with None for each `{ null = true }` at or in it; tables of keys are left alone."""
    if value == NULL and isinstance(value, dict):
        return None
    if isinstance(value, list):
        return [plain_nulls(item) for item in value]
    if special_kind(value) == "sweep":
        return {key: plain_nulls(item) for key, item in value.items()}
    return value


def replace_special(
    data: dict[str, Any],
) -> tuple[dict[str, Any], dict[KeyPath, dict[str, Any]], list[Finding]]:
    """Return `data` with null tables as None, the sweep tables by path (still in place), and the faults."""
    axes: dict[KeyPath, dict[str, Any]] = {}
    findings: list[Finding] = []
    replaced = {key: _replace(value, (key,), axes, findings) for key, value in data.items()}
    return replaced, axes, findings


def _replace(value: Any, path: KeyPath, axes: dict[KeyPath, dict[str, Any]], findings: list[Finding]) -> Any:
    if isinstance(value, list):
        return [_replace(item, (*path, index), axes, findings) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    # The root section [sweep] may itself hold a key `sweep` by mistake; it is not an axis.
    kind = special_kind(value) if path != ("sweep",) else None
    if kind == "null":
        if value != NULL:
            findings.append(
                Finding(path, "a null is written { null = true }, and nothing else", code=MALFORMED)
            )
        return None
    inside = {key: _replace(item, (*path, key), axes, findings) for key, item in value.items()}
    if kind == "sweep":
        axes[path] = inside
    return inside
