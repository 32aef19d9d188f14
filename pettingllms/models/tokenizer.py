"""Text to token ids and back, with the model's own chat template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pettingllms.errors import RefusedError, RolloutError
from pettingllms.models.images import ImageReader
from pettingllms.models.pieces import PieceEncoder, exact_cuts
from pettingllms.types import Images, Message


class ChatTokenizer:
    """The tokenizer of a model folder.

    `end_id` is what it writes at the end of a message, `end_ids` are all tokens that end one: its own, and
    those of the model's generation settings. With `images` its prompts may hold some: raises RefusedError
    where the model takes none.
    """

    def __init__(self, folder: Path, trust_remote_code: bool, *, images: bool = False) -> None:
        from transformers import AutoTokenizer

        self._reader = ImageReader(folder, trust_remote_code) if images else None

        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if self._tokenizer.chat_template is None:
            raise RefusedError(
                f"the tokenizer in {folder} has no chat template",
                help="use an instruct model, or add chat_template.jinja to the model folder",
            )
        cuts = exact_cuts(self._tokenizer)
        self._pieces = PieceEncoder(self.encode, cuts) if cuts else None
        self._trust_remote_code = trust_remote_code
        self.end_id: int = self._tokenizer.eos_token_id
        self.end_ids = _model_end_ids(folder) | {self.end_id}
        self._parts = images and self._needs_parts()

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the chat, ending where the assistant's next message begins.

        A chat that continues an earlier one costs what is new in it, where the tokenizer allows that.
        """
        chat = [{"role": one.role, "content": self._content(one.content)} for one in messages]
        rendered = self._tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=self._pieces is None, return_dict=False
        )
        ids: list[int] = rendered if self._pieces is None else self._pieces.ids(rendered)
        return ids

    def see(self, messages: Sequence[Message]) -> tuple[list[int], Images]:
        """The same of a chat with images, whose placeholders are among the ids, and the images."""
        if self._reader is None:
            raise RolloutError("a prompt holds images, and env.multi_modal is false")
        return self._reader.prompt(messages)

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without special tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of `token_ids`, special tokens left out."""
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def refuse_other_ids(self, folder: Path, about: str) -> None:
        """Raise RefusedError, which begins with `about`, where the model in `folder` has other token ids.

        It may have further ones.
        """
        from transformers import AutoTokenizer

        other = AutoTokenizer.from_pretrained(folder, trust_remote_code=self._trust_remote_code).get_vocab()
        for token, number in self._tokenizer.get_vocab().items():
            if other.get(token) != number:
                raise RefusedError(
                    f"{about} has another tokenizer than the policy: {token!r} is {number} of the policy, "
                    f"and {other.get(token, 'nothing')} there",
                    help="name a model of the same family, or none",
                )

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self._parts else text

    def _needs_parts(self) -> bool:
        """Whether the template passes over a content that is one text, as those for images may."""
        asked = [{"role": "user", "content": "?"}]
        return "?" not in self._tokenizer.apply_chat_template(asked, tokenize=False)

    def stops(self, prompt_ids: Sequence[int], stop: Sequence[str]) -> StopStrings:
        """A watch for `stop` in what will be sampled after `prompt_ids`."""
        return StopStrings(self._tokenizer, prompt_ids, stop)


class StopStrings:
    """Decodes token by token and tells when the text comes to hold a stop string.

    A character counts when its last byte is there; the text of the prompt does not count.
    """

    def __init__(self, tokenizer: Any, prompt_ids: Sequence[int], stop: Sequence[str]) -> None:
        if not tokenizer.is_fast:
            raise RefusedError("stop strings need a tokenizer that the `tokenizers` library can run")
        self._backend = tokenizer.backend_tokenizer
        self._stream = _decode_stream(prompt_ids)
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._tail = ""

    def completed_by(self, token_id: int) -> bool:
        """Take the next token; true when its text completes a stop string."""
        try:
            new = self._stream.step(self._backend, token_id) or ""
        except Exception as error:
            # Bytes that are no UTF-8 may change how those before them read, where bytes are a fallback.
            if "Invalid prefix" not in str(error):
                raise
            self._stream = _decode_stream(())
            new = self._stream.step(self._backend, token_id) or ""
        text = self._tail + new
        self._tail = text[-self._longest :]
        # An earlier match would have ended it: one that is found now ends in what is new.
        return bool(new) and any(stop in text for stop in self._stop)


def _decode_stream(prompt_ids: Sequence[int]) -> Any:
    from tokenizers.decoders import DecodeStream

    return DecodeStream(ids=list(prompt_ids), skip_special_tokens=True)


def _model_end_ids(folder: Path) -> frozenset[int]:
    """`eos_token_id` of the generation settings, or of the model's where it has none."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id")
            return frozenset([found] if isinstance(found, int) else found or [])
    return frozenset()
