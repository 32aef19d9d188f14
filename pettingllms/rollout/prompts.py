"""From an agent's messages to token ids that fit the prompt limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pettingllms.errors import RolloutError
from pettingllms.types import Message


class Tokenizer(Protocol):
    """What the rollout needs of a tokenizer."""

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a chat, ending where the assistant's next message begins."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of token ids."""


def fit_prompt(tokenizer: Tokenizer, messages: Sequence[Message], limit: int) -> tuple[tuple[int, ...], bool]:
    """Return the chat's token ids, at most `limit`, and whether something was cut.

    The newest message loses tokens from its middle; everything before it stays whole.
    Raises RolloutError when even an empty newest message does not fit.
    """
    ids = tokenizer.chat(messages)
    if len(ids) <= limit:
        return tuple(ids), False
    *older, newest = messages
    content = tokenizer.encode(newest.content)
    keep = len(content) - (len(ids) - limit)
    while keep >= 0:
        head, tail = content[: (keep + 1) // 2], content[len(content) - keep // 2 :]
        text = tokenizer.decode(head) + tokenizer.decode(tail)
        ids = tokenizer.chat([*older, Message(newest.role, text)])
        if len(ids) <= limit:
            return tuple(ids), True
        # Decoding and encoding again may yield more tokens than were kept.
        keep -= max(1, len(ids) - limit)
    raise RolloutError(
        f"a prompt of {len(ids)} tokens does not fit max_prompt_length = {limit} even without its task",
        help="raise training.max_prompt_length, or shorten system_prompt and examples",
    )


def text_before(text: str, stops: Sequence[str]) -> str:
    """What the agent reads: the text before the first stop string; the trained tokens keep it."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]
