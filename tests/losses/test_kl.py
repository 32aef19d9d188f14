import math

import pytest
import torch

from pettingllms.losses.kl import bias_corrected, kl_estimate
from pettingllms.losses.ppo_clip import ppo_clip

KINDS = ["kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3"]


# With d = new - reference = ln 2 = 0.693147: exp(-d) + d - 1 = 0.5 + 0.693147 - 1; with d = -ln 2:
# 2 - 0.693147 - 1.
@pytest.mark.parametrize(
    ("kind", "above", "below"),
    [
        ("kl", 0.693147, -0.693147),
        ("k1", 0.693147, -0.693147),
        ("abs", 0.693147, 0.693147),
        ("mse", 0.240227, 0.240227),
        ("k2", 0.240227, 0.240227),
        ("low_var_kl", 0.193147, 0.306853),
        ("k3", 0.193147, 0.306853),
    ],
)
def test_what_each_estimate_is(kind, above, below):
    new = torch.tensor([-1.0, -1.0 - math.log(2), -1.0])
    reference = torch.tensor([-1.0 - math.log(2), -1.0, -1.0])
    assert kl_estimate(kind, new, reference).tolist() == pytest.approx([above, below, 0.0], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gap", [-1e4, -60.0, 60.0, 1e4])
def test_estimates_and_their_gradients_are_finite_at_any_distance(kind, gap):
    new = torch.tensor([gap]).requires_grad_()
    value = bias_corrected(kind, kl_estimate(kind, new, torch.zeros(1)), new, torch.zeros(1))
    (gradient,) = torch.autograd.grad(value.sum(), new)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


# A tabular policy of four actions; sums over the actions, weighted by the probability of drawing them, are
# what averages over infinitely many samples would be.
THETA = torch.tensor([0.5, -0.3, 0.1, -0.8], dtype=torch.float64)
REFERENCE = torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64).log()
STALE = torch.tensor([0.1, 0.3, 0.2, 0.4], dtype=torch.float64).log()


def mean_gradient(estimate, old=None):
    """Gradient by the policy's logits of the mean of `estimate(new, old)` over actions drawn from `old`."""
    theta = THETA.clone().requires_grad_()
    new = theta.log_softmax(0)
    drawn = new.detach() if old is None else old
    (gradient,) = torch.autograd.grad((drawn.exp() * estimate(new, drawn)).sum(), theta)
    return gradient


def exact(distance):
    theta = THETA.clone().requires_grad_()
    new = theta.log_softmax(0)
    return torch.autograd.grad(distance(new), theta)[0]


@pytest.fixture(scope="module")
def reverse():
    """d KL(new || reference) / d logits = [-0.0040, 0.1083, -0.0341, -0.0702]."""
    return exact(lambda new: (new.exp() * (new - REFERENCE)).sum())


def loss(kind):
    return lambda new, old: kl_estimate(kind, new, REFERENCE)


def corrected(kind):
    return lambda new, old: bias_corrected(kind, kl_estimate(kind, new, REFERENCE), new, old)


def in_reward(kind):
    """The estimate is taken off the reward, where it carries no gradient."""

    def estimate(new, old):
        penalty = kl_estimate(kind, new, REFERENCE).detach()
        return ppo_clip(new, old, -penalty, clip_low=0.2, clip_high=0.2, clip_c=3.0)[0]

    return estimate


@pytest.mark.parametrize(
    "estimate",
    [in_reward("k1"), loss("k2"), corrected("k1"), corrected("k3"), corrected("k2")],
    ids=["k1 in the reward", "k2", "weighted k1", "weighted k3", "weighted k2"],
)
def test_c21_estimators_with_the_gradient_of_the_distance(estimate, reverse):
    assert mean_gradient(estimate).tolist() == pytest.approx(reverse.tolist(), abs=1e-12)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_c21_weighted_estimators_keep_it_on_samples_of_an_older_policy(kind, reverse):
    assert mean_gradient(corrected(kind), STALE).tolist() == pytest.approx(reverse.tolist(), abs=1e-12)
    # Without the weight all are off there, k2 too: by 0.36, 0.15 and 0.21 in one of the logits.
    assert (mean_gradient(loss(kind), STALE) - reverse).abs().max() > 0.1


def test_c21_k1_in_the_loss_has_no_gradient_at_all():
    # The mean of d log p is 0.
    assert mean_gradient(loss("k1")).tolist() == pytest.approx([0.0] * 4, abs=1e-12)


def test_c21_k3_in_the_loss_has_the_gradient_of_the_distance_the_other_way_round(reverse):
    # (1 - reference / new) d log new, drawn from new, is -reference d log new: KL(reference || new).
    forward = exact(lambda new: (REFERENCE.exp() * (REFERENCE - new)).sum())
    biased = mean_gradient(loss("k3"))
    assert biased.tolist() == pytest.approx(forward.tolist(), abs=1e-12)
    assert biased.tolist() == pytest.approx([0.0180, 0.0878, -0.0198, -0.0861], abs=1e-4)
    assert torch.cosine_similarity(biased, reverse, dim=0) == pytest.approx(0.961, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "cosine"),
    [("abs", 0.454), ("k2", 0.501), ("k3", 0.342)],
)
def test_c21_other_estimates_in_the_reward_point_elsewhere(kind, cosine, reverse):
    biased = mean_gradient(in_reward(kind))
    assert torch.cosine_similarity(biased, reverse, dim=0) == pytest.approx(cosine, abs=1e-3)


def test_the_absolute_difference_weighted_has_the_gradient_of_its_own_mean():
    own = exact(lambda new: (new.exp() * (new - REFERENCE).abs()).sum())
    for old in (None, STALE):
        assert mean_gradient(corrected("abs"), old).tolist() == pytest.approx(own.tolist(), abs=1e-12)


def test_names_of_the_same_estimate_agree():
    new, old = THETA.log_softmax(0), STALE
    for names in (("kl", "k1"), ("mse", "k2"), ("low_var_kl", "k3")):
        one, other = (bias_corrected(kind, kl_estimate(kind, new, REFERENCE), new, old) for kind in names)
        assert torch.equal(one, other)
