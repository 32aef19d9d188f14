import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pettingllms.losses.logprobs import CHUNK_POSITIONS, chosen_logprobs
from pettingllms.losses.truncation import kept_tokens
from pettingllms.types import TokenSampling

CUTS = [
    {},
    {"top_p": 0.7},
    {"top_k": 3},
    {"min_p": 0.2},
    {"top_p": 0.8, "top_k": 5, "min_p": 0.05},
]


def sampling(temperature=1.0, **cuts):
    return TokenSampling(temperature=temperature, max_tokens=1, **cuts)


HEADS = pytest.mark.parametrize("trained", [True, False], ids=["trained head", "frozen head"])


def scene(count, vocabulary, width=6, dtype=torch.float32, seed=0, trained=True):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(count, width, generator=generator, dtype=dtype).requires_grad_()
    head = torch.randn(vocabulary, width, generator=generator, dtype=dtype).requires_grad_(trained)
    chosen = torch.randint(vocabulary, (count,), generator=generator)
    return hidden, head, chosen


def gradients(value, hidden, head):
    """Of the hidden states, and of the output matrix where it is trained."""
    return torch.autograd.grad(value, (hidden, head) if head.requires_grad else (hidden,))


@HEADS
@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.5])
def test_they_are_the_full_softmax_at_the_temperature_across_chunks(temperature, trained):
    hidden, head, chosen = scene(2 * CHUNK_POSITIONS + 3, 50, trained=trained)
    full = torch.log_softmax(hidden @ head.T / temperature, dim=1)
    expected = full.gather(1, chosen[:, None]).squeeze(1)
    actual, entropy = chosen_logprobs(hidden, head, chosen, sampling(temperature))
    assert entropy is None
    assert torch.allclose(actual, expected, atol=1e-5)
    weight = torch.linspace(-1, 1, len(chosen))
    wanted = gradients((weight * expected).sum(), hidden, head)
    got = gradients((weight * actual).sum(), hidden, head)
    for one, other in zip(got, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_kept_token_is_divided_by_the_mass_that_is_kept():
    # Probabilities 0.5, 0.3, 0.15, 0.05; top_p 0.7 keeps the first two: 0.5 / 0.8 and 0.3 / 0.8. The last
    # token is outside: it joins the set, 0.05 / 0.85.
    head = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()[:, None]
    value, entropy = chosen_logprobs(
        torch.ones(3, 1), head, torch.tensor([0, 1, 3]), sampling(top_p=0.7), entropy=True
    )
    assert value.exp().tolist() == pytest.approx([0.625, 0.375, 0.05 / 0.85], rel=1e-5)
    # -(5/8 ln 5/8 + 3/8 ln 3/8) = 0.661563; with the third: shares 10/17, 6/17, 1/17.
    third = -sum(share / 17 * math.log(share / 17) for share in (10, 6, 1))
    assert entropy.tolist() == pytest.approx([0.661563, 0.661563, third], rel=1e-5)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("entropy", [False, True])
@HEADS
def test_the_gradient_is_that_of_the_values(cuts, entropy, trained):
    hidden, head, chosen = scene(5, 7, width=3, dtype=torch.float64, trained=trained)

    def score(states, matrix):
        made = chosen_logprobs(states, matrix, chosen, sampling(0.9, **cuts), entropy=entropy)
        return tuple(part for part in made if part is not None)

    assert torch.autograd.gradcheck(score, (hidden, head))


@HEADS
@pytest.mark.parametrize("cuts", CUTS)
def test_values_and_entropies_are_those_of_the_distribution_that_is_left(cuts, trained):
    hidden, head, chosen = scene(2 * CHUNK_POSITIONS + 1, 9, dtype=torch.float64, trained=trained)
    logits = hidden @ head.T / 0.7
    outside = ~kept_tokens(logits, chosen, sampling(**cuts))
    # A finite stand-in for -inf: torch's entropy would be no number.
    left = torch.distributions.Categorical(logits=logits.masked_fill(outside, -1e30))
    expected = left.log_prob(chosen) + 2 * left.entropy()
    value, entropy = chosen_logprobs(hidden, head, chosen, sampling(0.7, **cuts), entropy=True)
    assert outside.any() == bool(cuts)
    assert torch.allclose(value + 2 * entropy, expected, atol=1e-12)
    wanted = gradients(expected.sum(), hidden, head)
    got = gradients((value + 2 * entropy).sum(), hidden, head)
    for one, other in zip(got, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_half_precision_states_are_scored_in_float32():
    hidden = torch.ones(1, 4, dtype=torch.bfloat16)
    head = torch.zeros(5, 4, dtype=torch.bfloat16)
    value, _ = chosen_logprobs(hidden, head, torch.tensor([2]), sampling())
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(-math.log(5))


class LargestTensor(TorchDispatchMode):
    """Remembers how many elements the largest tensor has that any operation makes."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


@HEADS
@pytest.mark.parametrize("cuts", [CUTS[0], CUTS[-1]])
def test_logits_of_one_chunk_exist_at_a_time_and_none_are_kept(cuts, trained):
    vocabulary = 97
    hidden, head, chosen = scene(4 * CHUNK_POSITIONS, vocabulary, trained=trained)
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with LargestTensor() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value, entropy = chosen_logprobs(hidden, head, chosen, sampling(**cuts), entropy=True)
        (value + entropy).sum().backward()
    assert largest.elements == CHUNK_POSITIONS * vocabulary
    assert kept < CHUNK_POSITIONS * vocabulary
