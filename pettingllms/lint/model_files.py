"""What the `config.json` of a model says about its size; read once, without a model library."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pettingllms.models import BUILTIN_MODELS

EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    "builtin:smollm2-135m-instruct": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "hidden_act": "silu",
        "vocab_size": 49152,
        "tie_word_embeddings": True,
        "max_position_embeddings": BUILTIN_MODELS["builtin:smollm2-135m-instruct"],
    }
}
"""The settings of embedded models, which are converted only when a run first needs them."""

LIMIT = 2**40
STRETCHED = ("linear", "dynamic", "yarn")
"""Kinds of position scaling that make the context longer than `max_position_embeddings` says."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The size of a decoder-only model.

    `projections`: matrices of the feed-forward part of a layer, 3 where it is gated. `full_attention`: every
    layer keeps the keys and values of every token.
    """

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    feed_forward: int
    projections: int
    vocabulary: int
    tied: bool
    full_attention: bool

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Width in and out of every matrix of a layer, by its usual name."""
        queries, keys = self.heads * self.head_size, self.key_value_heads * self.head_size
        inner = {"gate_proj": (self.hidden, self.feed_forward)} if self.projections == 3 else {}
        return {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            **inner,
            "up_proj": (self.hidden, self.feed_forward),
            "down_proj": (self.feed_forward, self.hidden),
        }

    @property
    def parameters(self) -> int:
        """Weights of all matrices; what is left out (norms, biases, further experts) only adds to it."""
        layer = sum(wide * high for wide, high in self.matrices.values())
        return self.layers * layer + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter_parameters(self, rank: int, targets: str | list[str]) -> int:
        """Weights of a LoRA adapter of `rank` on `targets`, which are names or `all-linear`."""
        sizes = [
            wide + high
            for name, (wide, high) in self.matrices.items()
            if targets == "all-linear" or name in targets
        ]
        return self.layers * rank * sum(sizes)

    def cache_bytes(self, tokens: int, width: int) -> int:
        """Bytes of the keys and values of a sequence, `width` bytes each; 0 where layers keep less."""
        size = 2 * self.layers * self.key_value_heads * self.head_size * tokens * width
        return size if self.full_attention else 0


def settings_at(path: str) -> Mapping[str, Any] | None:
    """The settings of the model at `path`: embedded, or a local folder; None where they are not at hand."""
    if path in EMBEDDED:
        return EMBEDDED[path]
    folder = local_folder(path)
    if folder is None:
        return None
    try:
        status = (folder / "config.json").stat()
    except OSError:
        return None
    return _settings(folder, status.st_mtime_ns, status.st_size)


def is_local(path: str) -> bool:
    """True for a model path that can only mean a folder of this machine."""
    return path.startswith(("/", "./", "../", "~")) or path in (".", "..") or path.count("/") > 1


def is_hub_id(path: str) -> bool:
    """True for a model path that may be a Hugging Face id."""
    return not (is_local(path) or path.startswith("builtin:") or re.search(r"\s|\0|^$", path))


def local_folder(path: str) -> Path | None:
    """The folder that `path` names, where it exists here."""
    try:
        folder = Path(path).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):
        return None


@lru_cache(maxsize=64)
def _settings(folder: Path, _changed: int, _size: int) -> Mapping[str, Any] | None:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(settings, dict):
        return None
    # A model that also takes images keeps the numbers of its language part apart.
    inner = settings.get("text_config")
    return settings | inner if isinstance(inner, dict) else settings


def number_at(settings: Mapping[str, Any] | None, key: str) -> int | None:
    """The whole number above 0 under `key`; None where there is none, or one that no model has."""
    value = settings.get(key) if settings else None
    return value if type(value) is int and 0 < value < LIMIT else None


def context_at(settings: Mapping[str, Any] | None) -> int | None:
    """Tokens of the longest sequence; None where that is not known, or engines compute it from more."""
    for key in ("rope_scaling", "rope_parameters"):
        scaling = settings.get(key) if settings else None
        kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, dict) else None
        if kind in STRETCHED:
            return None
    return number_at(settings, "max_position_embeddings")


def shape_of(path: str) -> ModelShape | None:
    """The shape of the model at `path`; None where it is not known, or the weights are quantised."""
    settings = settings_at(path)
    if settings is None or settings.get("quantization_config"):
        return None
    hidden, layers = number_at(settings, "hidden_size"), number_at(settings, "num_hidden_layers")
    heads, vocabulary = number_at(settings, "num_attention_heads"), number_at(settings, "vocab_size")
    feed_forward = number_at(settings, "intermediate_size")
    if not (hidden and layers and heads and vocabulary and feed_forward):
        return None
    gated = settings.get("hidden_act") == "silu"
    return ModelShape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=number_at(settings, "num_key_value_heads") or heads,
        head_size=number_at(settings, "head_dim") or max(hidden // heads, 1),
        feed_forward=feed_forward,
        projections=3 if gated else 2,
        vocabulary=vocabulary,
        tied=settings.get("tie_word_embeddings") is not False,
        full_attention=_keeps_everything(settings),
    )


def _keeps_everything(settings: Mapping[str, Any]) -> bool:
    """True where no layer has a window, a compressed cache, or a state instead of one."""
    if "kv_lora_rank" in settings or "ssm_state_size" in settings:
        return False
    kinds = settings.get("layer_types")
    if kinds is not None:
        return isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)
    return not settings.get("sliding_window") or settings.get("use_sliding_window") is False
