"""What a model that takes images is given beside tokens, and what tells placeholders from sampled tokens."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pettingllms.models.images import ImageReader
from pettingllms.types import Images

KINDS = ("mm_token_type_ids", "token_type_ids")
"""Parameters that tell placeholders, 1, from text, 0, where a model's forward has them."""


def auto_class(*, images: bool) -> Any:
    """The class of transformers that loads a causal language model, one that takes images or any."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if images else AutoModelForCausalLM


def shown(model: Any, reader: ImageReader, images: Sequence[Images], input_bt: Tensor) -> dict[str, Tensor]:
    """Tensors of the `images` of B rows, and where in `input_bt` placeholders are, if the model asks."""
    found = {}
    for name, value in reader.seen(images).items():
        tensor = torch.as_tensor(value)
        kind = model.dtype if tensor.is_floating_point() else tensor.dtype
        found[name] = tensor.to(model.device, kind)
    asked = inspect.signature(model.forward).parameters
    kinds_bt = (input_bt == reader.placeholder).long()
    return found | {name: kinds_bt.to(model.device) for name in KINDS if name in asked}


@contextmanager
def sampled_as_text(
    model: Any, reader: ImageReader, input_bt: Tensor, sampled_bt: Tensor
) -> Iterator[Tensor]:
    """Inside it, sampled tokens are text for the `model`, also those that would be placeholders in a prompt.

    A model that samples token by token looks up each as the text it is. In one pass over the whole sequence
    it would want an image for it. So it is given other ids in their place, which are yielded, and the true
    ones are looked up. `sampled_bt`: where in `input_bt` such tokens may be.
    """
    marks = torch.tensor(sorted(reader.marks), device=input_bt.device)
    hidden_bt = sampled_bt & torch.isin(input_bt, marks)
    other = next(number for number in range(len(reader.marks) + 1) if number not in reader.marks)
    given_bt = input_bt.masked_fill(hidden_bt, other)

    def look_up(_: object, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        # A model may look up a single token as well, to know its placeholders by their vectors.
        if not arguments or arguments[0].shape != input_bt.shape:
            return None
        return (torch.where(hidden_bt, input_bt, arguments[0]), *arguments[1:])

    handle = model.get_input_embeddings().register_forward_pre_hook(look_up)
    try:
        yield given_bt
    finally:
        handle.remove()
