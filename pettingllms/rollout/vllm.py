"""The `vllm` engine: vLLM's core inside the engine process, LoRA policies merged or as adapters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pettingllms.config.homes import LORA_RANKS
from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import EngineSettings
from pettingllms.types import Completion, FinishReason, Request, TokenSampling

CPU_BLOCK_SIZE = 32
"""Smallest cache block of the CPU attention: only whole blocks of a prompt are shared between candidates."""


class VllmEngine:
    """vLLM behind the engine protocol.

    `merged`: one policy's weights at a time; the adapter is added to the base weights in fp32 and
    they are reloaded in place when another policy or version is asked for.
    `adapter`: the base stays; each version is an adapter of its own name, as vLLM's prefix cache is
    keyed by that name.
    """

    def __init__(self, settings: EngineSettings) -> None:
        _set_environment(settings)
        from vllm import LLM

        self._settings = settings
        self._adapters: dict[str, tuple[int, Path]] = {}
        self._served: tuple[str, int] | None = None
        self._llm: Any = LLM(**_engine_arguments(settings))

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Sample all requests; under merged serving, policy by policy."""
        if self._settings.serving == "adapter":
            return self._run(requests)
        answers: dict[int, Completion] = {}
        for policy in dict.fromkeys(request.policy for request in requests):
            places = [place for place, request in enumerate(requests) if request.policy == policy]
            self._serve(policy)
            answers |= zip(places, self._run([requests[place] for place in places]), strict=True)
        return [answers[place] for place in range(len(requests))]

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Take a new version; the old adapter is unloaded and the prefix cache emptied."""
        if self._settings.serving == "adapter" and policy in self._adapters:
            self._llm.llm_engine.remove_lora(self._adapter_id(policy, self._adapters[policy][0]))
        self._adapters[policy] = (version, folder)
        self._reset_prefix_cache()

    def close(self) -> None:
        """Dropping the engine frees its memory."""
        del self._llm

    def _run(self, requests: Sequence[Request]) -> list[Completion]:
        prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in requests]
        parameters = [_sampling_parameters(request.sampling, request.seed) for request in requests]
        adapters = None
        if self._settings.serving == "adapter":
            adapters = [self._lora_request(request.policy) for request in requests]
        outputs = self._llm.generate(prompts, parameters, lora_request=adapters, use_tqdm=False)
        return [
            _completion(output.outputs[0], self._version(request.policy))
            for output, request in zip(outputs, requests, strict=True)
        ]

    def _version(self, policy: str) -> int:
        return self._adapters[policy][0] if policy in self._adapters else 0

    def _adapter_id(self, policy: str, version: int) -> int:
        """A positive number per (policy, version); policies take turns, so ids never meet."""
        return 1 + self._settings.policies.index(policy) + version * len(self._settings.policies)

    def _lora_request(self, policy: str) -> Any:
        from vllm.lora.request import LoRARequest

        if policy not in self._adapters:
            return None
        version, folder = self._adapters[policy]
        return LoRARequest(f"{policy}@{version}", self._adapter_id(policy, version), str(folder))

    def _serve(self, policy: str) -> None:
        """Merged serving: make `policy`'s current version the engine's weights."""
        wanted = (policy, self._version(policy))
        if self._served == wanted or (self._served is None and policy not in self._adapters):
            return
        folder = self._adapters[policy][1] if policy in self._adapters else None
        tensors = list(merged_weights(self._settings.model_folder, folder))
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(tensors)})
        self._served = wanted
        self._reset_prefix_cache()

    def _reset_prefix_cache(self) -> None:
        if not self._llm.reset_prefix_cache():
            raise RolloutError("vLLM could not empty its prefix cache: blocks are still in use")


def merged_weights(model_folder: Path, adapter_folder: Path | None) -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) of the base weights with the adapter added, in float32.

    W' = W + (alpha / r) B A for every adapted matrix (Hu et al. 2021, arXiv:2106.09685, section 4.1).
    Raises RolloutError when the adapter names a matrix that the base does not have.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    deltas: dict[str, tuple[Any, Any]] = {}
    scale = 0.0
    if adapter_folder is not None:
        settings = json.loads((adapter_folder / "adapter_config.json").read_text())
        scale = settings["lora_alpha"] / settings["r"]
        tensors = load_file(adapter_folder / "adapter_model.safetensors")
        for name, tensor in tensors.items():
            if name.endswith(".lora_A.weight"):
                base = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
                deltas[base] = (tensor, tensors[name.replace(".lora_A.", ".lora_B.")])
    files = sorted(model_folder.glob("*.safetensors"))
    if not files:
        raise RolloutError(f"{model_folder} holds no .safetensors weights", help="convert the model first")
    for file in files:
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a mapping
                tensor = weights.get_tensor(name)
                if name in deltas:
                    down, up = deltas.pop(name)
                    tensor = tensor.float().addmm_(up.float(), down.float(), alpha=scale)
                yield name, tensor
    if deltas:
        raise RolloutError(f"adapted weights that the base model does not have: {sorted(deltas)[:3]}")


def _set_environment(settings: EngineSettings) -> None:
    """Set what vLLM reads when it is imported."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    if settings.device == "cpu":
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"


def _engine_arguments(settings: EngineSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": str(settings.model_folder),
        "dtype": settings.dtype,
        "seed": settings.seed % 2**31,
        "enforce_eager": True,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",
        "tensor_parallel_size": settings.tensor_parallel_size,
        "trust_remote_code": settings.trust_remote_code,
        "disable_log_stats": True,
    }
    if settings.device == "cpu":
        arguments["block_size"] = CPU_BLOCK_SIZE
        # A prompt split over two engine steps crashes per-request seeds on the CPU: let all fit in one.
        arguments["max_num_batched_tokens"] = max(2048, settings.max_num_seqs * settings.max_model_len)
    else:
        arguments["gpu_memory_utilization"] = settings.gpu_memory_utilization
    if settings.max_num_batched_tokens is not None:
        arguments["max_num_batched_tokens"] = settings.max_num_batched_tokens
    if settings.enable_chunked_prefill is not None:
        arguments["enable_chunked_prefill"] = settings.enable_chunked_prefill
    if settings.serving == "adapter":
        arguments["enable_lora"] = True
        arguments["max_loras"] = len(settings.policies)
        arguments["max_lora_rank"] = next(rank for rank in LORA_RANKS if rank >= settings.max_lora_rank)
    return arguments


def _sampling_parameters(sampling: TokenSampling, seed: int) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        stop=list(sampling.stop) or None,
        seed=seed,
        logprobs=0,
        detokenize=bool(sampling.stop),
    )


def _completion(output: Any, version: int) -> Completion:
    ids = tuple(output.token_ids)
    logprobs = tuple(step[token].logprob for step, token in zip(output.logprobs, ids, strict=True))
    reason = FinishReason.STOP if output.finish_reason == "stop" else FinishReason.LENGTH
    return Completion(ids, logprobs, reason, version)
