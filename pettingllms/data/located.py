"""From a source to the files of its splits on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pettingllms.data.hub import files_below, repository
from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import Source
from pettingllms.data.splits import SplitFiles, files_by_name, preset_files


@dataclass(frozen=True, slots=True)
class Located:
    """Files below `root`, by split. `revision`: the commit of the dataset, where it is known."""

    root: Path
    files: SplitFiles
    revision: str | None


def located(source: Source) -> Located:
    """Find the files of `source`, or fetch them. Raises RefusedError where they cannot be had."""
    if source.path is not None:
        if source.path.is_file():
            return Located(source.path.parent, {"train": (source.path.name,)}, None)
        names = files_below(source.path)
        return Located(source.path, files_by_name(names, "", f"folder {source.path}"), None)
    assert source.repo is not None, "a source is a path or a repository"

    def files(names: Sequence[str], where: str) -> SplitFiles:
        if source.preset is not None:
            return preset_files(PRESETS[source.preset], names, where)
        return files_by_name(names, source.folder, where)

    def chosen(names: Sequence[str], where: str) -> list[str]:
        return [name for own in files(names, where).values() for name in own]

    found = repository(source.repo, source.revision, chosen, pinned=source.pinned)
    return Located(found.root, files(found.names, f"{found.root}"), found.revision)
