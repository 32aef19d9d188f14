import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plans import scored

from pettingllms.losses.policy_loss import LossSettings, LossTokens, policy_loss
from pettingllms.training.batching import build_batch, rows

PLAIN = LossSettings(
    clip_low=0.2,
    clip_high=0.3,
    clip_c=3.0,
    aggregation="token-mean",
    scale=8.0,
    kl_coef=0.0,
    kl_kind="k3",
    kl_bias_correction=False,
    entropy_coeff=0.0,
    rollout_is=True,
    is_level="token",
    is_mode="truncate",
    is_threshold=2.0,
    is_lower=0.5,
)
ALL = replace(PLAIN, kl_coef=0.1, kl_kind="k2", entropy_coeff=0.01)

# Two sequences of two and one tokens. Ratio new / old: 1.1, 2, 0.5; trainer / engine: 1.25, 1, 4; new /
# reference: 2, 1, 0.5.
RATIO = torch.tensor([1.1, 2.0, 0.5])
OLD = torch.tensor([0.4, 0.3, 0.2]).log()
TOKENS = LossTokens(
    new_N=OLD + RATIO.log(),
    old_N=OLD,
    engine_N=OLD - torch.tensor([1.25, 1.0, 4.0]).log(),
    advantage_N=torch.tensor([1.0, 1.0, -2.0]),
    sequence_N=torch.tensor([0, 0, 1]),
    length_S=torch.tensor([2, 1]),
    reference_N=OLD + RATIO.log() - torch.tensor([2.0, 1.0, 0.5]).log(),
    entropy_N=torch.tensor([0.5, 1.5, 2.5]),
)


def evaluate(tokens, settings=PLAIN, total_tokens=None, total_sequences=None):
    """Loss, gradient by `new_N`, and sums."""
    new = tokens.new_N.clone().requires_grad_()
    loss, sums = policy_loss(
        replace(tokens, new_N=new),
        settings,
        total_tokens=total_tokens or len(new),
        total_sequences=total_sequences or len(tokens.length_S),
    )
    loss.backward()
    assert all(not value.requires_grad and value.dtype is torch.float64 for value in sums.values())
    return loss.item(), new.grad, {name: value.item() for name, value in sums.items()}


def test_the_loss_adds_surrogate_distance_and_entropy():
    loss, gradient, sums = evaluate(TOKENS, ALL)
    # Surrogates -1.1, -1.3 (clipped), 2 x 0.8 = 1.6 (clipped); importance 1.25, 1 and 2 (cut from 4).
    surrogate = (-1.1 * 1.25 - 1.3 + 1.6 * 2) / 3
    # k2 with differences ln 2, 0, -ln 2: (ln 2)^2 / 2 each.
    distance = math.log(2) ** 2 / 3
    entropy = (0.5 + 1.5 + 2.5) / 3
    assert loss == pytest.approx(surrogate + 0.1 * distance - 0.01 * entropy)
    # Only the first surrogate has a gradient; k2's is the difference.
    slope = 0.1 * math.log(2) / 3
    assert gradient.tolist() == pytest.approx([-1.1 * 1.25 / 3 + slope, 0.0, -slope])
    assert sums == pytest.approx(
        {
            "surrogate": surrogate,
            "kl": -math.log(1.1) - math.log(2.0) - math.log(0.5),
            "clipped": 2,
            "engine_gap": math.log(1.25) + math.log(4.0),
            "nonfinite_engine": 0,
            "is_weight": 1.25 + 1 + 2,
            "is_capped": 1,
            "entropy": 4.5,
            "reference_kl": math.log(2) ** 2,
        },
        abs=1e-6,
    )


def test_the_entropy_carries_its_gradient():
    entropy = TOKENS.entropy_N.clone().requires_grad_()
    loss, _ = policy_loss(replace(TOKENS, entropy_N=entropy), ALL, total_tokens=3, total_sequences=2)
    (gradient,) = torch.autograd.grad(loss, entropy)
    assert gradient.tolist() == pytest.approx([-0.01 / 3] * 3)


