"""Names of files: where a name in a `defaults` list or on the command line leads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pettingllms.registry import closest

SUFFIXES = (".toml", ".yaml", ".yml")
SHIPPED = Path(__file__).parent.parent / "config"


@dataclass(slots=True)
class NameNotFoundError(Exception):
    """No file has this name. `tried`: the folders that were searched; `near`: a name that exists."""

    name: str
    tried: list[str] = field(default_factory=list)
    near: str | None = None


@dataclass(slots=True)
class AmbiguousNameError(Exception):
    """Several files of one place have this name."""

    name: str
    hits: list[Path] = field(default_factory=list)


def find_file(name: str, folder: Path | None) -> Path:
    """Return the file that `name` stands for, with or without its suffix.

    Searched in this order: `folder` (that of the including file), the current folder, the shipped
    presets. Raises NameNotFoundError, and AmbiguousNameError for two hits in one place.
    """
    tried: list[str] = []
    for shown, bases in _places(folder):
        hits: dict[Path, Path] = {}
        for base in bases:
            for candidate in _candidates(base, name):
                hits.setdefault(candidate.resolve(), candidate)
        if len(hits) > 1:
            raise AmbiguousNameError(name, list(hits.values()))
        if hits:
            return next(iter(hits.values()))
        tried.append(shown)
    raise NameNotFoundError(name, tried, _near(name, folder))


def lookup(name: str, folder: Path) -> Path | None:
    """The file that `name` stands for from `folder`, or None."""
    try:
        return find_file(name, folder)
    except (NameNotFoundError, AmbiguousNameError, OSError, ValueError):
        return None


def shipped_instead(path: Path, including: Path) -> bool:
    """True where `path` is a shipped file and `including`, which names it, is not."""
    shipped = SHIPPED.resolve()
    return path.resolve().is_relative_to(shipped) and not including.resolve().is_relative_to(shipped)


def options_of(group: str, folder: Path | None) -> list[str]:
    """Names of the files that the folder `group` holds, in the first place that has such a folder."""
    for _, bases in _places(folder):
        found = {path.stem for base in bases for path in _files_in(_join(base, group))}
        if found:
            return sorted(found)
    return []


def _places(folder: Path | None) -> Iterator[tuple[str, list[Path]]]:
    if folder is not None:
        yield "the folder of the including file", [folder]
    yield "the current folder", [Path()]
    tasks = sorted(entry for entry in SHIPPED.iterdir() if entry.is_dir() and not entry.name.startswith("_"))
    yield "the shipped presets", [SHIPPED, *tasks]


def _candidates(base: Path, name: str) -> Iterator[Path]:
    path = _join(base, name)
    if path.suffix in SUFFIXES:
        if _is_file(path):
            yield path
            return
        path = path.with_suffix("")
    for suffix in SUFFIXES:
        candidate = path.with_name(path.name + suffix)
        if _is_file(candidate):
            yield candidate


def _join(base: Path, name: str) -> Path:
    """`base/name` without `..` in it: a shipped group is found beside a folder that need not exist."""
    return Path(os.path.normpath(base / name)) if name else base


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _files_in(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    except (OSError, ValueError):
        return


def _near(name: str, folder: Path | None) -> str | None:
    group, _, option = name.rpartition("/")
    found = closest(option, options_of(group, folder))
    if found is None and not group:
        shipped = [path.stem for entry in SHIPPED.iterdir() if entry.is_dir() for path in _files_in(entry)]
        found = closest(option.partition(".")[0], shipped)
    return f"{group}/{found}" if found and group else found
