"""The `hf` engine: transformers' own generation, for platforms without vLLM and to check vLLM against."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from pettingllms.errors import RolloutError
from pettingllms.models.images import ImageReader
from pettingllms.models.seeing import auto_class, shown
from pettingllms.models.tensors import load_tensors
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.fingerprint import fingerprint, require_restored
from pettingllms.rollout.loaded import Loaded, LoadedWeights
from pettingllms.rollout.merged import MergedWeights
from pettingllms.types import Completion, FinishReason, Request, TokenSampling


class HfEngine:
    """transformers' `generate` behind the engine protocol, one batch at a time, each of one policy.

    `adapter`: PEFT applies the policy's adapter. `merged`: the model takes over the policy's weights, its own
    or merged ones, made anew from those on the disk, so that no rounding adds up from update to update.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._tokenizer = ChatTokenizer(settings.model_folder, settings.trust_remote_code)
        self._reader = (
            ImageReader(settings.model_folder, settings.trust_remote_code) if settings.images else None
        )
        self._model: Any = auto_class(images=settings.images).from_pretrained(
            settings.model_folder,
            dtype=getattr(torch, settings.dtype),
            attn_implementation="sdpa",
            trust_remote_code=settings.trust_remote_code,
        )
        # Sampling is our own: nothing that the model's folder says about it may join in.
        self._model.generation_config = GenerationConfig()
        self._model.eval().to(settings.device)
        self._loaded = LoadedWeights(settings.model_folder, settings.serving, None)
        self._peft: Any = None
        self._held: dict[str, _Held] = {}
        self._weights = MergedWeights(settings.model_folder)
        self._merged: Loaded | None = None
        self._at_start: str | None = None
        """Fingerprint of the model before other weights came in."""
        self._pending: list[tuple[int, Request]] = []
        self._refused: list[tuple[int, Completion]] = []

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Remember the requests, and which of them cannot be answered."""
        for number, request in requests:
            if why := self._refusal(request):
                version = self._loaded.version(request.policy)
                self._refused.append((number, Completion((), (), FinishReason.FAILED, version, why)))
            else:
                self._pending.append((number, request))

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:  # noqa: ARG002 - the protocol's
        """Answer the oldest request, and what fits into its batch: it works batch by batch."""
        done, self._refused = self._refused, []
        if done or not self._pending:
            return done
        oldest = self._pending[0][1]
        policy, seeing = oldest.policy, oldest.images is not None
        batch = [
            one for one in self._pending if one[1].policy == policy and (one[1].images is not None) == seeing
        ][: self._settings.max_num_seqs]
        rows = self._generate(policy, [request for _, request in batch])
        taken = {number for number, _ in batch}
        self._pending = [one for one in self._pending if one[0] not in taken]
        version = self._loaded.version(policy)
        return [(number, row.completion(version)) for (number, _), row in zip(batch, rows, strict=True)]

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Take a new version; it is put to use when the policy is asked for next."""
        self._expect_idle("take new weights")
        self._loaded.load(policy, version, folder)

    def forget_prompts(self) -> None:
        """Nothing is cached from one batch to the next."""
        self._expect_idle("forget its prompts")

    def sleep(self) -> None:
        """Move the model to main memory, where its device is shared."""
        self._expect_idle("sleep")
        if self._settings.may_sleep:
            self._model.to("cpu")
            torch.cuda.empty_cache()

    def wake(self) -> None:
        """Move the model back."""
        self._model.to(self._settings.device)

    def restore(self) -> None:
        """Take the adapters out of the model, or the base weights into it, and compare it with the start."""
        self._expect_idle("be restored")
        self._loaded.forget()
        self.wake()
        if self._peft is not None:
            self._model, self._peft = self._peft.unload(), None
        self._held.clear()
        if self._merged is not None:
            self._merge(None)
        if self._at_start is not None:
            require_restored(fingerprint(self._model), self._at_start)

    def close(self) -> None:
        """Dropping the model frees its memory."""
        del self._model, self._peft

    def _refusal(self, request: Request) -> str | None:
        length, limit = len(request.prompt_ids), self._settings.max_model_len
        if not 0 < length < limit:
            return f"a prompt of {length} tokens leaves no room for an answer; max_model_len = {limit}"
        if request.images is not None and self._reader is None:
            return "the prompt holds images, and the engine was started without"
        known = self._model.get_input_embeddings().num_embeddings
        if strange := [token for token in request.prompt_ids if not 0 <= token < known]:
            return f"token {strange[0]} is not in the vocabulary"
        return None

    def _generate(self, policy: str, requests: Sequence[Request]) -> list[_Row]:
        """B rows of prompts, padded on the left, go through the model until each has ended."""
        device = self._settings.device
        rows = [_Row(request, self._tokenizer, self._settings) for request in requests]
        width = max(len(request.prompt_ids) for request in requests)
        input_bt = torch.zeros(len(rows), width, dtype=torch.long)
        mask_bt = torch.zeros_like(input_bt)
        for index, request in enumerate(requests):
            input_bt[index, width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
            mask_bt[index, width - len(request.prompt_ids) :] = 1

        def draw(_: Tensor, logits_bv: Tensor) -> Tensor:
            chosen_b = [row.draw(logits_v) for row, logits_v in zip(rows, logits_bv, strict=True)]
            chosen_b1 = torch.tensor(chosen_b, device=logits_bv.device)[:, None]
            return torch.full_like(logits_bv, -torch.inf).scatter_(1, chosen_b1, 0.0)

        def ended(ids_bt: Tensor, *_: object) -> Tensor:
            return torch.tensor([row.reason is not None for row in rows], device=ids_bt.device)

        settings = GenerationConfig(
            do_sample=False, max_new_tokens=max(row.limit for row in rows), pad_token_id=0
        )
        with self._weights_of(policy), torch.no_grad():
            self._model.generate(
                input_bt.to(device),
                attention_mask=mask_bt.to(device),
                generation_config=settings,
                logits_processor=LogitsProcessorList([draw]),
                stopping_criteria=StoppingCriteriaList([ended]),
                **self._seen(requests, input_bt),
            )
        return rows

    def _seen(self, requests: Sequence[Request], input_bt: Tensor) -> dict[str, Tensor]:
        """What the model is given beside the tokens, where the prompts hold images."""
        images = [request.images for request in requests if request.images is not None]
        if self._reader is None or not images:
            return {}
        return shown(self._model, self._reader, images, input_bt)

    def _weights_of(self, policy: str) -> AbstractContextManager[Any]:
        """Inside it, the model has the newest weights of `policy`."""
        adapter = self._loaded.newest.get(policy)
        if adapter is not None and self._at_start is None:
            self._at_start = fingerprint(self._model)
        if self._settings.serving == "merged":
            if self._merged != adapter:
                self._merge(adapter)
            return nullcontext()
        if adapter is None:
            return nullcontext() if self._peft is None else self._peft.disable_adapter()
        held = self._held.get(policy)
        if held is None or held.adapter != adapter:
            self._held[policy] = held = self._taken(adapter, held)
        self._peft.set_adapter(held.name)
        return nullcontext()

    def _taken(self, adapter: Loaded, held: _Held | None) -> _Held:
        """Have PEFT take `adapter` in the place of what it holds of the policy."""
        from peft import PeftModel, set_peft_model_state_dict

        config = (adapter.folder / "adapter_config.json").read_bytes()
        if held is not None and held.config == config:
            weights = load_tensors(adapter.folder / "adapter_model.safetensors")
            set_peft_model_state_dict(self._peft, weights, held.name)
            return _Held(adapter, held.name, config)
        name, device = f"adapter{adapter.number}", self._settings.device
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._model, adapter.folder, name, torch_device=device)
        else:
            self._peft.load_adapter(adapter.folder, name, torch_device=device)
        if held is not None:
            self._peft.set_adapter(name)
            self._peft.delete_adapter(held.name)
        return _Held(adapter, name, config)

    def _merge(self, adapter: Loaded | None) -> None:
        """Every matrix gets its value: from the files, or by being tied to one that does."""
        weights = dict(self._weights.of(adapter.folder if adapter else None))
        report = self._model.load_state_dict(weights, strict=False)
        state = self._model.state_dict()
        given = {state[name].data_ptr() for name in weights if name in state}
        missed = [name for name in report.missing_keys if state[name].data_ptr() not in given]
        if odd := [*report.unexpected_keys, *missed]:
            raise RolloutError(
                f"merging failed: {odd[0]} has another name in the model's files than in the model",
                help='set rollout.lora_serving = "adapter"',
            )
        self._merged = adapter

    def _expect_idle(self, purpose: str) -> None:
        if pending := len(self._pending) + len(self._refused):
            raise RolloutError(f"the engine cannot {purpose} while {pending} requests are pending")


