import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.losses.ppo_clip import ppo_clip


def clip(ratio, advantage, low=0.2, high=0.3, c=3.0):
    """Loss, its derivative by the new log-probability, and whether clipping took it, in float64."""
    old = torch.tensor([-1.0], dtype=torch.float64)
    new = (old + math.log(ratio)).requires_grad_()
    loss, clipped = ppo_clip(
        new, old, torch.tensor([advantage], dtype=torch.float64), clip_low=low, clip_high=high, clip_c=c
    )
    loss.sum().backward()
    return loss.item(), new.grad.item(), bool(clipped)


# The ratio r = exp(new - old) has derivative r by the new log-probability. Not clipped: loss -A r, gradient
# -A r. Clipped: a constant.
@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "clipped"),
    [
        # inside the interval
        (1.0, 2.0, -2.0, -2.0, False),
        (1.1, -1.0, 1.1, 1.1, False),
        # good action, above: already likelier than 1 + high
        (1.5, 2.0, -2.6, 0.0, True),
        # good action, below: to be made likelier again
        (0.5, 2.0, -1.0, -1.0, False),
        # bad action, below: already rarer than 1 - low
        (0.5, -2.0, 1.6, 0.0, True),
        # bad action, above: to be made rarer, up to the ratio c
        (1.5, -2.0, 3.0, 3.0, False),
        (2.9, -2.0, 5.8, 5.8, False),
        # dual clip: a bad action past the ratio c costs -A c, and no more
        (3.1, -2.0, 6.0, 0.0, True),
        (50.0, -0.5, 1.5, 0.0, True),
        # the dual clip is for bad actions only
        (3.1, 2.0, -2.6, 0.0, True),
        # no advantage, no gradient, and nothing that clipping took
        (5.0, 0.0, 0.0, 0.0, False),
    ],
)
def test_c20_clipping_takes_the_gradient_only_on_the_side_where_it_should(
    ratio, advantage, loss, gradient, clipped
):
    assert clip(ratio, advantage) == (pytest.approx(loss), pytest.approx(gradient), clipped)


def test_c20_the_two_widths_are_apart():
    # 1.25 lies between 1 + low and 1 + high; 0.75 below 1 - low, though above 1 - high.
    assert clip(1.25, 1.0, low=0.2, high=0.3) == (pytest.approx(-1.25), pytest.approx(-1.25), False)
    assert clip(1.25, 1.0, low=0.3, high=0.2) == (pytest.approx(-1.2), 0.0, True)
    assert clip(0.75, -1.0, low=0.2, high=0.3) == (pytest.approx(0.8), 0.0, True)
    assert clip(0.75, -1.0, low=0.3, high=0.2) == (pytest.approx(0.75), pytest.approx(0.75), False)


def test_an_infinite_c_turns_the_dual_clip_off():
    assert clip(50.0, -2.0, c=math.inf) == (pytest.approx(100.0), pytest.approx(100.0), False)
    assert clip(50.0, 0.0, c=math.inf) == (0.0, 0.0, False)


@given(
    log_ratio=st.floats(-3, 3),
    advantage=st.floats(-5, 5),
    low=st.floats(0.01, 0.99),
    high=st.floats(0.01, 4.0),
    c=st.floats(1.01, 10.0),
)
def test_loss_and_gradient_follow_the_formula(log_ratio, advantage, low, high, c):
    ratio = math.exp(log_ratio)
    loss, gradient, clipped = clip(ratio, advantage, low, high, c)
    expected = max(-advantage * ratio, -advantage * min(max(ratio, 1 - low), 1 + high))
    if advantage < 0:
        expected = min(expected, -advantage * c)
    assert loss == pytest.approx(expected)
    assert gradient == pytest.approx(0.0 if clipped else -advantage * ratio)


@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("gap", [25.0, 1e4])
def test_ratios_beyond_every_number_leave_loss_and_gradient_finite(advantage, gap):
    new = torch.tensor([0.0]).requires_grad_()
    loss, clipped = ppo_clip(
        new, torch.tensor([-gap]), torch.tensor([advantage]), clip_low=0.2, clip_high=0.2, clip_c=3.0
    )
    loss.sum().backward()
    assert loss.item() == pytest.approx({1.0: -1.2, -1.0: 3.0, 0.0: 0.0}[advantage])
    assert new.grad.item() == 0.0
    assert bool(clipped) == (advantage != 0)
