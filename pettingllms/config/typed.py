"""From a resolved tree to a typed experiment: faulty keys are left out, and the others still checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.stored import stored_tree
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.accepted import Accepted, accept
from pettingllms.config.available import refused_finding, refused_keys
from pettingllms.config.edits import edited, is_in, redirected
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import alternatives, annotation_at, describe, is_section
from pettingllms.config.shape import MISSING_KEY, UNKNOWN_KEY, WRONG_TYPE, shape_findings
from pettingllms.documents.source import Finding, KeyPath

ROUNDS = 8
PLACEHOLDER = "?"


@dataclass(slots=True)
class Typed:
    """One cell: its tree as the schema has it, its typed form where there is one, and what was found.

    `stored`: the tree as it may be written to files; `secrets`: texts of environment variables, which
    must not be shown, and what is shown in their place. `dropped`: paths at which `config` does not
    hold what the file says, because that is faulty or missing. `moved`: new path → old path of keys
    that are read as another key. `idle`: paths of keys that have no effect, or are refused, which
    `data` does not hold.
    """

    data: dict[str, Any]
    stored: dict[str, Any]
    config: ExperimentConfig | None
    findings: list[Finding]
    secrets: Mapping[str, str] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: set[KeyPath] = field(default_factory=set)
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    idle: set[KeyPath] = field(default_factory=set)


def type_cell(resolution: Resolution, faulty: frozenset[KeyPath] = frozenset()) -> Typed:
    """Type a resolved tree. Faulty keys are reported and left out, so that the others still get checked."""
    unsure = {_whole_list(path) for path in resolution.broken | faulty}
    accepted = accept(resolution.data, unsure, resolution.origins.values())
    dropped = unsure | {new for new, old in accepted.moved.items() if is_in(old, unsure)}
    findings = list(accepted.findings)
    config = _config(accepted.data, dropped, findings)
    findings = [_of_environment(finding, resolution) for finding in findings]
    for path, mark in refused_keys(accepted.data):
        if not is_in(path, dropped):
            findings.append(refused_finding(path, mark.values, accepted.data))
    return Typed(
        accepted.data,
        _stored(resolution, accepted),
        config,
        findings,
        resolution.secrets,
        resolution.origins,
        dropped,
        accepted.moved,
        accepted.removed - set(accepted.moved.values()),
    )


def _of_environment(finding: Finding, resolution: Resolution) -> Finding:
    """The finding with help for a text of the environment that stands where a number is wanted."""
    text = resolution.from_environment.get(finding.path)
    wanted = describe(annotation_at(finding.path))
    if finding.code != WRONG_TYPE or text is None or "number" not in wanted:
        return finding
    help_text = f'a value of the environment is text; write "${{oc.decode:{text}}}"'
    return replace(finding, help=help_text, fix=None)


def _config(data: dict[str, Any], dropped: set[KeyPath], findings: list[Finding]) -> ExperimentConfig | None:
    """The typed form of `data`; what is left out of it for a fault is added to `dropped`."""
    data = edited(data, dropped, {}) if dropped else data
    # Each round mends what the last one found; a union or a list may then show a further fault.
    for _ in range(ROUNDS):
        try:
            return ExperimentConfig.model_validate(data)
        except ValidationError as error:
            new = shape_findings(error, data, ExperimentConfig)
            findings += [finding for finding in new if not is_in(finding.path, dropped)]
            # Leaving out an unknown key takes no value away from the rules.
            dropped |= {_whole_list(finding.path) for finding in new if finding.code != UNKNOWN_KEY}
            missing = [f.path for f in new if f.code == MISSING_KEY and _whole_list(f.path) == f.path]
            put = {path: _placeholder(annotation_at(path), _field_at(path)) for path in missing}
            removed = {_whole_list(finding.path) for finding in new} - set(put)
            if not put and all(get(data, path) is MISSING for path in removed):
                return None
            data = edited(data, removed, put)
    return None


def _stored(resolution: Resolution, accepted: Accepted) -> dict[str, Any]:
    if not accepted.changed:
        return stored_tree(resolution)
    return accepted.applied(stored_tree(redirected(resolution, accepted.removed, accepted.moved)))


def _whole_list(path: KeyPath) -> KeyPath:
    """The part of `path` down to its first list: leaving out one item would renumber the others."""
    return next((path[:length] for length, part in enumerate(path) if isinstance(part, int)), path)


def _field_at(path: KeyPath) -> FieldInfo | None:
    for option in alternatives(annotation_at(path[:-1])):
        if is_section(option):
            found: FieldInfo | None = option.model_fields.get(path[-1])
            return found
    return None


def _placeholder(annotation: Any, field_info: FieldInfo | None) -> Any:
    """Some value of the right type: it stands for one that is missing, and no rule looks at it."""
    option = alternatives(annotation)[0]
    kind = get_origin(option) or option
    bounds = _bounds(field_info)
    if is_section(option):
        fields = option.model_fields.items()
        return {key: _placeholder(f.annotation, f) for key, f in fields if f.is_required()}
    if kind is Literal:
        return get_args(option)[0]
    if kind is list:
        return [_placeholder(get_args(option)[0], None)] * int(bounds.get("min_length", 0))
    if kind in (int, float):
        least = max(1, bounds.get("ge", 1), bounds.get("gt", 0) + 1)
        return kind(min(least, bounds.get("le", least)))
    empty: dict[Any, Any] = {str: PLACEHOLDER, bool: False, dict: {}}
    return empty.get(kind)


def _bounds(field_info: FieldInfo | None) -> dict[str, float]:
    marks = field_info.metadata if field_info is not None else []
    names = ("ge", "gt", "le", "min_length")
    return {name: getattr(mark, name) for mark in marks for name in names if hasattr(mark, name)}
