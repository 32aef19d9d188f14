"""From `base_models.*.path` to a local folder with the weights, and what tells its model from others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pettingllms.errors import RefusedError
from pettingllms.models import embedded

_WANTED = ["*.json", "*.jinja", "*.safetensors", "*.txt", "*.model"]
_HEAD = 2**20
"""Bytes of each file that count: the names and shapes of weights, and the first of them."""


def identity(folder: Path) -> str:
    """A hash that tells the model in `folder` from others: of names, sizes and beginnings of its files.

    Whole files of a large model take minutes to read.
    """
    found = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            found.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(_HEAD))
    return found.hexdigest()


def local_folder(path: str, say: Callable[[str], None]) -> Path:
    """Return the folder of `path`: `builtin:…`, a local folder, or a Hugging Face id.

    A Hugging Face id is taken from the local hub cache, or downloaded; `HF_HUB_OFFLINE` is honoured.
    Raises RefusedError when the model cannot be had.
    """
    if path == embedded.NAME:
        return embedded.ensure_converted(say)
    local = Path(path).expanduser()
    if (local / "config.json").is_file():
        return local.resolve()
    from huggingface_hub import snapshot_download

    say(f"fetching {path}")
    try:
        return Path(snapshot_download(path, allow_patterns=_WANTED))
    except Exception as cause:
        raise RefusedError(
            f"model {path!r}: {type(cause).__name__}: {cause}",
            help="check the spelling, the network and the access rights, or name a local folder",
        ) from cause