def test_masking_leaves_a_token_out_of_the_surrogate_but_in_the_count():
    loss, gradient, sums = evaluate(TOKENS, replace(PLAIN, is_mode="mask"))
    assert loss == pytest.approx((-1.1 * 1.25 - 1.3) / 3)
    assert gradient[2] == 0
    assert (sums["is_weight"], sums["is_capped"], sums["clipped"]) == (2.25, 1, 1)


def test_without_correction_every_weight_is_one_and_the_gap_is_still_measured():
    loss, _, sums = evaluate(TOKENS, replace(PLAIN, rollout_is=False))
    assert loss == pytest.approx((-1.1 - 1.3 + 1.6) / 3)
    assert (sums["is_weight"], sums["is_capped"]) == (3, 0)
    assert sums["engine_gap"] == pytest.approx(math.log(5.0))


def test_the_first_update_after_sampling_has_ratio_one():
    fresh = replace(TOKENS, old_N=TOKENS.new_N, engine_N=TOKENS.new_N)
    loss, gradient, sums = evaluate(fresh)
    assert loss == 0.0
    assert gradient.tolist() == pytest.approx([-1 / 3, -1 / 3, 2 / 3])
    assert (sums["kl"], sums["clipped"], sums["engine_gap"], sums["is_weight"]) == (0, 0, 0, 3)


def test_what_was_not_given_is_estimated_or_left_out():
    _, _, sums = evaluate(replace(TOKENS, reference_N=None, entropy_N=None))
    assert sums["entropy"] == pytest.approx(-TOKENS.new_N.sum().item())
    assert "reference_kl" not in sums
    _, _, measured = evaluate(TOKENS)
    assert measured["reference_kl"] == pytest.approx((0.5 + math.log(2) - 1) + (2 - math.log(2) - 1))


def test_the_weight_of_the_distance_follows_the_ratio_to_old():
    # k1 = ln 2, 0, -ln 2, weighted by 1.1, 2 and 0.5.
    settings = replace(PLAIN, kl_coef=1.0, kl_kind="k1", kl_bias_correction=True)
    calm = replace(TOKENS, advantage_N=torch.zeros(3))
    loss, gradient, sums = evaluate(calm, settings)
    assert loss == pytest.approx(0.6 * math.log(2) / 3)
    # d (r d) = r d + r: 1.1 (ln 2 + 1), 2, 0.5 (1 - ln 2).
    log2 = math.log(2)
    assert gradient.tolist() == pytest.approx([1.1 * (log2 + 1) / 3, 2 / 3, 0.5 * (1 - log2) / 3])
    assert sums["reference_kl"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [(replace(PLAIN, kl_coef=0.1), "reference"), (replace(PLAIN, entropy_coeff=0.1), "entropies")],
)
def test_settings_that_need_more_than_there_is_are_refused(settings, lacking):
    with pytest.raises(ValueError, match=lacking):
        evaluate(replace(TOKENS, reference_N=None, entropy_N=None), settings)


