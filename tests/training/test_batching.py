"""Rows and micro-batches: what shares a row, how rows are cut, what the tensors hold."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plans import PLAIN, ragged_groups, scored

from pettingllms.training.batching import KEYS_PER_TOKEN, build_batch, micro_batches, packs, rows

CPU = torch.device("cpu")
COLD = replace(PLAIN, temperature=0.5)


def members(count=4):
    return [member for group in ragged_groups(count) for member in group.members]


def test_equal_prompts_with_equal_sampling_share_a_row_in_order():
    samples = [
        scored([1, 2], [3]),
        scored([1], [4]),
        scored([1, 2], [5, 6]),
        scored([1, 2], [7], sampling=COLD),
        scored([1, 2], [8]),
    ]
    assert [row.indexes for row in rows(samples, range(5), shared=True)] == [(0, 2, 4), (1,), (3,)]
    assert [row.indexes for row in rows(samples, range(5), shared=False)] == [(0,), (1,), (2,), (3,), (4,)]
    assert [row.indexes for row in rows(samples, [4, 3, 0], shared=True)] == [(4, 0), (3,)]
    assert rows(samples, [], shared=True) == []


def test_the_length_of_a_row_counts_the_prompt_once_and_no_last_tokens():
    # 3 of the prompt, 2 - 1 and 4 - 1 of the responses.
    [row] = rows([scored([1, 2, 3], [4, 5]), scored([1, 2, 3], [6, 7, 8, 9])], range(2), shared=True)
    assert row.length == 3 + 1 + 3


@given(
    budget=st.none() | st.integers(1, 300),
    sequences=st.none() | st.integers(1, 9),
    layout=st.sampled_from(["shared", "packed", "padded"]),
    cold=st.sets(st.integers(0, 15)),
)
def test_micro_batches_hold_every_sample_once_within_the_limits(budget, sequences, layout, cold):
    samples = [replace(one, sampling=COLD) if index in cold else one for index, one in enumerate(members())]
    packed = layout != "padded"
    made = rows(samples, range(len(samples)), shared=layout == "shared")
    batches = list(micro_batches(made, token_budget=budget, sequences=sequences, packed=packed))
    indexes = [index for batch in batches for row in batch for index in row.indexes]
    assert sorted(indexes) == list(range(len(samples)))
    for batch in batches:
        assert len({row.sampling for row in batch}) == 1
        count = sum(len(row.samples) for row in batch)
        keys = sum(row.keys for row in batch)
        lengths = [row.length for row in batch]
        tokens = sum(lengths) if packed else len(batch) * max(lengths)
        assert sequences is None or count <= sequences
        assert budget is None or tokens <= budget or count == 1
        assert budget is None or keys <= KEYS_PER_TOKEN * budget or count == 1
        for row in batch:
            assert row.samples == tuple(samples[index] for index in row.indexes)
    if budget is None and sequences is None:
        assert len(batches) == len({row.sampling for row in made})


def test_a_row_is_cut_no_finer_than_its_limits_ask():
    # Prompt 4; responses bring 2 tokens each: 3 of them make 10.
    [row] = rows([scored([1] * 4, [2, 3, 4]) for _ in range(7)], range(7), shared=True)
    cut = [
        part.indexes
        for batch in micro_batches([row], token_budget=10, sequences=None, packed=True)
        for part in batch
    ]
    assert sorted(cut) == [(0, 1, 2), (3, 4, 5), (6,)]
    [whole] = micro_batches([row], token_budget=18, sequences=7, packed=True)
    assert whole == [row]
    alone = list(micro_batches([row], token_budget=1, sequences=None, packed=True))
    assert [part.indexes for [part] in alone] == [(n,) for n in range(7)]


def test_micro_batches_of_no_rows_are_none():
    assert list(micro_batches([], token_budget=8, sequences=None, packed=True)) == []


def test_a_shared_row_in_numbers():
    samples = [scored([1, 2], [3, 4, 5], 0.5, [-1, -2, -3]), scored([1, 2], [6], -1.0, [math.nan])]
    batch = build_batch(rows(samples, [1, 0], shared=True), CPU, packed=True)
    # Responses in the order asked for: [6] has no token to put in, [3, 4, 5] puts in 3 and 4.
    assert batch.input_BT.tolist() == [[1, 2, 3, 4]]
    assert batch.position_BT.tolist() == [[0, 1, 2, 3]]
    assert batch.scored_N.tolist() == [1, 1, 2, 3]
    assert batch.chosen_N.tolist() == [6, 3, 4, 5]
    assert batch.sequence_N.tolist() == [0, 1, 1, 1]
    assert batch.advantage_N.tolist() == [-1.0, 0.5, 0.5, 0.5]
    assert math.isnan(batch.engine_N[0]) and batch.engine_N[1:].tolist() == [-1.0, -2.0, -3.0]
    assert (batch.length_S.tolist(), batch.samples, batch.tokens) == ([1, 3], (1, 0), 4)
    assert batch.sampling == PLAIN


def test_rows_are_packed_one_behind_the_other():
    samples = [scored([1, 2], [3, 4]), scored([1, 2], [5, 6, 7]), scored([8], [9, 9]), scored([1, 2], [3])]
    batch = build_batch(rows(samples, range(4), shared=True), CPU, packed=True)
    # Prompt at 0 and 1, first response at 2, second at 3 and 4, third without a token to put in; then 8, 9.
    assert batch.input_BT.tolist() == [[1, 2, 3, 5, 6, 8, 9]]
    assert batch.position_BT.tolist() == [[0, 1, 2, 2, 3, 0, 1]]
    assert batch.scored_N.tolist() == [1, 2, 1, 3, 4, 1, 5, 6]
    assert batch.samples == (0, 1, 3, 2)
    alone = build_batch(rows(samples, range(4), shared=False), CPU, packed=True)
    assert alone.input_BT.tolist() == [[1, 2, 3, 1, 2, 5, 6, 8, 9, 1, 2]]
    assert alone.scored_N.tolist() == [1, 2, 4, 5, 6, 7, 8, 10]


def test_padded_rows_say_how_long_they_are():
    samples = [scored([1, 2], [3, 4]), scored([5], [6])]
    batch = build_batch(rows(samples, range(2), shared=False), CPU, packed=False)
    assert batch.input_BT.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.attention["attention_mask"].int().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.scored_N.tolist() == [1, 2, 3]


def test_padded_rows_have_one_response_each():
    samples = [scored([1, 2], [3, 4]), scored([1, 2], [6])]
    with pytest.raises(ValueError, match="can only be packed"):
        build_batch(rows(samples, range(2), shared=True), CPU, packed=False)


@pytest.mark.parametrize("logprobs", [[-1.0], [-1.0, -1.0, -1.0]])
def test_a_sample_needs_one_log_probability_for_each_token(logprobs):
    with pytest.raises(ValueError, match="zip"):
        build_batch(rows([scored([1], [2, 3], logprobs=logprobs)], [0], shared=True), CPU, packed=True)


@given(layout=st.sampled_from(["shared", "packed", "padded"]), budget=st.integers(1, 200))
def test_the_tensors_hold_what_was_sampled_and_nothing_else(layout, budget):
    samples, packed = members(3), layout != "padded"
    made = rows(samples, range(len(samples)), shared=layout == "shared")
    for micro_batch in micro_batches(made, token_budget=budget, sequences=None, packed=packed):
        batch = build_batch(micro_batch, CPU, packed=packed)
        parts = batch.chosen_N.split(batch.length_S.tolist())
        for index, part in zip(batch.samples, parts, strict=True):
            assert tuple(part.tolist()) == samples[index].sample.completion.token_ids
        # Behind each position that is scored stands the token before the one that it predicts.
        before = batch.input_BT.flatten()[batch.scored_N].tolist()
        wanted = [
            token
            for index in batch.samples
            for token in (samples[index].prompt_ids[-1], *samples[index].sample.completion.token_ids[:-1])
        ]
        assert before == wanted


def model_of(model_type, layer_types=None, sliding_window=None, module="transformers.models.some"):
    """Something like a transformers model with these settings, of a class of `module`."""
    settings = SimpleNamespace(model_type=model_type, layer_types=layer_types, sliding_window=sliding_window)
    return type("Model", (), {"__module__": module, "config": settings})()


def test_only_layers_without_a_window_take_packed_rows():
    assert packs(model_of("llama"))
    assert packs(model_of("qwen3", ["full_attention"] * 2))
    assert not packs(model_of("qwen3", ["full_attention", "sliding_attention"]))
    # A window that no layer has; without `layer_types` every layer has it.
    assert packs(model_of("qwen2", ["full_attention"] * 2, sliding_window=8))
    assert not packs(model_of("mistral", sliding_window=8))
    assert not packs(model_of("mamba"))


def test_code_that_came_with_a_model_does_not_take_packed_rows():
    assert not packs(model_of("llama", module="transformers_modules.somebody.modeling_llama"))


def test_a_row_is_cut_where_attention_would_gather_too_many_keys():
    # Prompt 40, 16 responses of one token each: 40 tokens go in, and no branch has any.
    [row] = rows([scored([1] * 40, [2, 3]) for _ in range(16)], range(16), shared=True)
    assert (row.length, row.keys) == (40 + 16, 56 + 16 * 40)
    assert list(micro_batches([row], token_budget=87, sequences=None, packed=True)) == [[row]]
    # 8 x 60 = 480 keys hold 40 + 10 + 10 * 40 = 450 of ten responses, but not 491 of eleven.
    cut = micro_batches([row], token_budget=60, sequences=None, packed=True)
    assert sorted(len(part.samples) for batch in cut for part in batch) == [6, 10]
