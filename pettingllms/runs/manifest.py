"""`manifest.json` of a run folder: what is known of the run beside its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from secrets import token_hex
from typing import Any

MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest in `folder` says; nothing where there is none, or none that can be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def add_to_manifest(folder: Path, key: str, value: Any) -> None:
    """Put `value` under `key`, in one move: a reader sees the old manifest or the new one."""
    text = json.dumps({**read_manifest(folder), key: value}, indent=2) + "\n"
    part = folder / f".{token_hex(8)}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(folder / MANIFEST)
