"""The file of one trial: a resolved experiment, written by who starts it and read by the worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pettingllms.compose.references import resolve_references
from pettingllms.compose.special_values import replace_special
from pettingllms.compose.tree import Tree
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.shape import shape_findings
from pettingllms.documents.read import read_document
from pettingllms.errors import RefusedError
from pettingllms.hiding import hide


def read_trial(path: Path) -> ExperimentConfig:
    """Read a `trial.toml`; its references to environment variables are resolved here.

    Raises DocumentError, or RefusedError where it is not a resolved experiment.
    """
    document = read_document(path)
    data, axes, malformed = replace_special(document.data)
    if axes or malformed:
        raise RefusedError(f"{path}: a trial holds no swept value", help="write it with trial_toml")
    resolution = resolve_references(data)
    hide(resolution.secrets)
    for finding in resolution.findings:
        place = Tree.of(document).place(finding.path)
        raise RefusedError(f"{place}: {finding.message}", help=finding.help)
    data = resolution.data
    try:
        return ExperimentConfig.model_validate(data)
    except ValidationError as error:
        finding = shape_findings(error, data, ExperimentConfig)[0]
        place = Tree.of(document).place(finding.path, at_key=finding.at_key)
        raise RefusedError(f"{place}: {finding.message}", help=finding.help) from None


def stored_trial(path: Path) -> dict[str, Any]:
    """The tree of a resolved experiment as it was stored. Raises DocumentError."""
    data: dict[str, Any] = replace_special(read_document(path).data)[0]
    return data


def trial_toml(resolved: Mapping[str, Any]) -> str:
    """Return `resolved` as TOML that `read_trial` reads back; None is written `{ null = true }`."""
    import tomlkit

    return tomlkit.dumps(_with_nulls(resolved))


def _with_nulls(value: Any) -> Any:
    import tomlkit

    if value is None:
        null = tomlkit.inline_table()
        null["null"] = True
        return null
    if isinstance(value, Mapping):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        array = tomlkit.array()
        for item in value:
            array.append(_as_item(_with_nulls(item)))
        return array
    return value


def _as_item(value: Any) -> Any:
    """A value inside a list: tables there are written inline."""
    import tomlkit

    if not isinstance(value, dict):
        return value
    table = tomlkit.inline_table()
    for key, item in value.items():
        table[key] = _as_item(item)
    return table
