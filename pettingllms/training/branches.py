"""Attention over packed rows: all tokens in one sequence, a prompt once, its responses as branches.

Everything but attention works token by token, so that packed tokens cost what they are. Attention gathers
them into blocks of sequences of like length: trunks, in which a token sees all before it, and branches, in
which it sees its trunk and all before it in its own branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from pettingllms.errors import InvariantError

ATTENTION = "packed_branches"
"""The name under which transformers knows `attend`."""
WASTE = 1.25
"""A block may compute this many times the pairs of tokens that its sequences have. More of them in a block
means fewer calls."""


class Span(NamedTuple):
    """Tokens at `begin` <= place < `end` of the packed sequence; those of its trunk, which they see, too.

    A span without a trunk is one: `trunk` is empty.
    """

    begin: int
    end: int
    trunk: range = range(0)


@dataclass(frozen=True, slots=True)
class Block:
    """n sequences of at most Q queries and L keys, as places in the packed sequence; padding is place 0.

    `seen_n1QL`: which keys a query sees; None: those up to its own place, and Q is L.
    """

    queries_nQ: Tensor
    keys_nL: Tensor
    seen_n1QL: Tensor | None


@dataclass(frozen=True, slots=True)
class Branches:
    """Who sees whom in a packed sequence of T tokens.

    `output_T`: where the output of each token is among those of all blocks, one after the other.
    """

    blocks: tuple[Block, ...]
    output_T: Tensor


def lay_out(spans: Sequence[Span], device: torch.device) -> Branches:
    """The blocks of `spans`, which cover every place of a packed sequence once."""
    blocks = []
    output_T = torch.zeros(sum(span.end - span.begin for span in spans), dtype=torch.long)
    offset = 0
    for block in _alike(spans):
        width = max(span.end - span.begin for span in block)
        for span in block:
            output_T[span.begin : span.end] = torch.arange(offset, offset + span.end - span.begin)
            offset += width
        blocks.append(_block(block, width, device))
    return Branches(tuple(blocks), output_T.to(device))


def attend(
    module: torch.nn.Module,
    query_1hTd: Tensor,
    key_1gTd: Tensor,
    value_1gTd: Tensor,
    attention_mask: Tensor | None,
    *,
    branches: Branches | None = None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: h query heads, g of keys and values; returns [1, T, h, d].

    Without `branches` it is transformers' own on PyTorch's kernels.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if branches is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query_1hTd, key_1gTd, value_1gTd, attention_mask, scaling=scaling, **more
        )
        return plain
    query_Thd, key_Tgd, value_Tgd = (
        each.squeeze(0).transpose(0, 1) for each in (query_1hTd, key_1gTd, value_1gTd)
    )
    # The gradients of all branches are added up in the trunk's keys and values: not in half precision.
    wide = torch.promote_types(query_Thd.dtype, torch.float32)
    key_Tgd, value_Tgd = key_Tgd.to(wide), value_Tgd.to(wide)
    heads, size = query_Thd.shape[1:]
    outputs = []
    for block in branches.blocks:
        query_nhQd = _gathered(query_Thd, block.queries_nQ)
        key_ngLd, value_ngLd = (
            _gathered(each, block.keys_nL).to(query_Thd.dtype) for each in (key_Tgd, value_Tgd)
        )
        output_nhQd = scaled_dot_product_attention(
            query_nhQd,
            _repeated(key_ngLd, heads),
            _repeated(value_ngLd, heads),
            attn_mask=block.seen_n1QL,
            is_causal=block.seen_n1QL is None,
            scale=scaling,
        )
        outputs.append(output_nhQd.transpose(1, 2).reshape(-1, heads, size))
    return torch.cat(outputs).index_select(0, branches.output_T).unsqueeze(0), None


def use_branches(model: Any) -> None:
    """Let the layers of a transformers `model` call `attend`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    if model.config._attn_implementation != ATTENTION:
        raise InvariantError(f"{type(model).__name__} did not take the attention that it was given")


def _alike(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Spans of like size together: those of trunks, then those of branches."""
    for kind in (
        [span for span in spans if not span.trunk],
        [span for span in spans if span.trunk],
    ):
        block: list[Span] = []
        useful = widest = 0
        for span in sorted(kind, key=lambda span: (_seen(span), span.end - span.begin)):
            length = span.end - span.begin
            own = length * _seen(span)
            if block and (len(block) + 1) * max(widest, length) * _seen(span) > WASTE * (useful + own):
                yield block
                block, useful, widest = [], 0, 0
            block.append(span)
            useful, widest = useful + own, max(widest, length)
        if block:
            yield block


def _seen(span: Span) -> int:
    return len(span.trunk) + span.end - span.begin


def _block(spans: Sequence[Span], width: int, device: torch.device) -> Block:
    queries_nQ = _padded([range(span.begin, span.end) for span in spans])
    if not spans[0].trunk:
        queries_nQ = queries_nQ.to(device)
        return Block(queries_nQ, queries_nQ, None)
    keys_nL = _padded([[*span.trunk, *range(span.begin, span.end)] for span in spans])
    # Query q sees its whole trunk and the first q + 1 of its own; padded queries see something, too: a row
    # of attention without anything to see would be no number.
    trunks_n111 = torch.tensor([len(span.trunk) for span in spans])[:, None, None, None]
    seen_n1QL = torch.arange(keys_nL.shape[1]) <= trunks_n111 + torch.arange(width)[:, None]
    return Block(queries_nQ.to(device), keys_nL.to(device), seen_n1QL.to(device))


def _padded(places: Sequence[Sequence[int]]) -> Tensor:
    width = max(map(len, places))
    return torch.tensor([[*own, *([0] * (width - len(own)))] for own in places])


def _gathered(each_Thd: Tensor, places_nL: Tensor) -> Tensor:
    """The tokens at `places_nL` as [n, h, L, d]."""
    return each_Thd.index_select(0, places_nL.flatten()).unflatten(0, places_nL.shape).transpose(1, 2)


def _repeated(each_ngLd: Tensor, heads: int) -> Tensor:
    """Keys or values of g heads for `heads` query heads."""
    return each_ngLd.repeat_interleave(heads // each_ngLd.shape[1], dim=1)
