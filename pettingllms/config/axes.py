"""Swept values of a composed file: the axes that sweep tables make, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from pettingllms.config.available import refused_finding, refused_keys
from pettingllms.config.shape import AXIS, MISSING_KEY, shape_findings
from pettingllms.config.sweep import ChoiceAxis
from pettingllms.documents.source import Finding, KeyPath, dotted

NOT_AVAILABLE = "PLM007"


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept value: where it stands, what is tried, and what a plain run uses."""

    path: KeyPath
    values: tuple[Any, ...]
    default: Any


def axes_of(
    tables: Mapping[KeyPath, dict[str, Any]],
) -> tuple[tuple[Axis, ...], frozenset[KeyPath], list[Finding]]:
    """The axes that sweep tables make, the paths of those that make none, and why."""
    axes: list[Axis] = []
    faulty: set[KeyPath] = set()
    findings: list[Finding] = []
    for path, table in tables.items():
        faults = _axis_findings(path, table, tables)
        findings += faults
        if faults:
            faulty.add(path)
        else:
            axes.append(Axis(path, tuple(table["values"]), table["default"]))
    return tuple(axes), frozenset(faulty), findings


def _axis_findings(path: KeyPath, table: dict[str, Any], tables: Mapping[KeyPath, Any]) -> list[Finding]:
    if path[0] in ("sweep", "format") or any(path[:n] in tables for n in range(1, len(path))):
        where = "inside another swept value" if path[0] not in ("sweep", "format") else "here"
        return [Finding(path, f"{dotted(path)} cannot be swept: no axis may stand {where}", code=AXIS)]
    found: list[Finding] = []
    if table["sweep"] in ("int", "float"):
        kind = table["sweep"]
        message = f'a sweep of kind "{kind}" is not available in this version'
        return [
            Finding((*path, "sweep"), message, help='use sweep = "choice" with values', code=NOT_AVAILABLE)
        ]
    try:
        ChoiceAxis.model_validate(table)
    except ValidationError as error:
        found += [_as_axis_fault(finding) for finding in shape_findings(error, table, ChoiceAxis, path)]
    if not found:
        found += [
            refused_finding((*path, *where), None, table) for where, _ in refused_keys(table, ChoiceAxis)
        ]
    return found


def _as_axis_fault(finding: Finding) -> Finding:
    shape = '{ sweep = "choice", values = […], default = … }'
    help_text = f"write {shape}" if finding.code == MISSING_KEY else finding.help
    return replace(finding, help=help_text, code=AXIS)
