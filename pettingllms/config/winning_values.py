"""An experiment file with the values of one cell of its sweep in place, and without the sweep."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.load import Draft, choose, draft_experiment
from pettingllms.config.rewritten import put, rewritten
from pettingllms.config.trial_file import trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.documents.convert import convert
from pettingllms.documents.read import is_yaml, parse_document
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.errors import RefusedError

SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class SweptSource:
    """A file whose sweep a study ran: its text then, with what was laid over it."""

    path: Path
    text: str
    overrides: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()

    def draft(self) -> Draft:
        """The file as it is composed now. Raises DocumentError."""
        return draft_experiment(self.path, self.overrides, self.text, self.overlays)


def with_values(
    source: SweptSource, values: Mapping[KeyPath, Any], stored: Mapping[str, Any], target: Path
) -> tuple[str, bool]:
    """The text of a file at `target` that says `stored`, and whether it is the source's.

    It is the source with the swept `values` in place, and with what overrides and overlays have set;
    comments and all other lines stay. Where such a file would not say the same at
    `target`, as it builds on others that are not found from there, it is `stored` written anew.
    """
    wanted = {key: value for key, value in stored.items() if key != SWEEP}
    text = _edited(source, values, wanted, target)
    return (trial_toml(wanted), False) if text is None else (text, True)


def stored_values(draft: Draft, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial of `draft` under `values` is, as it may be written to files.

    Raises RefusedError where the draft has other axes, or faults.
    """
    axes = {dotted(axis.path): axis.path for axis in draft.axes}
    if not draft.complete or draft.findings or set(axes) != set(values):
        raise RefusedError(f"{draft.path} does not have this trial any more", help="lint it")
    typed = type_cell(choose(draft, {path: values[name] for name, path in axes.items()}))
    if typed.config is None:
        raise RefusedError(f"{draft.path}: the experiment has faults", help="lint it")
    return typed.stored


def _edited(
    source: SweptSource, values: Mapping[KeyPath, Any], wanted: Mapping[str, Any], target: Path
) -> str | None:
    document = parse_document(source.text, source.path)
    data = copy.deepcopy(document.data)
    data.pop(SWEEP, None)
    try:
        for path, value in values.items():
            put(data, path, copy.deepcopy(value))
    except (LookupError, TypeError, AttributeError):
        return None
    # Files that it builds on are looked for from where the new one lies.
    place = target.with_suffix(source.path.suffix)
    text = rewritten(document, data, wanted, lambda text: _meaning(place, text))
    if text is None or is_yaml(target) == is_yaml(source.path):
        return text
    other = convert(parse_document(text, source.path), "yaml" if is_yaml(target) else "toml")
    return None if other.text is None or _meaning(target, other.text) is None else other.text


def _meaning(place: Path, text: str) -> dict[str, Any] | None:
    """What `text` at `place` says; None where it is no experiment, or still sweeps something."""
    draft = draft_experiment(place, text=text)
    if not draft.complete or draft.findings or draft.axes:
        return None
    typed = type_cell(choose(draft, {}))
    return typed.stored if typed.config is not None else None
