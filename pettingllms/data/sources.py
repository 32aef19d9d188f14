"""Where rows come from: what a text in `env.dataset` or `env.benchmark` names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pettingllms.data.presets import PRESETS, preset_name
from pettingllms.data.reading import SUFFIXES
from pettingllms.errors import RefusedError

HUB = "hf:"
_ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<folder>[\w./-]+?))?/?(?:@(?P<revision>[\w./-]+))?")
FORMS = "write the name of a preset, hf:owner/name[/folder][@revision], or the path of a *.jsonl, *.json or "
FORMS += "*.parquet file or of a folder with such files"


@dataclass(frozen=True, slots=True)
class Source:
    """Files with rows: on the hub, in `folder` of `repo` at `revision`, or here at `path`.

    `preset`: the name of the preset that knows the files and the format of their rows. `pinned`: the revision
    was asked for.
    """

    text: str
    preset: str | None = None
    repo: str | None = None
    folder: str = ""
    revision: str | None = None
    pinned: bool = False
    path: Path | None = None


def is_row_source(text: str) -> bool:
    """Whether `text` names files with rows, be they there or not, rather than tasks that are made."""
    return text.startswith(HUB) or _preset_words(text) is not None or _is_path(text)


def holds_rows(name: str) -> bool:
    """Whether `name`, where a file is asked for, rather names rows: a file or folder of such, or a preset."""
    path = Path(name)
    return path.suffix in SUFFIXES or path.is_dir() or (is_row_source(name) and path.suffix == "")


def preset_of(text: str) -> str | None:
    """The preset that `text` names, by its name or as a dataset of the hub; None where it names none."""
    if text.startswith(HUB):
        match = _ON_HUB.fullmatch(text.removeprefix(HUB))
        return None if match is None or match["folder"] else preset_name(match["repo"])
    words = _preset_words(text)
    return None if words is None else words[0]


def source_of(text: str) -> Source:
    """What `text` names. Raises RefusedError where it has none of the forms."""
    if text.startswith(HUB):
        return _on_hub(text)
    if (words := _preset_words(text)) is not None:
        name, revision = words
        return _of_preset(text, name, revision)
    if not _is_path(text):
        raise RefusedError(f"there is no dataset {text!r}", help=FORMS)
    path = Path(text).expanduser()
    if not path.exists():
        hub = "" if text.endswith(SUFFIXES) or not _ON_HUB.fullmatch(text) else f"{HUB}{text}"
        raise RefusedError(
            f"dataset {text!r}: there is no such file or folder",
            help="relative paths start in the folder in which the command is called"
            + (f"; a dataset of the Hugging Face hub is {hub}" if hub else ""),
        )
    if path.is_file() and path.suffix not in SUFFIXES:
        raise RefusedError(f"dataset {text!r} is no file with rows that can be read", help=FORMS)
    return Source(text, path=path.absolute())


def _on_hub(text: str) -> Source:
    match = _ON_HUB.fullmatch(text.removeprefix(HUB))
    if match is None or ".." in text:
        raise RefusedError(f"{text!r} names no dataset of the Hugging Face hub", help=FORMS)
    revision = match["revision"]
    if (name := preset_of(text)) is not None:
        return _of_preset(text, name, revision)
    pinned = revision is not None
    return Source(text, repo=match["repo"], folder=match["folder"] or "", revision=revision, pinned=pinned)


def _of_preset(text: str, name: str, revision: str | None) -> Source:
    preset = PRESETS[name]
    return Source(
        text,
        preset=name,
        repo=preset.repo,
        revision=revision or preset.revision,
        pinned=revision is not None,
    )


def _preset_words(text: str) -> tuple[str, str | None] | None:
    """The preset that `text` names, and the revision that it asks for."""
    word, at, revision = text.partition("@")
    name = None if "/" in word else preset_name(word)
    return None if name is None or (at and not revision) else (name, revision or None)


def _is_path(text: str) -> bool:
    return "://" not in text and (text.endswith(SUFFIXES) or "/" in text or text in (".", "..", "~"))
