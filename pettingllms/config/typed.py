"""From a resolved tree to a typed experiment: faulty keys are left out, and the others still checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.stored import stored_tree
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.available import refused_finding, refused_keys
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.shape import UNKNOWN_KEY, shape_findings
from pettingllms.documents.source import Finding, KeyPath


@dataclass(slots=True)
class Typed:
    """One cell: its resolved tree, its typed form where there is one, and the faults.

    `stored`: the tree as it may be written to files; `secrets`: texts of environment variables, which
    must not be shown, and what is shown in their place. `dropped`: paths that were left out of `config`
    because they are faulty.
    """

    data: dict[str, Any]
    stored: dict[str, Any]
    config: ExperimentConfig | None
    findings: list[Finding]
    secrets: Mapping[str, str] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: set[KeyPath] = field(default_factory=set)


def type_cell(resolution: Resolution, faulty: frozenset[KeyPath] = frozenset()) -> Typed:
    """Type a resolved tree. Faulty keys are reported and left out, so that the others still get checked."""
    dropped = {_whole_list(path) for path in resolution.broken | faulty}
    data = _without(resolution.data, (), dropped)
    findings: list[Finding] = []
    config: ExperimentConfig | None = None
    # Each round leaves out what the last one found; a union or a list may then show a further fault.
    for _ in range(4):
        try:
            config = ExperimentConfig.model_validate(data)
        except ValidationError as error:
            new = shape_findings(error, data, ExperimentConfig)
            findings += [finding for finding in new if not _explained(finding.path, dropped)]
            faulty_paths = (finding.path for finding in new if get(data, finding.path) is not MISSING)
            paths = {_whole_list(path) for path in faulty_paths}
            if not paths:
                break
            # Leaving out an unknown key takes no value away from the rules.
            dropped |= paths - {finding.path for finding in new if finding.code == UNKNOWN_KEY}
            data = _without(data, (), paths)
        else:
            break
    for path, mark in refused_keys(resolution.data):
        if not _explained(path, dropped):
            findings.append(refused_finding(path, mark.values, resolution.data))
    stored = stored_tree(resolution)
    return Typed(resolution.data, stored, config, findings, resolution.secrets, resolution.origins, dropped)


def _whole_list(path: KeyPath) -> KeyPath:
    """The part of `path` down to its first list: leaving out one item would renumber the others."""
    return next((path[:length] for length, part in enumerate(path) if isinstance(part, int)), path)


def _explained(path: KeyPath, dropped: set[KeyPath]) -> bool:
    """True where a fault at `path` only repeats that something above or at it is already faulty."""
    return any(path[:length] in dropped for length in range(1, len(path) + 1))


def _without(node: Any, path: KeyPath, paths: set[KeyPath]) -> Any:
    if isinstance(node, dict):
        return {k: _without(v, (*path, k), paths) for k, v in node.items() if (*path, k) not in paths}
    if isinstance(node, list):
        kept = ((i, v) for i, v in enumerate(node) if (*path, i) not in paths)
        return [_without(v, (*path, i), paths) for i, v in kept]
    return node
