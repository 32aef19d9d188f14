"""What makes two studies the same one: their space and all else that decides what a cell comes to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pettingllms.compose.secrets import REDACTED, is_secret_path
from pettingllms.compose.tree import is_section
from pettingllms.config.axes import Axis
from pettingllms.config.load import Draft
from pettingllms.config.sweep import SAMPLER_OPTIONS, SweepConfig
from pettingllms.documents.source import KeyPath, dotted

NOT_LOCKED = (
    "defaults",
    "format",
    "sandbox",
    "sweep",
    "training.experiment_name",
    "training.keep_best",
    "training.keep_checkpoints",
    "training.logger",
    "training.model_checkpoints_dir",
    "training.on_save_failure",
    "training.project_name",
    "training.ray_wait_register_center_timeout",
    "training.save_freq",
    "training.save_in_background",
)
"""Keys and sections that may change while a study goes on: cells come to the same. Of `[sweep]` the space is
locked, and `trials`, `pruner`, `budget` and limits are not."""


@dataclass(frozen=True, slots=True)
class StudyLock:
    """`space`: each axis by its dotted path, and keys of `[sweep]` that are part of it, as `[sweep] seed`.
    `rest`: each other key that is set, by its dotted path; references as they are written, secrets redacted.
    """

    space: Mapping[str, Any]
    rest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """One text for both, other where anything is other."""
        text = json.dumps([self.space, self.rest], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is other in a new lock; None where one of them does not have it."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.before)} -> {_shown(self.after)}"


def study_lock(draft: Draft, sweep: SweepConfig) -> StudyLock:
    """The lock of a file that was read without a fault."""
    space: dict[str, Any] = {dotted(axis.path): _axis(axis) for axis in draft.axes}
    space |= {f"[sweep] {key}": value for key, value in _search(sweep).items()}
    axes = {axis.path for axis in draft.axes}
    rest = {
        dotted(path): REDACTED if is_secret_path(path) else value
        for path, value in _leaves(draft.tree.data, ())
        if path not in axes and not _is_free(path)
    }
    return StudyLock(_plain(space), _plain(rest))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What `after` has other than `before`; tables of both, such as axes, key by key."""
    found = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = changes(old, new)
            found += [Change(f"{name} {one.name}", one.before, one.after) for one in inner]
        elif old != new or type(old) is not type(new):
            found.append(Change(name, old, new))
    return found


def _search(sweep: SweepConfig) -> dict[str, Any]:
    """The keys of `[sweep]` that belong to the space."""
    found: dict[str, Any] = {
        "sampler": sweep.sampler,
        "objectives": [objective.model_dump() for objective in sweep.objectives],
    }
    if sweep.constraints:
        found["constraints"] = sweep.constraints
    if sweep.sampler in SAMPLER_OPTIONS:
        found["seed"] = sweep.seed
        options = getattr(sweep, sweep.sampler)
        if options is not None:
            found[sweep.sampler] = options.model_dump(exclude_defaults=True)
    return found


def _axis(axis: Axis) -> dict[str, Any]:
    found = {key: value for key, value in asdict(axis).items() if key not in ("path", "home")}
    if axis.kind != "choice":
        # They follow from the range.
        del found["values"]
    return {key: value for key, value in found.items() if value is not None and value is not False}


def _leaves(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if is_section(node) and (node or not path):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, node


def _is_free(path: KeyPath) -> bool:
    return any(dotted(path[:length]) in NOT_LOCKED for length in range(1, len(path) + 1))


def _plain(value: Any) -> Any:
    """`value` as it comes back from JSON."""
    return json.loads(json.dumps(value, default=str))


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
