"""Which TOML and YAML files of a folder are experiments."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pettingllms.documents.files import MAX_BYTES

_log = logging.getLogger(__name__)
SECTIONS = (
    "specialization",
    "resource",
    "env",
    "base_models",
    "agent_policy_configs",
    "multi_agent_interaction",
    "training",
    "models",
)
_NAMES = rf"(?:format|{'|'.join(SECTIONS)})"
_SCHEMA = re.compile(r"^#(?::schema|[ \t]*yaml-language-server:[ \t]*\$schema=)[ \t]*(\S+)", re.MULTILINE)
_FRAGMENT = re.compile(r"^#[ \t]*@package\b", re.MULTILINE)
_FIRST_HEADER = re.compile(r"^\s*\[", re.MULTILINE)
_TOML_SECTION = re.compile(rf"^\s*\[\s*(?:{'|'.join(SECTIONS)})\s*[.\]]", re.MULTILINE)
_TOML_ROOT_KEY = re.compile(rf"^\s*(?:{_NAMES}\s*[.=]|defaults\s*=\s*\[)", re.MULTILINE)
_YAML_ROOT_KEY = re.compile(rf"^(?:{_NAMES}[ \t]*:(?=\s|\Z)|defaults[ \t]*:\s*[\[-])", re.MULTILINE)
_PARTS = {"resource", "env", "training", "models", "launch", "sandbox", "sweep"}
_PARTS |= {"specialization", "lora_rank", "lora_alpha"}
"""What an overlay may set: it goes on top of an experiment, which has the rest."""
_FORMATS = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML"}


def experiments_in(
    folder: Path,
    excludes: Callable[[Path], bool] | None = None,
    onerror: Callable[[OSError], None] | None = None,
) -> list[Path]:
    """The experiment files below `folder`, in order of name; the other TOML and YAML files are counted aloud.

    Hidden folders are left out, and what `excludes` says. `onerror` is told of folders that cannot be
    listed.
    """
    found: list[Path] = []
    skipped: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(parent) / name
            kind = _FORMATS.get(file.suffix.lower())
            if kind is None:
                continue
            if excludes is not None and excludes(file):
                skipped["excluded"] += 1
            elif is_experiment(file):
                found.append(file)
            else:
                skipped[f"other {kind}"] += 1
    if skipped or not found:
        parts = [
            f"{n} {kind} file{'s' * (n != 1)}" for kind, n in sorted(skipped.items(), key=_last_excluded)
        ]
        words = " and ".join(parts) or "no other TOML or YAML file"
        _log.info("%s: %d experiment%s, %s skipped", folder, len(found), "s" * (len(found) != 1), words)
    return found


def _last_excluded(row: tuple[str, int]) -> tuple[bool, str]:
    return row[0] == "excluded", row[0]


def _is_overlay(text: str, file: Path) -> bool:
    """True for a text that sets some keys of an experiment, and none of those that make it a whole one."""
    from pettingllms.documents.read import parse_document
    from pettingllms.documents.source import DocumentError

    try:
        keys = parse_document(text, file).data.keys()
    except DocumentError:
        return False
    return bool(keys) and keys <= _PARTS


def is_experiment(file: Path) -> bool:
    """True where the text names the experiment schema, `format`, a documented section or a `defaults` list.

    The text is searched, not parsed, so that a file with a syntax error is still found. A file
    that cannot be read counts as one: the check says why. One that says by `# @package` where it
    is mounted is a part of experiments, and none itself, as is an overlay: a file for editors that
    has neither models nor agents nor a `defaults` list.
    """
    from pettingllms.documents.read import is_yaml

    if not file.is_file():
        # A pipe may never begin, and is no file of a project.
        return False
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as opened:
            text = opened.read(MAX_BYTES)
    except OSError:
        return True
    schema = _SCHEMA.search(text)
    if schema is not None:
        return schema.group(1).endswith("experiment.schema.json") and not _is_overlay(text, file)
    if _FRAGMENT.search(text):
        return False
    if is_yaml(file):
        return bool(_YAML_ROOT_KEY.search(text))
    header = _FIRST_HEADER.search(text)
    root = text[: header.start()] if header else text
    return bool(_TOML_ROOT_KEY.search(root) or _TOML_SECTION.search(text))