def random_tokens(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    count = sum(lengths)
    old, shift, gap, apart = (torch.randn(count, generator=generator) for _ in range(4))
    return LossTokens(
        new_N=-old.abs() + 0.3 * shift,
        old_N=-old.abs(),
        engine_N=-old.abs() - 0.5 * gap,
        advantage_N=torch.randn(len(lengths), generator=generator).repeat_interleave(torch.tensor(lengths)),
        sequence_N=torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
        length_S=torch.tensor(lengths),
        reference_N=-old.abs() + 0.4 * apart,
        entropy_N=old.abs(),
    )


def part_of(tokens, sequences):
    """The tokens of some sequences, which are numbered anew."""
    there = torch.isin(tokens.sequence_N, torch.tensor(sequences))
    number = torch.zeros(len(tokens.length_S), dtype=torch.long)
    number[sequences] = torch.arange(len(sequences))
    picked = {
        field.name: getattr(tokens, field.name)[there] for field in fields(tokens) if field.name != "length_S"
    }
    picked["sequence_N"] = number[picked["sequence_N"]]
    return there, LossTokens(**picked, length_S=tokens.length_S[sequences])


@given(
    lengths=st.lists(st.integers(1, 6), min_size=2, max_size=7),
    seed=st.integers(0, 2**32 - 1),
    parts=st.integers(1, 4),
    aggregation=st.sampled_from(
        ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
    ),
    level=st.sampled_from(["token", "sequence"]),
    mode=st.sampled_from(["truncate", "mask"]),
)
def test_micro_batches_add_up_to_the_whole(lengths, seed, parts, aggregation, level, mode):
    tokens = random_tokens(lengths, seed)
    settings = replace(ALL, aggregation=aggregation, is_level=level, is_mode=mode, kl_bias_correction=True)
    loss, gradient, sums = evaluate(tokens, settings)
    part_losses, part_sums = 0.0, dict.fromkeys(sums, 0.0)
    part_gradient = torch.zeros_like(gradient)
    for first in range(min(parts, len(lengths))):
        there, part = part_of(tokens, list(range(first, len(lengths), parts)))
        value, part_gradient[there], measured = evaluate(part, settings, sum(lengths), len(lengths))
        part_losses += value
        part_sums = {name: part_sums[name] + measured[name] for name in sums}
    assert part_losses == pytest.approx(loss, abs=1e-5)
    assert torch.allclose(part_gradient, gradient, atol=1e-6)
    assert part_sums == pytest.approx(sums, abs=1e-4)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_c18_an_engine_log_probability_that_is_no_number_is_neutral_and_counted(odd, mode, level):
    settings = replace(ALL, is_mode=mode, is_level=level)
    engine = TOKENS.engine_N.clone()
    engine[0] = odd
    loss, gradient, sums = evaluate(replace(TOKENS, engine_N=engine), settings)
    engine[0] = TOKENS.old_N[0]
    expected_loss, expected_gradient, expected_sums = evaluate(replace(TOKENS, engine_N=engine), settings)
    assert loss == expected_loss
    assert torch.equal(gradient, expected_gradient)
    assert sums == expected_sums | {"nonfinite_engine": 1}


@pytest.mark.parametrize("new", [0.0, -1e30])
def test_c18_a_masked_token_adds_nothing_however_far_its_ratios_are(new):
    tokens = replace(
        TOKENS,
        new_N=torch.tensor([TOKENS.new_N[0], TOKENS.new_N[1], new]),
        old_N=torch.tensor([TOKENS.old_N[0], TOKENS.old_N[1], -1e5]),
        engine_N=torch.tensor([TOKENS.engine_N[0], TOKENS.engine_N[1], -1e30]),
        advantage_N=torch.tensor([1.0, 1.0, -1e30]),
    )
    settings = replace(PLAIN, is_mode="mask", clip_c=math.inf)
    loss, gradient, _ = evaluate(tokens, settings)
    assert loss == pytest.approx((-1.1 * 1.25 - 1.3) / 3)
    assert gradient.tolist() == pytest.approx([-1.1 * 1.25 / 3, 0.0, 0.0])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e30])
def test_c18_what_stands_in_left_out_samples_cannot_matter(odd, shared):
    def loss_with(left_out):
        samples = [
            scored([5, 6, 7], [8, 9, 10], advantage=1.0),
            scored(
                [5, 6, 7], [11, 12, 13, 14], advantage=left_out, logprobs=[left_out] * 4, dropped="truncated"
            ),
            scored([5, 6], [15], advantage=-1.0),
        ]
        wanted = [index for index, one in enumerate(samples) if one.dropped is None]
        batch = build_batch(rows(samples, wanted, shared=shared), torch.device("cpu"), packed=True)
        new = torch.linspace(-2.0, -1.0, batch.tokens)
        return evaluate(
            LossTokens(new, new - 0.1, batch.engine_N, batch.advantage_N, batch.sequence_N, batch.length_S)
        )

    loss, gradient, sums = loss_with(odd)
    expected_loss, expected_gradient, expected_sums = loss_with(0.0)
    assert math.isfinite(loss) and gradient.isfinite().all()
    assert (loss, sums) == (expected_loss, expected_sums)
    assert torch.equal(gradient, expected_gradient)
