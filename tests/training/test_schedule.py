"""Learning rates: numbers by hand, and the schedules of torch and transformers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_constant_schedule_with_warmup, get_cosine_with_min_lr_schedule_with_warmup

from pettingllms.config.optim import OptimConfig
from pettingllms.training.schedule import learning_rate


def rates(steps, count=None, **optim):
    config = OptimConfig(lr=1.0, **optim)
    return [learning_rate(config, steps, position) for position in range(1, (count or steps) + 1)]


def test_without_warm_up_a_constant_rate_is_constant():
    assert rates(3) == [1.0, 1.0, 1.0]


def test_warm_up_rises_in_a_line_to_the_full_rate_at_its_last_step():
    assert rates(6, lr_warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_warm_up_as_a_share_is_rounded_down():
    # 0.3 of 9 steps are 2.7: 2 steps.
    assert rates(9, 4, lr_warmup_steps_ratio=0.3) == [0.5, 1.0, 1.0, 1.0]


def test_warm_up_of_zero_steps_beats_the_share():
    assert rates(9, 2, lr_warmup_steps=0, lr_warmup_steps_ratio=0.5) == [1.0, 1.0]


def test_cosine_falls_from_the_full_rate():
    # 4 steps, half a wave: (1 + cos(pi * 0/4)) / 2 = 1, pi/4: 0.853553, pi/2: 0.5, 3 pi/4: 0.146447.
    assert rates(4, warmup_style="cosine") == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_cosine_goes_down_to_its_lowest_rate_and_stays_there_after_the_schedule():
    # 0.2 + 0.8 * (1 + cos(pi * 1/2)) / 2 = 0.6 at the second of 2 steps; at pi it is 0.2.
    found = rates(2, 5, warmup_style="cosine", min_lr_ratio=0.2)
    assert found == pytest.approx([1.0, 0.6, 0.2, 0.2, 0.2])


def test_cosine_of_a_whole_wave_comes_back():
    found = rates(4, 5, warmup_style="cosine", num_cycles=1.0)
    assert found == pytest.approx([1.0, 0.5, 0.0, 0.5, 1.0])


def test_no_step_is_wasted():
    for style in ("constant", "cosine"):
        for warmup in range(6):
            assert all(rate > 0 for rate in rates(5, warmup_style=style, lr_warmup_steps=warmup))


def transformers_rates(steps, warmup, style, lowest, cycles):
    """Rates of the steps 0, 1, …, as transformers counts them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = (
        get_constant_schedule_with_warmup(optimizer, warmup)
        if style == "constant"
        else get_cosine_with_min_lr_schedule_with_warmup(
            optimizer, warmup, steps, num_cycles=cycles, min_lr_rate=lowest
        )
    )
    found = []
    for _ in range(steps + 1):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


@given(
    steps=st.integers(1, 30),
    warmup=st.integers(0, 30),
    style=st.sampled_from(["constant", "cosine"]),
    lowest=st.floats(0, 1),
    cycles=st.sampled_from([0.5, 1.0, 1.5]),
)
def test_rates_are_those_of_transformers(steps, warmup, style, lowest, cycles):
    # The n-th step of a warm-up has transformers' rate after n steps; later ones that after n - 1 steps.
    warmup = min(warmup, steps)
    wanted = transformers_rates(steps, warmup, style, lowest, cycles)
    found = rates(steps, warmup_style=style, lr_warmup_steps=warmup, min_lr_ratio=lowest, num_cycles=cycles)
    for position, rate in enumerate(found, start=1):
        at = position if position <= warmup else position - 1
        # A warm-up as long as the schedule ends with the full rate, where theirs has begun its wave.
        assert math.isclose(rate, 1.0 if position == warmup else wanted[at], abs_tol=1e-12)


def test_rates_are_those_of_torch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=0.1)
    for rate in rates(7, warmup_style="cosine", min_lr_ratio=0.1):
        assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
