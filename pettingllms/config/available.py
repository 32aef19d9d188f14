"""What this version cannot do: keys and values that carry an `Only` mark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pettingllms.compose.tree import get
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import alternatives, is_section, step
from pettingllms.config.model import Only
from pettingllms.config.shape import written
from pettingllms.documents.source import Finding, KeyPath, dotted

NOT_AVAILABLE = "PLM007"


def refused_keys(
    data: Any, annotation: Any = ExperimentConfig, path: KeyPath = ()
) -> Iterator[tuple[KeyPath, Only]]:
    """Every key set in `data` to a value that this version cannot do, with the mark that says so."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        below = step(annotation, key)
        if below is None:
            continue
        for option in alternatives(annotation):
            metadata = option.model_fields[key].metadata if is_section(option) else []
            for mark in metadata:
                if isinstance(mark, Only) and not _allowed(mark, value, below):
                    yield (*path, key), mark
        yield from refused_keys(value, below, (*path, key))


def _allowed(mark: Only, value: Any, annotation: Any) -> bool:
    as_number = type(value) is int and float in alternatives(annotation)
    return mark.allows(float(value) if as_number else value)


def refused_finding(path: KeyPath, values: tuple[Any, ...] | None, data: dict[str, Any]) -> Finding:
    """What is said of a key that `refused_keys` found; `values` are those that its mark allows."""
    name = dotted(path)
    if not values:
        message = f"{name} is not available in this version"
        return Finding(path, message, help=f"remove {name}", at_key=True, code=NOT_AVAILABLE)
    message = f"{name} = {written(get(data, path))} is not available in this version"
    shown = [written(value) for value in values if value is not None]
    help_text = f"available: {', '.join(shown)}" if shown else f"remove {name}"
    return Finding(path, message, help=help_text, code=NOT_AVAILABLE)
