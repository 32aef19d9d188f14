"""A composed file as it is read without the types of an experiment: for showing, explaining, comparing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.compose.compose import Composition, compose
from pettingllms.compose.mounted import mounted_findings
from pettingllms.compose.overrides import Schema
from pettingllms.compose.references import resolve_references
from pettingllms.compose.resolution import Resolution
from pettingllms.compose.special_values import replace_special
from pettingllms.compose.tree import keys_in, with_values
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.hiding import hide, not_in_the_open


@dataclass(frozen=True, slots=True)
class Untyped:
    """A file after composition, and with its swept values at their defaults and its references resolved.

    `axes`: the sweep tables by path. `findings`: the faults of composition, special values and references.
    """

    composition: Composition
    axes: dict[KeyPath, dict[str, Any]]
    resolution: Resolution
    findings: list[Finding]


def read_untyped(
    path: Path, overrides: Sequence[str] = (), *, schema: Schema, overlays: Sequence[Path] = ()
) -> Untyped:
    """Compose `path` and resolve it; a fault in one value leaves the others as they are.

    Raises DocumentError where the file cannot be read.
    """
    composition = compose(path, overrides, schema=schema, overlays=overlays)
    tree = composition.tree
    tree.data, axes, malformed = replace_special(tree.data)
    defaults = {path: table["default"] for path, table in axes.items() if "default" in table}
    resolution = resolve_references(with_values(tree.data, defaults))
    resolution.secrets = not_in_the_open(resolution.secrets, keys_in(tree.data))
    hide(resolution.secrets)
    resolution.findings = mounted_findings(tree, resolution)
    return Untyped(composition, axes, resolution, [*composition.findings, *malformed, *resolution.findings])
