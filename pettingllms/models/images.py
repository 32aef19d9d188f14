"""Prompts with images, as the model's own processor reads them: token ids, and what the model is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from pettingllms.errors import RefusedError, RolloutError
from pettingllms.types import Images, Message

TEXTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
"""What a processor says of tokens; all else is of images."""


class ImageReader:
    """The processor of a model folder, loaded when it is first used.

    Each image becomes as many placeholders among the token ids as the model has vectors for it.
    """

    def __init__(self, folder: Path, trust_remote_code: bool) -> None:
        """Raises RefusedError where the model takes no images."""
        refuse_text_models(folder)
        self._folder, self._trust_remote_code = folder, trust_remote_code

    def prompt(self, messages: Sequence[Message]) -> tuple[list[int], Images]:
        """Token ids of a chat, placeholders included, and its images; ends where the next message begins.

        Each message has its images before its text. A text that spells a mark of the model's processor, as
        text of other agents may, has a space put into it: it stands for no image.
        """
        chat = [
            {
                "role": one.role,
                "content": [*({"type": "image"} for _ in one.images), *self._text(one.content)],
            }
            for one in messages
        ]
        text = self._processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        files = tuple(image for one in messages for image in one.images)
        short = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        images = Images(files, text, tuple(short))
        ids: list[int] = self._read([images])["input_ids"][0].tolist()
        return ids, images

    def seen(self, prompts: Sequence[Images]) -> dict[str, Any]:
        """Tensors of the images of `prompts`, by the names of the model's parameters; one row a prompt."""
        return {name: value for name, value in self._read(prompts).items() if name not in TEXTS}

    @cached_property
    def marks(self) -> frozenset[int]:
        """Tokens that a model may take for placeholders, wherever they stand."""
        ids = self._processor.tokenizer.convert_tokens_to_ids(sorted(self._marks))
        return frozenset(number for number in ids if number is not None)

    @cached_property
    def placeholder(self) -> int:
        """The token that stands once for each vector of an image."""
        number: int = self._processor.image_token_id
        return number

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        try:
            found = AutoProcessor.from_pretrained(self._folder, trust_remote_code=self._trust_remote_code)
        except (ImportError, OSError, ValueError) as cause:
            raise RefusedError(
                f"the image processor of {self._folder} cannot be loaded: {type(cause).__name__}: {cause}",
                help="install with: uv sync --extra images; the folder needs preprocessor_config.json",
            ) from cause
        if not getattr(found, "chat_template", None) or getattr(found, "image_token_id", None) is None:
            raise RefusedError(
                f"the processor in {self._folder} has no chat template, or no token for images",
                help="use an instruct model that takes images",
            )
        return found

    @cached_property
    def _marks(self) -> frozenset[str]:
        named = vars(self._processor).items()
        return frozenset(
            value for name, value in named if name.endswith("_token") and isinstance(value, str) and value
        )

    def _text(self, content: str) -> list[dict[str, str]]:
        for mark in self._marks:
            content = content.replace(mark, f"{mark[0]} {mark[1:]}")
        return [{"type": "text", "text": content}] if content else []

    def _read(self, prompts: Sequence[Images]) -> Mapping[str, Any]:
        read: Mapping[str, Any] = self._processor(
            text=[one.text for one in prompts],
            images=[opened(one) for one in prompts],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )
        return read


def opened(images: Images) -> list[Any]:
    """The images as Pillow has them."""
    from PIL import Image

    return [Image.open(BytesIO(file)).convert("RGB") for file in images.files]


def takes_images(folder: Path) -> bool:
    """Whether the model in `folder` has a part that sees."""
    return "vision_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))


def refuse_text_models(folder: Path) -> None:
    """Raise RefusedError where the model in `folder` takes no images."""
    if not takes_images(folder):
        raise RefusedError(
            f"env.multi_modal = true shows images, and the model in {folder} takes none",
            help="name a model whose config.json has a vision_config, or set env.multi_modal = false",
        )


def same_prompt(expected: Sequence[int], found: Sequence[int]) -> None:
    """Raise RolloutError where an engine has put other placeholders into a prompt than its request has."""
    if list(expected) != list(found):
        raise RolloutError(
            f"a prompt with images has {len(found)} tokens for the engine, and {len(expected)} by the "
            "model's processor, or others",
            help='set rollout.name = "hf"',
        )
