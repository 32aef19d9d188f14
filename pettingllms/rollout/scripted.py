"""The `scripted` engine: seeded replies from a list; no weights, for tests and dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pettingllms.errors import RolloutError
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import EngineSettings
from pettingllms.types import Completion, FinishReason, Request

LOGPROB = -1.0
"""What it claims for every token."""


class ScriptedEngine:
    """Answers each request with the reply that the request's seed picks.

    `{0}`, `{1}`, … in a reply stand for the numbers of the prompt, last one first. At most `max_num_seqs`
    requests are answered at a time.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._tokenizer = ChatTokenizer(settings.model_folder, settings.trust_remote_code)
        self._versions: dict[str, int] = {}
        self._pending: list[tuple[int, Request]] = []

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Remember the requests."""
        self._pending += requests

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:  # noqa: ARG002 - the protocol's
        """A reply to each of the oldest requests; it ends with the end token where that fits."""
        now = self._pending[: self._settings.max_num_seqs]
        del self._pending[: len(now)]
        return [(number, self._reply(request)) for number, request in now]

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Remember the version; `folder` must hold an adapter."""
        if not (folder / "adapter_model.safetensors").is_file():
            raise FileNotFoundError(folder / "adapter_model.safetensors")
        self._versions[policy] = version

    def forget_prompts(self) -> None:
        """Nothing is kept."""

    def sleep(self) -> None:
        """Nothing to free."""

    def wake(self) -> None:
        """Nothing to do."""

    def restore(self) -> None:
        """Forget the versions."""
        if self._pending:
            raise RolloutError(
                f"the engine cannot be restored while {len(self._pending)} requests are pending"
            )
        self._versions.clear()

    def close(self) -> None:
        """Nothing to free."""

    def _reply(self, request: Request) -> Completion:
        version, sampling = self._versions.get(request.policy, 0), request.sampling
        room = self._settings.max_model_len - len(request.prompt_ids)
        if room <= 0:
            return Completion((), (), FinishReason.FAILED, version, "the prompt leaves no room for an answer")
        prompt = self._tokenizer.decode(request.prompt_ids)
        numbers = re.findall(r"\d+", prompt)[::-1]
        reply = self._settings.replies[request.seed % len(self._settings.replies)]
        for index, number in enumerate(numbers[:10]):
            reply = reply.replace(f"{{{index}}}", number)
        tokens = [*self._tokenizer.encode(reply), self._tokenizer.end_id]
        kept = tuple(tokens[: min(sampling.max_tokens, room)])
        reason = FinishReason.STOP if len(kept) == len(tokens) else FinishReason.LENGTH
        if sampling.stop:
            stops = self._tokenizer.stops(request.prompt_ids, sampling.stop)
            for place, token in enumerate(kept):
                if token != self._tokenizer.end_id and stops.completed_by(token):
                    kept, reason = kept[: place + 1], FinishReason.STOP_STRING
                    break
        return Completion(kept, (LOGPROB,) * len(kept), reason, version)
