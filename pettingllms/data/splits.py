"""Which files of a source hold which split, by a preset's patterns or by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath

from pettingllms.data.presets import Preset
from pettingllms.data.reading import SUFFIXES
from pettingllms.errors import RefusedError
from pettingllms.types import Split

SplitFiles = Mapping[Split, tuple[str, ...]]
"""The files of each split that a source has rows for, in order."""

_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_NO_ROWS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}


def preset_files(preset: Preset, names: Sequence[str], where: str) -> SplitFiles:
    """The files of a preset among `names`; `where` they are is said where one is missing."""
    found: dict[Split, tuple[str, ...]] = {}
    for split, patterns in preset.files.items():
        for pattern in patterns:
            if fitting := sorted(name for name in names if fnmatch(name, pattern)):
                found[split] = tuple(fitting)
                break
        else:
            raise RefusedError(
                f"{where} has no {' or '.join(patterns)}, which {preset.repo} has for the {split} split",
                help="fetch the whole dataset, or name the files themselves as env.dataset",
            )
    return found


def files_by_name(names: Sequence[str], folder: str, where: str) -> SplitFiles:
    """The files with rows below `folder`, each of the split that its name tells, else of the training split.

    The last part of a path that tells counts: `data/test/part-0.parquet` is of the test split. Raises
    RefusedError where there are none, or where the files of a split lie in several folders.
    """
    inside = [name for name in names if not folder or name.startswith(f"{folder}/")]
    suffix = next((one for one in SUFFIXES if any(_holds_rows(name, one) for name in inside)), None)
    if suffix is None:
        raise RefusedError(
            f"{where} has no *{', *'.join(SUFFIXES)} file" + (f" in {folder}" if folder else ""),
            help="of other files the hub often keeps a copy as parquet: add @refs/convert/parquet; or turn "
            "them into JSON lines and name that file",
        )
    found: dict[Split, list[str]] = {}
    for name in sorted(name for name in inside if _holds_rows(name, suffix)):
        found.setdefault(split_of(name), []).append(name)
    for split, own in found.items():
        if len(folders := sorted({str(PurePosixPath(name).parent) for name in own})) > 1:
            raise RefusedError(
                f"{where} has files for the {split} split in several folders: {', '.join(folders)}",
                help="name the folder that is meant, as in hf:owner/name/folder",
            )
    return {split: tuple(own) for split, own in found.items()}


def split_of(name: str) -> Split:
    """The split that a path tells: `test-00000-of-00001.parquet` is of the test split."""
    for part in reversed(PurePosixPath(name.lower()).parts):
        for word in re.split(r"[^a-z]+", part):
            if word in _WORDS:
                return _WORDS[word]
    return "train"


def _holds_rows(name: str, suffix: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix == suffix and path.name not in _NO_ROWS and not hidden
