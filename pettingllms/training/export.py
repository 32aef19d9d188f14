"""What `pettingllms export` starts: writes saved policies as folders that transformers, PEFT and vLLM load.

Usage: `python -m pettingllms.training.export FILE`, where FILE is a JSON list with an object per policy:
`weights`, the folder in the checkpoint; `base`, the base model as the experiment names it; `merged`; `dtype`,
a name of torch, or null to keep each tensor's own; `out`, a folder to make.
What goes wrong is said on standard error; the exit status is that of the error.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pettingllms.errors import CheckpointError, PettingLLMsError
from pettingllms.hiding import guard_output
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.adapters import check_adapter
from pettingllms.rollout.merged import MergedWeights

SHARD_SIZE = "5GB"
"""Largest weight file; larger models get several and an index."""
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model",
    "*.jinja", "generation_config.json", "preprocessor_config.json", "processor_config.json",
)  # fmt: skip
"""What of a model folder makes texts of tokens, says where answers end, and reads images."""
MODEL = (*TOKENIZER, "config.json", "*.py")
"""The same, and what a model is built from."""


def main(file: Path) -> int:
    """Write every policy that `file` lists."""
    end_with_parent()
    error: PettingLLMsError
    try:
        for asked in json.loads(file.read_text(encoding="utf-8")):
            write_policy(asked)
    except (OSError, SafetensorError) as cause:
        error = CheckpointError(str(cause), help="free space, name another folder, or check the base model")
    except PettingLLMsError as known:
        error = known
    else:
        return 0
    print(f"error: {error}" + (f"\nhelp: {error.help}" if error.help else ""), file=sys.stderr)
    return error.exit_code


def write_policy(asked: Mapping[str, Any]) -> None:
    """Write one policy into its folder, which must not be there."""
    base = local_folder(asked["base"], lambda text: print(text, file=sys.stderr))
    weights, out = Path(asked["weights"]), Path(asked["out"])
    out.mkdir()
    # A policy's folder may have settings of generation, too; those under which it was trained are the base's.
    copy_files(base, TOKENIZER, out)
    if not (weights / ADAPTER_CONFIG).is_file():
        write_model(weights, None, asked["dtype"], out, SHARD_SIZE)
    elif asked["merged"]:
        write_model(base, weights, asked["dtype"], out, SHARD_SIZE)
    else:
        write_adapter(weights, base, asked["base"], out)


def write_adapter(weights: Path, base: Path, named: str, out: Path) -> None:
    """Copy the adapter in `weights` to `out`; it refers to its base by a Hugging Face id, or else a folder.

    `named`: the base as the experiment names it. Raises RolloutError where the adapter does not fit the base.
    """
    check_adapter(base, weights, None)
    settings = json.loads((weights / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    is_local = named.startswith("builtin:") or Path(named).expanduser().is_dir()
    settings |= {"base_model_name_or_path": str(base) if is_local else named, "inference_mode": True}
    _write_json(out / ADAPTER_CONFIG, settings)
    shutil.copyfile(weights / ADAPTER_WEIGHTS, out / ADAPTER_WEIGHTS)


def write_model(start: Path, adapter: Path | None, dtype: str | None, out: Path, shard_size: str) -> None:
    """Write the weights of the model folder `start`, with `adapter` added, as a model folder of their own.

    W' = W + scale * B A is summed in float32 and then rounded to `dtype`, or to that of W. A head that is
    tied to the embeddings is not written beside them. Memory holds about one file of `shard_size`.
    Raises RolloutError where the adapter does not fit.
    """
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    if adapter is not None:
        check_adapter(start, adapter, None)
    weights = MergedWeights(start)
    config = json.loads((start / "config.json").read_text(encoding="utf-8"))
    kept = _once(dict(weights.of(None)), tied=bool(config.get("tie_word_embeddings")))
    as_asked = getattr(torch, dtype) if dtype is not None else None
    types = {name: as_asked or tensor.dtype for name, tensor in kept.items()}
    shapes = {
        name: torch.empty_like(tensor, dtype=types[name], device="meta") for name, tensor in kept.items()
    }
    split = split_torch_state_dict_into_shards(shapes, max_shard_size=shard_size)
    parts: dict[str, dict[str, Any]] = {name: {} for name in split.filename_to_tensors}
    for name, tensor in weights.of(adapter):
        if name not in kept:
            continue
        file = split.tensor_to_filename[name]
        parts[file][name] = tensor.to(types[name]).contiguous()
        if len(parts[file]) == len(split.filename_to_tensors[file]):
            save_file(parts.pop(file), out / file, metadata={"format": "pt"})
    if split.is_sharded:
        _write_json(out / INDEX, {"metadata": split.metadata, "weight_map": split.tensor_to_filename})
    copy_files(start, MODEL, out)
    if dtype is not None:
        for key in {"dtype", "torch_dtype"} & config.keys() or {"dtype"}:
            config[key] = dtype
        _write_json(out / "config.json", config)


def copy_files(folder: Path, patterns: Iterable[str], out: Path) -> None:
    """Copy the files of `folder` that fit a pattern, but for those that `out` has."""
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            if file.is_file() and not (out / file.name).exists():
                shutil.copyfile(file, out / file.name)


def _once(tensors: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """`tensors` without a head that only repeats the embeddings."""
    repeats = tied and any(name.endswith("embed_tokens.weight") for name in tensors)
    return {name: one for name, one in tensors.items() if not (repeats and name.endswith("lm_head.weight"))}


def _write_json(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    guard_output()
    sys.exit(main(Path(sys.argv[1])))
