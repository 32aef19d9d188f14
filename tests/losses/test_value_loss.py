"""The loss of a critic: hand numbers, the gradient of each side, and TRL's form."""

import pytest
import torch

from pettingllms.losses.value_loss import value_loss


def loss(value, old, back, clip=0.5):
    """Loss, clipped or not, and gradient of one token."""
    new = torch.tensor([float(value)], requires_grad=True)
    losses, clipped = value_loss(new, torch.tensor([float(old)]), torch.tensor([float(back)]), clip=clip)
    losses.sum().backward()
    return losses.item(), clipped.item(), new.grad.item()


@pytest.mark.parametrize(
    ("value", "old", "back", "wanted"),
    [
        # Within 0.5 of the old value: (0.25 - 1)^2 / 2, and value - return.
        (0.25, 0, 1, (0.28125, False, -0.75)),
        # Too far, towards the return: as if it stood at 0.5; no gradient.
        (0.75, 0, 1, (0.125, True, 0)),
        # Too far, past the return: it is pulled back as usual.
        (4, 0, 1, (4.5, False, 3)),
        # Too far, away from the return: pulled back as usual, (-2 - 1)^2 / 2.
        (-2, 0, 1, (4.5, False, -3)),
        (2, 0, -1, (4.5, False, 3)),
        (-0.75, 0, -1, (0.125, True, 0)),
        # At its return there is nothing to do.
        (1, 1, 1, (0, False, 0)),
    ],
)
def test_a_value_may_move_so_far_towards_its_return(value, old, back, wanted):
    assert loss(value, old, back) == pytest.approx(wanted)


def test_without_a_bound_it_is_half_the_square():
    assert loss(3, 0, 1, clip=float("inf")) == pytest.approx((2, False, 2))


def test_it_is_the_form_of_other_trainers():
    # TRL's PPOTrainer: 0.5 * masked_mean(max((v - R)^2, (clamp(v, V - c, V + c) - R)^2))
    generator = torch.Generator().manual_seed(0)
    value, old, back = torch.randn(3, 200, generator=generator, dtype=torch.float64)
    kept = torch.max(torch.min(value, old + 0.2), old - 0.2)
    wanted = 0.5 * torch.max(torch.square(value - back), torch.square(kept - back))
    found, clipped = value_loss(value, old, back, clip=0.2)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    assert torch.equal(clipped, torch.square(kept - back) > torch.square(value - back))
