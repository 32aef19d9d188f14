"""Token ids of a long text from those of its pieces: what was encoded once is not encoded again."""

from __future__ import annotations

import re
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

KEPT_CHARACTERS = 16_000_000
"""Length of all pieces that are remembered together; those that were not asked for longest are forgotten."""


class PieceEncoder:
    """Encodes text piece by piece, cut before each of the special tokens `cuts`.

    `encode` gives the token ids of a text, and those of a text that is cut there are those of its pieces
    together (`exact_cuts` tells for which tokens that holds).
    """

    def __init__(
        self, encode: Callable[[str], list[int]], cuts: list[str], kept: int = KEPT_CHARACTERS
    ) -> None:
        self._encode = encode
        self._cut = re.compile("|".join(map(re.escape, cuts)))
        self._known: OrderedDict[str, array[int]] = OrderedDict()
        self._room = kept

    def ids(self, text: str) -> list[int]:
        """The token ids of `text`."""
        ids: list[int] = []
        for piece in self._pieces(text):
            ids += self._ids_of(piece)
        return ids

    def _pieces(self, text: str) -> Iterator[str]:
        begin = 0
        for found in self._cut.finditer(text):
            if found.start() > begin:
                yield text[begin : found.start()]
            begin = found.start()
        if begin < len(text):
            yield text[begin:]

    def _ids_of(self, piece: str) -> array[int]:
        if piece in self._known:
            self._known.move_to_end(piece)
            return self._known[piece]
        ids = self._known[piece] = array("q", self._encode(piece))
        self._room -= len(piece)
        while self._room < 0:
            forgotten, _ = self._known.popitem(last=False)
            self._room += len(forgotten)
        return ids


def exact_cuts(tokenizer: Any) -> list[str]:
    """Special tokens of the chat template of a transformers tokenizer before which any text may be cut.

    The `tokenizers` library looks for added tokens in the text as it is, from the left, and treats what lies
    between them piece by piece; a piece knows of the others no more than whether there is one before it, and
    every piece but the first begins with its special token. That holds where a token asks for nothing of its
    neighbours and shares no text with another one, and where the tokenizer encodes as the library does.
    There are none for other tokenizers.
    """
    from transformers import PreTrainedTokenizerFast

    kind = type(tokenizer)
    as_usual = isinstance(tokenizer, PreTrainedTokenizerFast) and all(
        getattr(kind, name) is getattr(PreTrainedTokenizerFast, name)
        for name in ("__call__", "encode", "_encode_plus", "apply_chat_template")
    )
    if not as_usual or tokenizer.split_special_tokens:
        return []
    added = list(tokenizer.backend_tokenizer.get_added_tokens_decoder().values())
    if any(token.single_word for token in added):
        return []
    template = tokenizer.get_chat_template(None, None)
    mentioned = {text for text in tokenizer.special_tokens_map.values() if isinstance(text, str)}
    return [
        token.content
        for token in added
        if (token.content in template or token.content in mentioned)
        and not (token.lstrip or token.normalized or token.content[0].isspace())
        and not any(_overlap(other.content, token.content) for other in added)
    ]


def _overlap(first: str, second: str) -> bool:
    """Whether `second` may begin inside of `first`, after its first character."""
    return any(
        first.startswith(second, begin) or second.startswith(first[begin:]) for begin in range(1, len(first))
    )
