"""The embedded model's engine as a trial on the CPU has it, for measurements of the rollout."""

import os
from pathlib import Path

from pettingllms.models.embedded import NAME
from pettingllms.models.folders import local_folder
from pettingllms.rollout.engine import EngineSettings

THREADS = 2


def embedded_model() -> Path:
    """Its folder; converted the first time."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    return local_folder(NAME, print)


def engine_settings(model: Path, *, max_model_len: int, max_num_seqs: int) -> EngineSettings:
    """vLLM with merged weights in float32, one policy, two threads."""
    return EngineSettings(
        name="vllm",
        model_folder=model,
        device="cpu",
        dtype="float32",
        serving="merged",
        policies=("shared",),
        max_lora_rank=16,
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        tensor_parallel_size=1,
        gpu_memory_utilization=0.5,
        trust_remote_code=False,
        threads=THREADS,
        seed=0,
        replies=(),
    )
