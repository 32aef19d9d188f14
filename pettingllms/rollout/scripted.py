"""The `scripted` engine: seeded replies from a list; no weights, for tests and dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import EngineSettings
from pettingllms.types import Completion, FinishReason, Request

LOGPROB = -1.0
"""What it claims for every token."""


class ScriptedEngine:
    """Answers each request with the reply that the request's seed picks.

    `{0}`, `{1}`, … in a reply stand for the numbers of the prompt, last one first.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._replies = settings.replies
        self._tokenizer = ChatTokenizer(settings.model_folder, settings.trust_remote_code)
        self._versions: dict[str, int] = {}

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One reply per request; it ends with the end-of-sequence token where it fits."""
        return [self._reply(request) for request in requests]

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """Remember the version; `folder` must hold an adapter."""
        if not (folder / "adapter_model.safetensors").is_file():
            raise FileNotFoundError(folder / "adapter_model.safetensors")
        self._versions[policy] = version

    def close(self) -> None:
        """Nothing to free."""

    def _reply(self, request: Request) -> Completion:
        prompt = self._tokenizer.decode(request.prompt_ids)
        numbers = re.findall(r"\d+", prompt)[::-1]
        reply = self._replies[request.seed % len(self._replies)]
        for index, number in enumerate(numbers[:10]):
            reply = reply.replace(f"{{{index}}}", number)
        tokens = [*self._tokenizer.encode(reply), self._tokenizer.end_id]
        kept = tuple(tokens[: request.sampling.max_tokens])
        reason = FinishReason.STOP if len(kept) == len(tokens) else FinishReason.LENGTH
        return Completion(kept, (LOGPROB,) * len(kept), reason, self._versions.get(request.policy, 0))
