"""From an agent's messages to token ids that fit the prompt limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pettingllms.errors import RolloutError
from pettingllms.types import Images, Message


class Tokenizer(Protocol):
    """What the rollout needs of a tokenizer."""

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a chat, ending where the assistant's next message begins."""

    def see(self, messages: Sequence[Message]) -> tuple[list[int], Images]:
        """The same of a chat with images. Raises RolloutError where the model takes none."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of token ids."""


class Fitted(NamedTuple):
    """Token ids of a chat, whether something was cut to make them fit, and its images."""

    ids: tuple[int, ...]
    cut: bool
    images: Images | None = None


def fit_prompt(tokenizer: Tokenizer, messages: Sequence[Message], limit: int) -> Fitted:
    """Return the chat's token ids, at most `limit`, placeholders of images included.

    The newest message loses tokens from the middle of its text; everything before it stays whole, and so do
    images. Raises RolloutError when even an empty newest message does not fit.
    """
    ids, images = _asked(tokenizer, messages)
    if len(ids) <= limit:
        return Fitted(tuple(ids), False, images)
    *older, newest = messages
    content = tokenizer.encode(newest.content)
    keep = len(content) - (len(ids) - limit)
    while keep >= 0:
        head, tail = content[: (keep + 1) // 2], content[len(content) - keep // 2 :]
        text = tokenizer.decode(head) + tokenizer.decode(tail)
        ids, images = _asked(tokenizer, [*older, newest._replace(content=text)])
        if len(ids) <= limit:
            return Fitted(tuple(ids), True, images)
        # Decoding and encoding again may yield more tokens than were kept.
        keep -= max(1, len(ids) - limit)
    raise RolloutError(
        f"a prompt of {len(ids)} tokens does not fit max_prompt_length = {limit} even without its task",
        help="raise training.max_prompt_length, or shorten system_prompt and examples",
    )


def _asked(tokenizer: Tokenizer, messages: Sequence[Message]) -> tuple[list[int], Images | None]:
    if any(message.images for message in messages):
        return tokenizer.see(messages)
    return tokenizer.chat(messages), None


def text_before(text: str, stops: Sequence[str]) -> str:
    """What the agent reads: the text before the first stop string; the trained tokens keep it."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]