class _Held(NamedTuple):
    """The adapter of a policy that PEFT has, under which name, and its configuration as it was written."""

    adapter: Loaded
    name: str
    config: bytes


class _Row:
    """One request while it is decoded. `limit`: the most tokens it may sample."""

    def __init__(self, request: Request, tokenizer: ChatTokenizer, settings: EngineSettings) -> None:
        self.sampling = request.sampling
        self.limit = min(request.sampling.max_tokens, settings.max_model_len - len(request.prompt_ids))
        self.reason: FinishReason | None = None
        self._generator = torch.Generator(settings.device).manual_seed(request.seed)
        self._end_ids = tokenizer.end_ids
        self._stops = tokenizer.stops(request.prompt_ids, self.sampling.stop) if self.sampling.stop else None
        self._token_ids: list[int] = []
        self._logprobs: list[float] = []

    def draw(self, logits_v: Tensor) -> int:
        """Sample the next token from the logits [V], with the request's own noise; any token once it ended.

        The largest of log-probability plus Gumbel noise is an exact sample (Maddison et al. 2014,
        arXiv:1411.0030, section 2).
        """
        if self.reason is not None:
            return 0
        logprob_v = processed_logprobs(logits_v.float(), self.sampling)
        scores_v = logprob_v
        if self.sampling.temperature > 0:
            # -log of an exponential variable is a Gumbel variable.
            scores_v = logprob_v - torch.empty_like(logprob_v).exponential_(generator=self._generator).log()
        token = int(scores_v.argmax())
        self._token_ids.append(token)
        self._logprobs.append(float(logprob_v[token]))
        if token in self._end_ids:
            self.reason = FinishReason.STOP
        elif self._stops is not None and self._stops.completed_by(token):
            self.reason = FinishReason.STOP_STRING
        elif len(self._token_ids) == self.limit:
            self.reason = FinishReason.LENGTH
        return token

    def completion(self, version: int) -> Completion:
        """What the row sampled."""
        assert self.reason is not None
        return Completion(tuple(self._token_ids), tuple(self._logprobs), self.reason, version)


def processed_logprobs(logits_v: Tensor, sampling: TokenSampling) -> Tensor:
    """Log-probabilities [V] in nats of the distribution that is sampled from.

    Temperature, then min_p, top_k, top_p, each on what the one before has left, as vLLM does; tokens that
    are cut have -inf. At temperature 0 the logits are taken as they are.
    """
    if sampling.temperature == 0:
        return logits_v.log_softmax(-1)
    logits_v = logits_v / sampling.temperature
    if sampling.min_p > 0:
        share_v = logits_v.softmax(-1)
        logits_v = logits_v.masked_fill(share_v < sampling.min_p * share_v.max(), -torch.inf)
    if 0 < sampling.top_k < len(logits_v):
        least = logits_v.topk(sampling.top_k).values[-1]
        logits_v = logits_v.masked_fill(logits_v < least, -torch.inf)
    if sampling.top_p < 1:
        rising_v, index_v = logits_v.sort()
        cut_v = rising_v.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        cut_v[-1] = False
        logits_v = logits_v.index_fill(0, index_v[cut_v], -torch.inf)
    return logits_v.log_softmax(-1)
