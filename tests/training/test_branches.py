"""Attention over packed rows against plain attention with a mask of all pairs of tokens."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.training.branches import WASTE, Span, attend, lay_out

CPU = torch.device("cpu")


def spans_of(shape):
    """Spans of rows given as (length of the trunk, lengths of its branches)."""
    spans, at = [], 0
    for trunk, branches in shape:
        own = range(at, at + trunk)
        spans.append(Span(own.start, own.stop))
        at = own.stop
        for length in branches:
            spans.append(Span(at, at + length, own))
            at += length
    return spans


def pairs(spans):
    """Which token (row) sees which (column)."""
    size = spans[-1].end
    seen = torch.zeros(size, size, dtype=torch.bool)
    for span in spans:
        for place in range(span.begin, span.end):
            seen[place, span.begin : place + 1] = True
            seen[place, list(span.trunk)] = True
    return seen


ROWS = st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(1, 6), max_size=5)), min_size=1, max_size=6)


@given(shape=ROWS, heads=st.sampled_from([(1, 1), (4, 2), (3, 1)]))
@settings(deadline=None)
def test_outputs_and_gradients_are_those_of_a_mask_of_all_pairs(shape, heads):
    spans = spans_of(shape)
    query_heads, key_heads = heads
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(1, count, spans[-1].end, 4, generator=generator, dtype=torch.float64, requires_grad=True)
        for count in (query_heads, key_heads, key_heads)
    ]
    query, key, value = inputs
    found, _ = attend(None, query, key, value, None, branches=lay_out(spans, CPU), scaling=0.3)
    key, value = (each.repeat_interleave(query_heads // key_heads, dim=1) for each in (key, value))
    scores = (0.3 * query @ key.transpose(2, 3)).masked_fill(~pairs(spans), -math.inf)
    wanted = (scores.softmax(dim=-1) @ value).transpose(1, 2)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=1e-12)
    weight = torch.randn(wanted.shape, generator=generator, dtype=torch.float64)
    for got, expected in zip(
        torch.autograd.grad((weight * found).sum(), inputs),
        torch.autograd.grad((weight * wanted).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(got, expected, atol=1e-12)


@given(shape=ROWS)
@settings(deadline=None)
def test_blocks_hold_every_token_once_and_waste_little(shape):
    spans = spans_of(shape)
    branches = lay_out(spans, CPU)
    queries = torch.cat([block.queries_nQ.flatten() for block in branches.blocks])
    assert torch.equal(queries[branches.output_T], torch.arange(spans[-1].end))
    useful = sum((span.end - span.begin) * (len(span.trunk) + span.end - span.begin) for span in spans)
    computed = sum(block.queries_nQ.numel() * block.keys_nL.shape[1] for block in branches.blocks)
    assert useful <= computed <= WASTE * useful


def test_equal_rows_are_one_block_of_trunks_and_one_of_branches():
    trunks, branches = lay_out(spans_of([(3, [2, 2])] * 4), CPU).blocks
    assert trunks.queries_nQ.shape == (4, 3) and trunks.seen_n1QL is None
    assert branches.queries_nQ.shape == (8, 2) and branches.keys_nL.shape == (8, 5)
    assert branches.queries_nQ[0].tolist() == [3, 4]
    assert branches.keys_nL[1].tolist() == [0, 1, 2, 5, 6]
    assert branches.seen_n1QL[0, 0].int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("causal", [True, False])
def test_without_branches_it_is_plain_attention(causal):
    query, key, value = torch.randn(3, 2, 2, 5, 4)
    mask = None if causal else torch.ones(2, 1, 5, 5, dtype=torch.bool)
    module = torch.nn.Module()
    found, _ = attend(module, query, key, value, mask, scaling=0.5)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=0.5)
    assert torch.allclose(found, wanted.transpose(1, 2))
