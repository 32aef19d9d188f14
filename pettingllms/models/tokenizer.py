"""Text to token ids and back, with the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pettingllms.errors import RefusedError
from pettingllms.types import Message


class ChatTokenizer:
    """The tokenizer of a model folder."""

    def __init__(self, folder: Path, trust_remote_code: bool) -> None:
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if self._tokenizer.chat_template is None:
            raise RefusedError(
                f"the tokenizer in {folder} has no chat template",
                help="use an instruct model, or add chat_template.jinja to the model folder",
            )
        self.end_id: int = self._tokenizer.eos_token_id

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the chat, ending where the assistant's next message begins."""
        ids: list[int] = self._tokenizer.apply_chat_template(
            [message._asdict() for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        return ids

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without special tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of `token_ids`, special tokens left out."""
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text
