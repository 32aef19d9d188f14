import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plans import plans_of, scored

from pettingllms.losses.importance import importance_weights
from pettingllms.training.batching import build_batch, rows
from pettingllms.training.update import loss_settings

# Two sequences of two and three tokens; trainer minus engine: 0.1, 0.2 | -0.3, 0.9, 0.05.
GAPS = [0.1, 0.2, -0.3, 0.9, 0.05]
SEQUENCES = [0, 0, 1, 1, 1]


def weights(gaps=GAPS, sequences=SEQUENCES, *, level="token", mode="truncate", threshold=2.0, lower=0.5):
    old = torch.full((len(gaps),), -1.5, dtype=torch.float64).requires_grad_()
    engine = old.detach() - torch.tensor(gaps, dtype=torch.float64)
    found = importance_weights(
        old, engine, torch.tensor(sequences), level=level, mode=mode, threshold=threshold, lower=lower
    )
    assert not found.requires_grad
    return found.tolist()


# exp(0.1) = 1.105171, exp(0.2) = 1.221403, exp(-0.3) = 0.740818, exp(0.9) = 2.459603, exp(0.05) = 1.051271;
# sums 0.3 and 0.65: exp(0.3) = 1.349859, exp(0.65) = 1.915541.
@pytest.mark.parametrize(
    ("level", "mode", "threshold", "lower", "expected"),
    [
        ("token", "truncate", 2.0, 0.8, [1.105171, 1.221403, 0.740818, 2.0, 1.051271]),
        ("token", "mask", 2.0, 0.7, [1.105171, 1.221403, 0.740818, 0.0, 1.051271]),
        ("token", "mask", 2.0, 0.8, [1.105171, 1.221403, 0.0, 0.0, 1.051271]),
        ("token", "mask", 3.0, 0.8, [1.105171, 1.221403, 0.0, 2.459603, 1.051271]),
        ("sequence", "truncate", 2.0, 1.5, [1.349859, 1.349859, 1.915541, 1.915541, 1.915541]),
        ("sequence", "truncate", 1.5, 0.8, [1.349859, 1.349859, 1.5, 1.5, 1.5]),
        ("sequence", "mask", 1.5, 0.8, [1.349859, 1.349859, 0.0, 0.0, 0.0]),
        # No sequence is below 1.3 though one of its tokens is; the first is below 1.4.
        ("sequence", "mask", 2.0, 1.3, [1.349859, 1.349859, 1.915541, 1.915541, 1.915541]),
        ("sequence", "mask", 2.0, 1.4, [0.0, 0.0, 1.915541, 1.915541, 1.915541]),
    ],
)
def test_c41_weights_of_tokens_and_of_sequences(level, mode, threshold, lower, expected):
    found = weights(level=level, mode=mode, threshold=threshold, lower=lower)
    assert found == pytest.approx(expected, abs=1e-6)


def test_both_bounds_of_a_mask_are_inside_it():
    # Ratios 1/2, 1 and 2, exact in binary; and one just outside at each end.
    gaps = [-math.log(2), 0.0, math.log(2)]
    bounds = {"threshold": weights(gaps, [0, 1, 2])[2], "lower": weights(gaps, [0, 1, 2])[0]}
    assert weights(gaps, [0, 1, 2], mode="mask", **bounds) == pytest.approx([0.5, 1.0, 2.0])
    assert weights([-0.70, 0.0, 0.70], [0, 1, 2], mode="mask", **bounds) == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("algorithm", "lower"),
    [
        ({}, 0.5),
        ({"rollout_is_threshold": 4.0}, 0.25),
        ({"rollout_is_threshold": 4.0, "rollout_is_threshold_lower": 0.1}, 0.1),
    ],
)
def test_the_lower_bound_is_one_over_the_upper_one_unless_it_is_set(algorithm, lower):
    [plan] = plans_of(("a",), algorithm=algorithm).values()
    assert loss_settings(plan).is_lower == lower


@given(
    gaps=st.lists(st.lists(st.floats(-2, 2), min_size=1, max_size=6), min_size=1, max_size=5),
    shuffled=st.randoms(use_true_random=False),
    level=st.sampled_from(["token", "sequence"]),
    mode=st.sampled_from(["truncate", "mask"]),
)
def test_c41_order_and_company_do_not_matter(gaps, shuffled, level, mode):
    flat = [(sequence, gap) for sequence, of_one in enumerate(gaps) for gap in of_one]
    order = list(range(len(flat)))
    shuffled.shuffle(order)
    together = weights(
        [flat[place][1] for place in order], [flat[place][0] for place in order], level=level, mode=mode
    )
    alone = [value for of_one in gaps for value in weights(of_one, [7] * len(of_one), level=level, mode=mode)]
    assert together == pytest.approx([alone[place] for place in order], rel=1e-12)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("shared", [True, False])
def test_c41_padding_and_left_out_samples_have_no_part_in_it(level, shared):
    short = scored([3], [4, 5], logprobs=[-2.1, -1.6])
    long = scored([3], list(range(6, 16)), logprobs=[-3.0] * 10)
    left_out = scored([3], [16] * 5, logprobs=[-9.0] * 5, dropped="truncated")

    def of_short(samples, wanted):
        batch = build_batch(rows(samples, wanted, shared=shared), torch.device("cpu"), packed=True)
        found = importance_weights(
            torch.full((batch.tokens,), -1.5),
            batch.engine_N,
            batch.sequence_N,
            level=level,
            mode="truncate",
            threshold=9.0,
            lower=0.0,
        )
        return found[batch.sequence_N == batch.samples.index(wanted[0])].tolist()

    # exp(0.6) and exp(0.1); their product exp(0.7).
    expected = {"token": [1.822119, 1.105171], "sequence": [2.013753] * 2}[level]
    assert of_short([short], [0]) == pytest.approx(expected, abs=1e-6)
    assert of_short([short, left_out, long], [0, 2]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
def test_a_log_probability_that_is_no_number_weighs_nothing(level, odd, mode):
    with_odd = weights([*GAPS[:2], odd, *GAPS[3:]], level=level, mode=mode, threshold=9.0, lower=0.9)
    without = weights([*GAPS[:2], 0.0, *GAPS[3:]], level=level, mode=mode, threshold=9.0, lower=0.9)
    assert with_odd == without and 0.0 not in with_odd


def test_weights_stay_finite_and_above_zero_at_any_distance():
    # exp(-20) = 2.061e-9, exp(20) = 4.852e8.
    assert weights([-1e6, 1e6], [0, 1], threshold=1e12) == pytest.approx([2.0611536e-9, 4.8516520e8])
    assert weights([-1e6, 1e6], [0, 1], mode="mask", lower=0.0) == pytest.approx([2.0611536e-9, 0.0])
    assert weights([-1e6, 1e6], [0, 1], mode="mask") == [0.0, 0.0]


def test_no_tokens_have_no_weights():
    assert weights([], [], level="sequence") == []
