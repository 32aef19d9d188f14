import math

import pytest
import torch

from pettingllms.losses.logprobs import CHUNK_POSITIONS, chosen_logprobs
from pettingllms.losses.ppo_clip import ppo_clip


def test_logprobs_equal_the_full_softmax_across_chunks():
    generator = torch.Generator().manual_seed(0)
    count, width, vocabulary = 2 * CHUNK_POSITIONS + 3, 8, 50
    hidden = torch.randn(count, width, generator=generator, requires_grad=True)
    head = torch.randn(vocabulary, width, generator=generator)
    chosen = torch.randint(vocabulary, (count,), generator=generator)
    temperature = torch.rand(count, generator=generator) + 0.5
    full = torch.log_softmax(hidden @ head.T / temperature[:, None], dim=1)
    expected = full.gather(1, chosen[:, None]).squeeze(1)
    actual = chosen_logprobs(hidden, head, chosen, temperature)
    assert torch.allclose(actual, expected, atol=1e-5)
    (wanted,) = torch.autograd.grad(expected.sum(), hidden)
    (got,) = torch.autograd.grad(actual.sum(), hidden)
    assert torch.allclose(got, wanted, atol=1e-5)


def test_logprobs_of_half_precision_states_are_float32():
    hidden = torch.ones(1, 4, dtype=torch.bfloat16)
    head = torch.zeros(5, 4, dtype=torch.bfloat16)
    value = chosen_logprobs(hidden, head, torch.tensor([2]), torch.ones(1))
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(-math.log(5))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "clipped"),
    [
        # inside the interval: loss -A r, gradient -A r
        (1.0, 2.0, -2.0, -2.0, False),
        (1.1, -1.0, 1.1, 1.1, False),
        # good action already likelier than 1 + high: clipped, no gradient
        (1.5, 1.0, -1.3, 0.0, True),
        # good action less likely: never clipped
        (0.5, 1.0, -0.5, -0.5, False),
        # bad action already rarer than 1 - low: clipped, no gradient
        (0.5, -1.0, 0.8, 0.0, True),
        # bad action likelier: never clipped
        (1.5, -1.0, 1.5, 1.5, False),
    ],
)
def test_clipping_takes_the_gradient_only_where_it_should(ratio, advantage, loss, gradient, clipped):
    old = torch.tensor([-1.0])
    new = (old + math.log(ratio)).requires_grad_()
    losses, was_clipped = ppo_clip(new, old, torch.tensor([advantage]), clip_low=0.2, clip_high=0.3)
    losses.sum().backward()
    assert losses.item() == pytest.approx(loss, rel=1e-5)
    assert new.grad.item() == pytest.approx(gradient, rel=1e-5)
    assert bool(was_clipped) is clipped
