"""From a file and its overrides to a typed experiment, each fault with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pettingllms.compose.compose import compose
from pettingllms.compose.mounted import mounted_findings
from pettingllms.compose.references import resolve_references
from pettingllms.compose.resolution import Resolution
from pettingllms.compose.special_values import replace_special
from pettingllms.compose.stored import stored_tree
from pettingllms.compose.tree import MISSING, Tree, get, keys_in, with_values
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import ExperimentSchema, refused_keys
from pettingllms.config.recognise import not_an_experiment
from pettingllms.config.shape import AXIS, MISSING_KEY, UNKNOWN_KEY, shape_findings, written
from pettingllms.config.sweep import ChoiceAxis
from pettingllms.documents.read import read_document
from pettingllms.documents.source import Document, Finding, KeyPath, dotted
from pettingllms.errors import RefusedError
from pettingllms.hiding import hide, not_in_the_open

NOT_AVAILABLE, EMPTY = "PLM007", "PLM010"


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept value: where it stands, what is tried, and what a plain run uses."""

    path: KeyPath
    values: tuple[Any, ...]
    default: Any


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
    it is not worth looking further: a file is missing, or this is no experiment.
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
    axes, faulty, faults = _axes_of(tables)
    main = composed.documents[0]
    return Draft(
        main.path,
        main.text,
        tuple(overrides),
        composed.documents,
        complete,
        tree,
        axes,
        [*findings, *faults],
        faulty,
    )


def _axes_of(
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
        found += [_refused((*path, *where), None, table) for where, _ in refused_keys(table, ChoiceAxis)]
    return found


def _as_axis_fault(finding: Finding) -> Finding:
    shape = '{ sweep = "choice", values = […], default = … }'
    help_text = f"write {shape}" if finding.code == MISSING_KEY else finding.help
    return replace(finding, help=help_text, code=AXIS)


def choose(draft: Draft, values: Mapping[KeyPath, Any]) -> Resolution:
    """Put `values` in the place of their axes, and resolve all references."""
    data = with_values(draft.tree.data, values)
    resolution = resolve_references(data)
    resolution.secrets = not_in_the_open(resolution.secrets, keys_in(draft.tree.data))
    hide(resolution.secrets)
    resolution.findings = mounted_findings(draft.tree, resolution)
    return resolution


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
            findings.append(_refused(path, mark.values, resolution.data))
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


def _refused(path: KeyPath, values: tuple[Any, ...] | None, data: dict[str, Any]) -> Finding:
    name = dotted(path)
    if not values:
        message = f"{name} is not available in this version"
        return Finding(path, message, help=f"remove {name}", at_key=True, code=NOT_AVAILABLE)
    message = f"{name} = {written(get(data, path))} is not available in this version"
    shown = [written(value) for value in values if value is not None]
    return Finding(path, message, help=f"available: {', '.join(shown)}", code=NOT_AVAILABLE)


def loaded(draft: Draft, typed: Typed) -> LoadedExperiment:
    """The experiment of a draft that was typed without fault."""
    if typed.config is None or typed.findings:
        raise RefusedError(f"{draft.path}: the experiment has faults", help="lint it")
    return LoadedExperiment(draft.path, draft.text, draft.overrides, draft.axes, typed.stored, typed.config)


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
