"""From `base_models.*.path` to a local folder that holds the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pettingllms.errors import RefusedError
from pettingllms.models import embedded


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
        return Path(snapshot_download(path, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except Exception as cause:
        raise RefusedError(
            f"model {path!r}: {type(cause).__name__}: {cause}",
            help="check the spelling, the network and the access rights, or name a local folder",
        ) from cause
