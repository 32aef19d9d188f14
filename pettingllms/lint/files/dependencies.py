"""What the result of checking one file depends on besides the options: files, and paths where one may be."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pettingllms.compose.defaults import Entry, read_entries
from pettingllms.compose.names import SHIPPED, SUFFIXES
from pettingllms.compose.secrets import REDACTED, secret_texts
from pettingllms.config.load import Draft, choose
from pettingllms.config.plugin_paths import PLUGINS
from pettingllms.documents.source import KeyPath
from pettingllms.hiding import forms, replaced
from pettingllms.lint.files.cache import State, digest, state
from pettingllms.plugins import is_file, loaded_files
from pettingllms.registry import Registry

LONGEST_PATH = 1024
_ENVIRONMENT = re.compile(r"oc\.env|oc\.decode|\$\{[^}:]*\$\{")
"""What may read an environment variable: the resolver, a text that is read as one, a computed name."""
_PATH_KEY = re.compile(r"path|dir|file|folder", re.IGNORECASE)
_NAMES_A_FILE = re.compile(
    r"path|dir|file|folder|model|data|import|plugin|checkpoint|benchmark", re.IGNORECASE
)
_LIKE_A_PATH = re.compile(r"[/\\]|\A[.~]" if os.name == "nt" else r"/|\A[.~]")
_WHOLE_REFERENCE = re.compile(r"\$\{[^{}]*\}")


def dependencies(path: Path, draft: Draft) -> dict[Path, State] | None:
    """The paths that the draft of the file at `path` depends on, as they are; None where some are unknown."""
    if draft.documents[0].path != path or any(map(_chooses_files, draft.overrides)):
        return None
    texts = list(_texts(draft.tree.data, ()))
    if any(_ENVIRONMENT.search(text) for _, text in texts):
        return None
    named, read = _named_files(texts, draft), _read_files(draft)
    if named is None or read is None:
        return None
    looked_at = {candidate for model in named for candidate in (model, model / "config.json")}
    looked_at.update(_first_names(draft))
    plugged = _plugins(draft)
    if plugged is None:
        return None
    return {**{file: state(file) for file in looked_at | plugged}, **read}


def gives_away(text: str, draft: Draft) -> bool:
    """True where `text` holds a secret of the draft."""
    return replaced(text, forms(dict.fromkeys(secret_texts(draft.tree.data), REDACTED))) != text


def _chooses_files(override: str) -> bool:
    """True where an override may choose a file of a group instead of setting a value."""
    key = override.partition("=")[0]
    return "." not in key or "/" in key or "@" in key


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text in `value`, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _named_files(texts: Sequence[tuple[KeyPath, str]], draft: Draft) -> set[Path] | None:
    """The paths that the experiment names; None where some are computed in every cell anew."""
    computed = [text for path, text in texts if "${" in text and _may_be_path(path, text)]
    if computed:
        whole = all(map(_WHOLE_REFERENCE.fullmatch, computed))
        if draft.faulty_axes or (draft.axes and not whole):
            return None
        # A reference leads to what the defaults have there, or to another value of an axis.
        defaults = choose(draft, {axis.path: axis.default for axis in draft.axes})
        swept = _texts([list(axis.values or ()) for axis in draft.axes], ("path",))
        texts = [*texts, *_texts(defaults.data, ()), *swept]
    found: set[Path] = set()
    for path, text in texts:
        if "${" not in text and _may_be_path(path, text):
            found.add(Path(text))
            if text.startswith("~"):
                # Rules look at both; where the home is belongs to the version of the cache.
                with contextlib.suppress(RuntimeError):
                    found.add(Path(text).expanduser())
    return found


def _may_be_path(path: KeyPath, text: str) -> bool:
    if not text or len(text) > LONGEST_PATH or "\n" in text or "\0" in text:
        return False
    keys = [key for key in path if isinstance(key, str)]
    if any(character.isspace() for character in text):
        # Prose, unless it is what a key asks for.
        return bool(keys) and _PATH_KEY.search(keys[-1]) is not None
    return _LIKE_A_PATH.search(text) is not None or any(_NAMES_A_FILE.search(key) for key in keys)


def _read_files(draft: Draft) -> dict[Path, State] | None:
    """The files that were read; None where one changed since. The shipped ones belong to the build."""
    shipped = SHIPPED.resolve()
    found: dict[Path, State] = {}
    for document in draft.documents:
        if document.path.resolve().is_relative_to(shipped):
            continue
        try:
            raw = document.path.read_bytes()
            if raw.decode("utf-8-sig") != document.text:
                return None
        except (OSError, ValueError):
            return None
        found[document.path] = digest(raw)
    return found


def _plugins(draft: Draft) -> set[Path] | None:
    """The files of plug-ins and all that they may have imported; None where Python finds them in its own way.

    An installed package whose class was asked for its options is one of those.
    """
    if any(registry.imported_packages for registry in Registry.extensible):
        return None
    if not draft.tree.data.get(PLUGINS):
        return set()
    named = choose(draft, {axis.path: axis.default for axis in draft.axes}).data[PLUGINS]
    swept = any("${" in text for _, text in _texts(draft.tree.data[PLUGINS], ()))
    files = (
        [text for text in named if isinstance(text, str) and is_file(text)] if isinstance(named, list) else []
    )
    if swept or not isinstance(named, list) or len(files) < len(named):
        return None
    return {*map(Path, files), *loaded_files()}


def _first_names(draft: Draft) -> Iterator[Path]:
    """Where included files were looked for, and where another file of their name would be found."""
    entries = [(document, entry) for document in draft.documents for entry in read_entries(document)[0]]
    folders = {document.path.parent for document in draft.documents}
    everywhere = any(entry.override for _, entry in entries)
    all_names = {name for _, entry in entries for name in entry.names}
    for document, entry in entries:
        # A choice that is made elsewhere changes the names of an entry, or the folder that it starts from.
        names = all_names if everywhere else entry.names
        bases = folders if everywhere else {document.path.parent, draft.documents[0].path.parent}
        for base in {*bases, Path()}:
            yield from _candidates(base, entry, names)


def _candidates(base: Path, entry: Entry, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = Path(os.path.normpath(base / (f"{entry.group}/{name}" if entry.group else name)))
        stem = path.with_suffix("") if path.suffix in SUFFIXES else path
        for suffix in SUFFIXES:
            yield stem.with_name(stem.name + suffix)
