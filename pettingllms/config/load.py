"""From a file and its overrides to a typed experiment, each fault with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.compose.compose import compose
from pettingllms.compose.mounted import mounted_findings
from pettingllms.compose.references import resolve_references
from pettingllms.compose.resolution import Resolution
from pettingllms.compose.special_values import replace_special
from pettingllms.compose.tree import Tree, keys_in, with_values
from pettingllms.config.axes import Axis, axes_of
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.plugin_paths import place_plugins
from pettingllms.config.recognise import not_an_experiment
from pettingllms.config.typed import Typed
from pettingllms.documents.source import Document, Finding, KeyPath
from pettingllms.errors import RefusedError
from pettingllms.hiding import hide, not_in_the_open

EMPTY = "PLM010"


@dataclass(frozen=True, slots=True)
class LoadedExperiment:
    """A valid file: `stored` and `config` hold the defaults of its axes.

    `stored` is what the files and the overrides set, as it may be written: references are replaced, but
    for those to environment variables. Defaults of the schema are in `config` only.
    """

    path: Path
    text: str
    overrides: tuple[str, ...]
    axes: tuple[Axis, ...]
    stored: dict[str, Any]
    config: ExperimentConfig


@dataclass(slots=True)
class Draft:
    """A composed file after overrides; its swept values are not chosen and its references not resolved.

    `documents`: every file that it was composed of, the main file first. `complete` is False where
    it is not worth looking further: a file is missing, or this is no experiment. `packages`: where
    files were mounted. `fixed`: swept values that an override gives one value.
    """

    path: Path
    text: str
    overrides: tuple[str, ...]
    documents: tuple[Document, ...]
    complete: bool
    tree: Tree
    axes: tuple[Axis, ...]
    findings: list[Finding]
    faulty_axes: frozenset[KeyPath]
    packages: frozenset[KeyPath] = frozenset()
    fixed: tuple[KeyPath, ...] = ()


def draft_experiment(
    path: Path, overrides: Sequence[str] = (), text: str | None = None, overlays: Sequence[Path] = ()
) -> Draft:
    """Compose `path` (or `text` in its place) with `overlays` and `overrides`, and find its axes.

    Raises DocumentError.
    """
    composed = compose(path, overrides, schema=ExperimentSchema(), text=text, overlays=overlays)
    tree, findings, complete = composed.tree, composed.findings, composed.complete
    if complete and not findings:
        if not tree.data:
            findings.append(Finding((), "the file sets no key", help="start from an example", code=EMPTY))
        other = not_an_experiment(tree)
        findings += [other] if other else []
        complete = not findings
    tree.data, tables, malformed = replace_special(tree.data)
    findings += malformed
    found = axes_of(tree, tables)
    main = composed.documents[0]
    return Draft(
        main.path,
        main.text,
        tuple(overrides),
        composed.documents,
        complete,
        tree,
        found.axes,
        [*findings, *found.findings],
        found.faulty,
        composed.packages,
        found.fixed,
    )


def choose(draft: Draft, values: Mapping[KeyPath, Any]) -> Resolution:
    """Put `values` in the place of their axes, and resolve all references; plug-ins have absolute paths."""
    data = with_values(draft.tree.data, values)
    resolution = resolve_references(data)
    resolution.secrets = not_in_the_open(resolution.secrets, keys_in(draft.tree.data))
    hide(resolution.secrets)
    place_plugins(draft.tree, resolution)
    resolution.findings = mounted_findings(draft.tree, resolution)
    return resolution


def loaded(draft: Draft, typed: Typed) -> LoadedExperiment:
    """The experiment of a draft that was typed without a fault that refuses it."""
    if typed.config is None:
        raise RefusedError(f"{draft.path}: the experiment has faults", help="lint it")
    return LoadedExperiment(draft.path, draft.text, draft.overrides, draft.axes, typed.stored, typed.config)
