"""An experiment file with other prompts in place: all else stays as it was written, or means the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pettingllms.compose.special_values import replace_special
from pettingllms.compose.stored import escaped
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.trial_file import trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.documents.edit import edit
from pettingllms.documents.source import Document, DocumentError, KeyPath
from pettingllms.errors import RefusedError

Texts = Mapping[str, Mapping[str, Any]]
"""By the name of an agent: its `system_prompt`, and its `examples` as a list of {user, assistant}."""

MOST_CHANGES = 200
"""Values that overrides and a sweep may have set; a file with more of them is written anew."""
_MISSING = object()


def with_prompts(source: Document, resolved: Document, config: ExperimentConfig, texts: Texts) -> str | None:
    """The text of `source` with `texts` in place, and with what overrides and a sweep gave `resolved`.

    `source`: the file as it was written; `resolved`: what it meant in the run of `config`. Comments and all
    other lines stay as they are. None where the file cannot say it alone: it builds on files that are not
    found from where it lies.
    """
    wanted = _wanted(resolved, config, texts)
    data = copy.deepcopy(source.data)
    for path, value in _prompts(config, texts):
        _put(data, path, value)
    try:
        for _ in range(MOST_CHANGES):
            text = edit(source, data)
            found = _stored(source, text)
            change = None if found is None else _first_difference(found, wanted)
            if found is None or change is None:
                return None if found is None else text
            path, value = change
            if value is _MISSING:
                _drop(data, path)
            else:
                _put(data, path, _on_axis(data, path, value))
    except (DocumentError, RefusedError, LookupError, TypeError):
        # It cannot be edited here without changing something else.
        return None
    return None


def resolved_with_prompts(resolved: Document, config: ExperimentConfig, texts: Texts) -> str:
    """What `resolved` says with `texts` in place, as a TOML file that needs no other one."""
    return trial_toml(_wanted(resolved, config, texts))


def _wanted(resolved: Document, config: ExperimentConfig, texts: Texts) -> dict[str, Any]:
    data: dict[str, Any] = replace_special(copy.deepcopy(resolved.data))[0]
    for path, value in _prompts(config, texts):
        _put(data, path, value)
    return data


def _prompts(config: ExperimentConfig, texts: Texts) -> list[tuple[KeyPath, Any]]:
    return [
        # A text that looks like a reference is none.
        (("agent_policy_configs", "agent_configs", key, name), escaped(value))
        for key, agent in config.agent_policy_configs.agent_configs.items()
        for name, value in texts.get(agent.name, {}).items()
    ]


def _stored(source: Document, text: str) -> dict[str, Any] | None:
    """What `text` in the place of `source` says with its axes' defaults; None where it is no experiment."""
    draft = draft_experiment(source.path, text=text)
    if not draft.complete or draft.findings:
        return None
    typed = type_cell(choose(draft, {axis.path: axis.default for axis in draft.axes}))
    return typed.stored if typed.config is not None else None


def _first_difference(
    found: Mapping[str, Any], wanted: Mapping[str, Any], path: KeyPath = ()
) -> tuple[KeyPath, Any] | None:
    """The first place where `found` is not as `wanted`, and what belongs there."""
    for key in dict.fromkeys([*found, *wanted]):
        one, other = found.get(key, _MISSING), wanted.get(key, _MISSING)
        if not path and key in ("defaults", "sweep"):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            below = _first_difference(one, other, (*path, key))
            if below is not None:
                return below
        elif type(one) is not type(other) or one != other:
            return (*path, key), other
    return None


def _on_axis(data: Mapping[str, Any], path: KeyPath, value: Any) -> Any:
    """`value` as the default of the axis at `path`; itself where there is none, or it is not on it."""
    there: Any = data
    for part in path:
        there = there.get(part) if isinstance(there, dict) else None
    if not isinstance(there, dict) or next(iter(there), None) != "sweep":
        return value
    return {**there, "default": value} if value in there.get("values", [value]) else value


def _put(data: Any, path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    data[path[-1]] = value


def _drop(data: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]
