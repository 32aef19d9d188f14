"""An experiment file with other prompts in place: all else stays as it was written, or means the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pettingllms.compose.special_values import replace_special
from pettingllms.compose.stored import escaped
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.rewritten import put, rewritten
from pettingllms.config.trial_file import trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import Document, KeyPath

Texts = Mapping[str, Mapping[str, Any]]
"""By the name of an agent: its `system_prompt`, and its `examples` as a list of {user, assistant}."""


def with_prompts(source: Document, resolved: Document, config: ExperimentConfig, texts: Texts) -> str | None:
    """The text of `source` with `texts` in place, and with what overrides and a sweep gave `resolved`.

    `source`: the file as it was written; `resolved`: what it meant in the run of `config`. Comments and all
    other lines stay as they are. None where the file cannot say it alone: it builds on files that are not
    found from where it lies.
    """
    wanted = _wanted(resolved, config, texts)
    data = copy.deepcopy(source.data)
    for path, value in _prompts(config, texts):
        put(data, path, value)
    return rewritten(source, data, wanted, lambda text: _stored(source, text))


def resolved_with_prompts(resolved: Document, config: ExperimentConfig, texts: Texts) -> str:
    """What `resolved` says with `texts` in place, as a TOML file that needs no other one."""
    return trial_toml(_wanted(resolved, config, texts))


def _wanted(resolved: Document, config: ExperimentConfig, texts: Texts) -> dict[str, Any]:
    data: dict[str, Any] = replace_special(copy.deepcopy(resolved.data))[0]
    for path, value in _prompts(config, texts):
        put(data, path, value)
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
