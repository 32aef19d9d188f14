"""The tasks of a run and its plug-ins: told of in its manifest, and compared when it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.data.records import DatasetRecord, record_of, with_bad_rows
from pettingllms.envs.splits import dataset_of, splits_of
from pettingllms.errors import CheckpointError
from pettingllms.plugins import digests
from pettingllms.runs.manifest import add_to_manifest, read_manifest
from pettingllms.training.assembly import rank
from pettingllms.training.events import EventStream
from pettingllms.types import Split, Task

KEY = "data"
"""Of the manifest: a record for each split."""
PLUGINS = "plugins"
"""Of the manifest: the SHA-256 of each plug-in's file."""


def run_tasks(
    config: ExperimentConfig, folder: Path, events: EventStream, begin: Path | None
) -> dict[Split, Sequence[Task]]:
    """The tasks of all splits; the leading process writes what they are into the manifest in `folder`.

    So are digests of the plug-ins. Bad rows are told as warnings, and so are plug-ins that have changed since
    the run began: a fault was mended, and a change of the tasks is refused by itself. `begin`: the checkpoint
    that the run goes on from. Raises RefusedError where tasks cannot be had, and CheckpointError where they
    are not those that the run began with.
    """
    tasks = splits_of(config)
    if rank() == 0:
        records = {split: record_of(dataset_of(config, split), own) for split, own in tasks.items()}
        if begin is not None:
            _require_same(read_manifest(folder).get(KEY, {}), records, begin)
        add_to_manifest(folder, KEY, {split: record.as_json() for split, record in records.items()})
        _record_plugins(config.plugins, folder, events, begin)
        for record in with_bad_rows(records.values()):
            events.warning(f"{record.bad_words} and left out; the first: {record.bad_places[0]}")
        if dropped := records["train"].contaminated:
            events.warning(f"{dropped} training tasks share text with held-out ones, and are left out")
    return tasks


def _record_plugins(plugins: Sequence[str], folder: Path, events: EventStream, begin: Path | None) -> None:
    if not plugins:
        return
    now, before = digests(plugins), read_manifest(folder).get(PLUGINS, {}) if begin is not None else {}
    for plugin, digest in now.items():
        if before.get(plugin, digest) != digest:
            events.warning(
                f"the plug-in {plugin} is not what it was when the run began: steps before and after {begin} "
                "may mean different things"
            )
    add_to_manifest(folder, PLUGINS, now)


def _require_same(
    before: Mapping[str, Mapping[str, object]], records: Mapping[Split, DatasetRecord], begin: Path
) -> None:
    """Compare the tasks of each split whose source is the same as it was."""
    for split, record in records.items():
        old = before.get(split, {})
        if old.get("source") == record.source and old.get("sha256") != record.sha256:
            told = [one for one in (old.get("revision"), record.revision) if one is not None]
            which = f" (revision {' and now '.join(map(str, told))})" if told else ""
            raise CheckpointError(
                f"{begin}: the run began with other {split} tasks of {record.source!r}{which}",
                help="put the files back as they were, name the revision in the manifest as "
                "hf:owner/name@revision, or start a new run",
            )
