"""Which TOML files of a folder are experiments."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

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
_SCHEMA = re.compile(r"^#:schema\s+(\S+)", re.MULTILINE)
_SECTION = re.compile(rf"^\s*\[\s*(?:{'|'.join(SECTIONS)})\s*[.\]]", re.MULTILINE)
_ROOT_KEY = re.compile(rf"^\s*(?:format|{'|'.join(SECTIONS)})\s*[.=]", re.MULTILINE)
_FIRST_HEADER = re.compile(r"^\s*\[", re.MULTILINE)


def experiments_in(folder: Path) -> list[Path]:
    """The experiment files below `folder`, in order of name; the other TOML files are counted aloud.

    Hidden folders are left out.
    """
    found: list[Path] = []
    others = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".toml"):
                file = Path(parent) / name
                if is_experiment(file):
                    found.append(file)
                else:
                    others += 1
    if others or not found:
        skipped = f"{others} other TOML file{'s' * (others != 1)} skipped"
        _log.info("%s: %d experiment%s, %s", folder, len(found), "s" * (len(found) != 1), skipped)
    return found


def is_experiment(file: Path) -> bool:
    """True where the text names the experiment schema, `format`, or a documented section.

    The text is searched, not parsed, so that a file with a syntax error is still found. A file
    that cannot be read counts as one: the check says why.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    schema = _SCHEMA.search(text)
    if schema is not None:
        return schema.group(1).endswith("experiment.schema.json")
    header = _FIRST_HEADER.search(text)
    root = text[: header.start()] if header else text
    return bool(_ROOT_KEY.search(root) or _SECTION.search(text))
