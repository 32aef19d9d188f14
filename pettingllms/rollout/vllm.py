"""The `vllm` engine: vLLM's core inside the engine process, LoRA policies merged or as adapters."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pettingllms.config.homes import LORA_RANKS
from pettingllms.errors import RolloutError
from pettingllms.models.images import opened, same_prompt
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.fingerprint import fingerprint, require_restored
from pettingllms.rollout.loaded import Loaded, LoadedWeights
from pettingllms.rollout.merged import MergedWeights
from pettingllms.rollout.tied_heads import pack_heads
from pettingllms.types import Completion, FinishReason, Request, TokenSampling

WHILE_SECONDS = 0.03
"""How long vLLM works before it looks for new requests."""
MOST_IMAGES = 8
"""Images of one prompt."""
IMAGE_SIDE = 1024
"""Pixels of the side of an image for which vLLM makes room at its start; larger ones may need more."""
CPU_BLOCK_SIZE = 32
"""Smallest cache block of the CPU attention: only whole blocks of a prompt are shared between candidates."""

_HALF_SENT = object()
"""Stands for weights that are those of no policy, nor of the base model."""


class VllmEngine:
    """vLLM behind the engine protocol.

    `merged`: one policy's weights at a time, its own or the base weights with its adapter added in fp32; they
    are reloaded in place when another policy or version is asked for. Requests of other policies wait until
    those of the policy that runs are done; of those that wait, the oldest decides who is next.
    `adapter`: the base stays, all policies run together; each load is an adapter of its own name, as
    vLLM's prefix cache is keyed by that name.
    The model's fingerprint is taken before weights are sent for the first time, and compared by `restore`;
    what it covers is said there (`fingerprint`).
    """

    def __init__(self, settings: EngineSettings) -> None:
        _set_environment(settings)
        from vllm import LLM

        self._settings = settings
        self._merges = settings.serving == "merged"
        self._loaded = LoadedWeights(settings.model_folder, settings.serving, settings.max_lora_rank)
        self._held: dict[str, Loaded] = {}
        """Adapters that vLLM holds."""
        self._weights = MergedWeights(settings.model_folder)
        self._merged: object = None
        """Whose weights the engine has under merged serving: None, the base model's, or `_HALF_SENT`."""
        self._at_start: list[str] = []
        """Fingerprint of the model in each of vLLM's workers before any weights were sent."""
        self._waiting: list[tuple[int, Request]] = []
        self._running: dict[int, str] = {}
        self._refused: list[tuple[int, Completion]] = []
        self._asleep = False
        self._llm: Any = LLM(**_engine_arguments(settings))

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Remember the requests; vLLM gets them when it is their policy's turn."""
        self._waiting += requests

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:
        """Run vLLM step by step until a request is done, or a while. Raises RolloutError for a lost one."""
        until = time.monotonic() + WHILE_SECONDS
        self._admit()
        done, self._refused = self._refused, []
        while self._running and not done:
            if not self._llm.llm_engine.has_unfinished_requests():
                lost = ", ".join(map(str, self._running))
                raise RolloutError(f"vLLM has nothing left to do, but never answered these requests: {lost}")
            done = [self._finished(output) for output in self._llm.llm_engine.step()]
            if not wait and time.monotonic() >= until:
                break
        return done

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Take a new version. An engine that sleeps takes it in when it wakes."""
        self._expect_idle("take new weights")
        self._loaded.load(policy, version, folder)
        if not self._asleep:
            self._renew()

    def forget_prompts(self) -> None:
        """Empty the prefix cache."""
        self._expect_idle("forget its prompts")
        self._reset_prefix_cache()

    def sleep(self) -> None:
        """Free device memory, where it is shared; the weights wait in main memory."""
        self._expect_idle("sleep")
        if self._settings.may_sleep and not self._asleep:
            self._llm.sleep(level=1)
            self._asleep = True

    def wake(self) -> None:
        """Take the memory back, and what was loaded meanwhile."""
        if self._asleep:
            self._wake_up()
            self._renew()

    def restore(self) -> None:
        """Drop the adapters, or send the base weights again, and compare the model with that of the start."""
        self._expect_idle("be restored")
        self._loaded.forget()
        if self._asleep:
            self._wake_up()
        for adapter in self._held.values():
            self._llm.llm_engine.remove_lora(1 + adapter.number)
        self._held.clear()
        if self._merged is not None:
            self._send_weights(None)
        self._reset_prefix_cache()
        if self._at_start:
            require_restored(self._llm.apply_model(fingerprint), self._at_start)

    def close(self) -> None:
        """Dropping the engine frees its memory."""
        del self._llm

    def _wake_up(self) -> None:
        self._llm.wake_up()
        self._asleep = False

    def _admit(self) -> None:
        """Hand waiting requests to vLLM: all, or under merged serving those of one policy."""
        if not self._waiting:
            return
        admitted, later = self._waiting, []
        if self._merges:
            policy = next(iter(self._running.values()), self._waiting[0][1].policy)
            admitted = [one for one in self._waiting if one[1].policy == policy]
            later = [one for one in self._waiting if one[1].policy != policy]
            if not self._running:
                self._serve(policy)
        self._waiting = later
        for number, request in admitted:
            self._add(number, request)

    def _add(self, number: int, request: Request) -> None:
        from vllm.exceptions import VLLMClientError

        try:
            self._llm.llm_engine.add_request(
                str(number),
                self._prompt(request),
                _sampling_parameters(request.sampling, request.seed),
                lora_request=None if self._merges else self._lora_request(request.policy),
            )
        except (ValueError, VLLMClientError, RolloutError) as refusal:
            version = self._loaded.version(request.policy)
            self._refused.append((number, Completion((), (), FinishReason.FAILED, version, str(refusal))))
        else:
            self._running[number] = request.policy

    def _prompt(self, request: Request) -> Any:
        """The prompt as vLLM takes it; it finds the placeholders of images itself. Raises RolloutError."""
        if request.images is None:
            from vllm.inputs import tokens_input

            return tokens_input(list(request.prompt_ids))
        if not self._settings.images:
            raise RolloutError("the prompt holds images, and the engine was started without")
        from vllm.inputs import TokensPrompt

        asked = TokensPrompt(
            prompt_token_ids=list(request.images.short_ids),
            multi_modal_data={"image": opened(request.images)},
        )
        [prompt] = self._llm.llm_engine.renderer.render_cmpl([asked])
        same_prompt(request.prompt_ids, prompt["prompt_token_ids"])
        return prompt

    def _finished(self, output: Any) -> tuple[int, Completion]:
        number = int(output.request_id)
        return number, _completion(output.outputs[0], self._loaded.version(self._running.pop(number)))

    def _lora_request(self, policy: str) -> Any:
        from vllm.lora.request import LoRARequest

        if policy not in self._loaded.newest:
            return None
        adapter = self._loaded.newest[policy]
        return LoRARequest(
            f"{policy}@{adapter.version}#{adapter.number}", 1 + adapter.number, str(adapter.folder)
        )

    def _renew(self) -> None:
        """Adapter serving: exchange the adapters that are not the newest. Old weights leave no cache."""
        core = self._llm.llm_engine
        for policy, adapter in self._loaded.newest.items():
            if self._merges or self._held.get(policy) == adapter:
                continue
            if policy in self._held:
                core.remove_lora(1 + self._held.pop(policy).number)
            self._remember_start()
            if not core.add_lora(self._lora_request(policy)):
                raise RolloutError(f"vLLM did not take the adapter in {adapter.folder}")
            self._held[policy] = adapter
        self._reset_prefix_cache()

    def _serve(self, policy: str) -> None:
        """Merged serving: make `policy`'s newest version the engine's weights."""
        adapter = self._loaded.newest.get(policy)
        if self._merged != adapter:
            self._remember_start()
            self._send_weights(adapter)
            self._reset_prefix_cache()

    def _send_weights(self, adapter: Loaded | None) -> None:
        # All names that the model needs are among them: vLLM insists on every one.
        tensors = self._weights.of(adapter.folder if adapter else None)
        if self._settings.tensor_parallel_size > 1:
            # Workers in processes of their own get them all at once.
            tensors = iter(list(tensors))
        # Adapters leave the embeddings, and so a tied head, as they are.
        heads = self._settings.device == "cpu" and _changes_embeddings(self._merged, adapter)
        # Where this fails, nothing is taken for sent.
        self._merged = _HALF_SENT
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": tensors})
        if heads:
            self._llm.apply_model(pack_heads)
        self._merged = adapter

    def _remember_start(self) -> None:
        if not self._at_start:
            self._at_start = self._llm.apply_model(fingerprint)

    def _reset_prefix_cache(self) -> None:
        if not self._llm.reset_prefix_cache():
            raise RolloutError("vLLM could not empty its prefix cache: blocks are still in use")
        if self._settings.images:
            # What the weights of before made of images.
            self._llm.llm_engine.reset_encoder_cache()

    def _expect_idle(self, purpose: str) -> None:
        if pending := len(self._waiting) + len(self._running) + len(self._refused):
            raise RolloutError(f"the engine cannot {purpose} while {pending} requests are pending")


def _changes_embeddings(before: object, after: Loaded | None) -> bool:
    """Whether weights that replace others may have another embedding matrix."""
    sides = (before, after)
    return any(one is _HALF_SENT or (isinstance(one, Loaded) and one.whole) for one in sides)


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
        "enforce_eager": settings.enforce_eager,
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
        arguments["enable_sleep_mode"] = settings.may_sleep
    if settings.images:
        arguments["limit_mm_per_prompt"] = {
            "image": {"count": MOST_IMAGES, "width": IMAGE_SIDE, "height": IMAGE_SIDE},
            "video": 0,
        }
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
    from vllm.sampling_params import RequestOutputKind

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
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _completion(output: Any, version: int) -> Completion:
    """A `finish_reason` "stop" has as its `stop_reason` the stop string, or else an end token or nothing."""
    reasons = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
    reason = reasons.get(output.finish_reason, FinishReason.FAILED)
    if reason is FinishReason.FAILED:
        return Completion((), (), reason, version, f"vLLM ended the request with {output.finish_reason!r}")
    if isinstance(output.stop_reason, str):
        reason = FinishReason.STOP_STRING
    ids = tuple(output.token_ids)
    logprobs = tuple(step[token].logprob for step, token in zip(output.logprobs, ids, strict=True))
    return Completion(ids, logprobs, reason, version)
