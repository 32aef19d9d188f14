"""The update: mini- and micro-batches, epochs, what carries gradient, and what a step leaves alone."""

import math

import pytest
import torch
from plans import group, model_of, plans_of, ragged_groups, scored

from pettingllms.errors import Interrupted
from pettingllms.losses.policy_loss import policy_loss
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.update import Update

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, params=["shared", "packed", "padded"])
def layout(request, monkeypatch):
    """How all policies of a test make their batches: an update does not depend on it."""
    monkeypatch.setattr("pettingllms.training.weights.packs", lambda config: request.param != "padded")
    build = Policies.__init__

    def built(self, *arguments, **settings):
        build(self, *arguments, **settings)
        self.shared_prompt = request.param == "shared"

    monkeypatch.setattr(Policies, "__init__", built)
    return request.param


@pytest.fixture(params=["lora", "full"])
def kind(request):
    """What policies train."""
    return {"specialization": request.param}


def policies_of(folder, /, **settings):
    made = Policies(plans_of(**settings).values(), folder, CPU, trust_remote_code=False, seed=0)
    # Fresh adapters are the identity; something to say lets errors show.
    generator = torch.Generator().manual_seed(1)
    for name in made.plans:
        for parameter in made.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.fixture
def policies(tiny_model, kind):
    return policies_of(tiny_model, model=kind)


class Stepped(torch.optim.SGD):
    """SGD that keeps the gradients of its steps."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1)
        self.gradients = []

    def step(self, closure=None):
        self.gradients.append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return super().step(closure)


def run(policies, groups, policy="a.b", *, seed=0, check=lambda: None, keep=False):
    """One update; returns its result and the gradient of each of its optimizer steps."""
    if not keep:
        policies.optimizers[policy] = Stepped(policies.parameters(policy))
    result = Update(policies, policy, groups, Ranks(), seed=seed, check=check).run()
    return result, getattr(policies.optimizers[policy], "gradients", [])


def gradient(model, groups, kind=None, **actor):
    """The gradient of the first optimizer step, unclipped, and the result."""
    actor = {"grad_clip": 1e9, **actor}
    policies = policies_of(model, actor=actor, model=kind)
    result, steps = run(policies, groups)
    return result, steps[0]


def close(first, second, tolerance=1e-6):
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True)) < tolerance


def exact_logprobs(policies, policy, prompt, response):
    """One sequence alone, unpadded, through the whole model."""
    ids = torch.tensor([[*prompt, *response]])
    with torch.no_grad():
        logits = model_of(policies, policy)(input_ids=ids, use_cache=False).logits[0].float()
    chosen = torch.log_softmax(logits, dim=-1)
    return [chosen[len(prompt) - 1 + place, token].item() for place, token in enumerate(response)]


MODES = ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "cut",
    [
        *({"use_dynamic_bsz": False, "ppo_micro_batch_size_per_gpu": size} for size in (1, 2, 4, 8)),
        {"ppo_max_token_len_per_gpu": 1},
        {"ppo_max_token_len_per_gpu": 60},
    ],
    ids=["1", "2", "4", "8", "one row", "60 tokens"],
)
def test_c07_micro_batches_change_neither_loss_nor_gradient(tiny_model, mode, cut, kind):
    groups = ragged_groups()
    whole, wanted = gradient(tiny_model, groups, kind, loss_agg_mode=mode)
    parts, got = gradient(tiny_model, groups, kind, loss_agg_mode=mode, **cut)
    assert parts.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-5)
    assert close(got, wanted)


def test_gradients_are_the_same_bit_for_bit_every_time(tiny_model, kind):
    groups = ragged_groups()
    _, first = gradient(tiny_model, groups, kind)
    for _ in range(3):
        _, again = gradient(tiny_model, groups, kind)
        assert all(torch.equal(a, b) for a, b in zip(again, first, strict=True))


def test_the_layout_changes_no_gradient(tiny_model, layout, kind):
    groups = ragged_groups()
    _, got = gradient(tiny_model, groups, kind)
    policies = policies_of(tiny_model, actor={"grad_clip": 1e9}, model=kind)
    policies.shared_prompt = policies.packed = False
    _, wanted = run(policies, groups)
    assert close(got, wanted[0], 1e-5)


def test_loss_is_the_mean_over_all_sampled_tokens(policies):
    # Ratio 1 and weight 1 everywhere: the loss of a token is -advantage; a sample of advantage 0 counts in
    # the mean. 3 tokens of advantage 2, 1 token of 0: -(3 * 2 + 0) / 4
    prompt, responses = [5, 6, 7], [[8, 9, 10], [11]]
    exact = [exact_logprobs(policies, "a.b", prompt, response) for response in responses]
    members = [
        scored(prompt, ids, advantage, logprobs)
        for ids, advantage, logprobs in zip(responses, (2.0, 0.0), exact, strict=True)
    ]
    one = group(prompt, responses)
    result, _ = run(policies, [type(one)(one.key, 0, "a.b", tuple(members), (2.0, 0.0))])
    assert result.metrics["loss"] == pytest.approx(-1.5, abs=1e-4)
    assert result.metrics["scored_tokens"] == 3
    assert result.metrics["kl"] == 0
    assert result.metrics["engine_gap"] == pytest.approx(0, abs=1e-5)
    assert result.metrics["entropy"] == pytest.approx(-sum(exact[0]) / 3, abs=1e-4)


def test_c19_the_ratio_of_the_first_mini_batch_is_exactly_one(tiny_model):
    # The adapter's configuration and the model's ask for dropout; scoring and training run without.
    policies = policies_of(tiny_model, actor={"ppo_epochs": 2, "clip_ratio": 1e-6})
    for config in policies.weights["a.b"].model.peft_config.values():
        config.lora_dropout = 0.1
    model_of(policies).config.attention_dropout = 0.1
    first = Update(policies, "a.b", ragged_groups(), Ranks(), seed=0, check=lambda: None)
    first._remember(first._old, first._rows, reference=False)
    for batch in first._batches(first._rows):
        new, _ = policies.score("a.b", batch)
        assert torch.equal(new, first._kept(first._old, batch)), "the same path, bit for bit"
        assert torch.equal((new - first._kept(first._old, batch)).exp(), torch.ones_like(new))
    result, _ = run(policies, ragged_groups())
    # Of two epochs the first clips nothing, though the interval is next to nothing wide.
    assert 0 < result.metrics["clip_fraction"] <= 0.5


def test_c23_training_one_policy_leaves_the_other_bit_identical(tiny_model, kind):
    policies = policies_of(tiny_model, model=kind)
    run(policies, ragged_groups(policy="b"), "b", keep=True)
    before = [parameter.clone() for parameter in policies.parameters("b")]
    moments = [
        {name: value.clone() for name, value in state.items()}
        for state in policies.optimizers["b"].state.values()
    ]
    assert moments
    own = [parameter.clone() for parameter in policies.parameters("a.b")]
    run(policies, ragged_groups(), keep=True)
    assert policies.versions == {"a.b": 1, "b": 1}
    assert all(torch.equal(a, b) for a, b in zip(before, policies.parameters("b"), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(own, policies.parameters("a.b"), strict=True))
    for kept, state in zip(moments, policies.optimizers["b"].state.values(), strict=True):
        assert all(torch.equal(kept[name], value) for name, value in state.items())


def test_c23_interleaved_policies_end_where_each_alone_ends(tiny_model, kind):
    interleaved, separate = policies_of(tiny_model, model=kind), policies_of(tiny_model, model=kind)
    for policy in ("a.b", "b", "a.b", "b"):
        run(interleaved, ragged_groups(policy=policy), policy, keep=True)
    for policy in ("a.b", "a.b", "b", "b"):
        run(separate, ragged_groups(policy=policy), policy, keep=True)
    for policy in ("a.b", "b"):
        pairs = zip(interleaved.parameters(policy), separate.parameters(policy), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_c43_the_norm_is_clipped_per_policy(tiny_model):
    groups = ragged_groups()
    _, whole = gradient(tiny_model, groups)
    norm = math.sqrt(sum(float((one**2).sum()) for one in whole))
    policies = policies_of(tiny_model, actor={"grad_clip": norm / 4})
    # The other policy's gradient is huge, and changes nothing here.
    run(policies, [group([5, 6], [[7]], "b", [1e4])], "b")
    result, steps = run(policies, groups)
    assert result.metrics["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert close(steps[0], [one / 4 for one in whole], 1e-6)


@pytest.mark.parametrize("advantage", [math.nan, math.inf, 1e30])
def test_c43_a_gradient_that_is_no_number_skips_its_policy_only(tiny_model, advantage):
    policies, clean = policies_of(tiny_model), policies_of(tiny_model)
    before = [parameter.clone() for parameter in policies.parameters("b")]
    result, _ = run(policies, [group([5, 6], [[7, 8]], "b", [advantage])], "b", keep=True)
    assert (result.steps, result.metrics["dropped_steps"]) == (0, 1)
    assert "grad_norm" not in result.metrics
    assert policies.versions["b"] == 0
    assert not policies.optimizers["b"].state, "the moments are untouched"
    assert all(torch.equal(a, b) for a, b in zip(before, policies.parameters("b"), strict=True))
    for one in (policies, clean):
        run(one, ragged_groups(), keep=True)
    pairs = zip(policies.parameters("a.b"), clean.parameters("a.b"), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_f07_a_loss_that_is_no_number_takes_no_step_whatever_its_gradient(tiny_model, monkeypatch, bad):
    policies, clean = policies_of(tiny_model), policies_of(tiny_model)
    before = [parameter.clone() for parameter in policies.parameters("b")]

    def broken(*arguments, **counts):
        loss, sums = policy_loss(*arguments, **counts)
        # A constant has no gradient; a factor has.
        return (loss + math.nan, sums) if bad == "loss" else (loss * math.inf, sums)

    with monkeypatch.context() as patch:
        patch.setattr("pettingllms.training.update.policy_loss", broken)
        result, _ = run(policies, ragged_groups(policy="b"), "b", keep=True)
    assert (result.steps, result.nonfinite, result.metrics["dropped_steps"]) == (0, 1, 1)
    assert not policies.optimizers["b"].state and policies.versions["b"] == 0
    assert all(torch.equal(a, b) for a, b in zip(before, policies.parameters("b"), strict=True))
    # The next step of either policy is that of a run without it.
    for one in (policies, clean):
        for policy in ("a.b", "b"):
            assert run(one, ragged_groups(policy=policy), policy, keep=True)[0].nonfinite == 0
    for policy in ("a.b", "b"):
        pairs = zip(policies.parameters(policy), clean.parameters(policy), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_norm_above_its_threshold_is_left_out_and_counted(tiny_model):
    policies = policies_of(tiny_model, actor={"grad_norm_threshold": 1e-9})
    result, steps = run(policies, ragged_groups())
    assert (result.steps, result.metrics["dropped_steps"], steps) == (0, 1, [])
    assert result.nonfinite == 0, "it is a number"


def test_c44_each_schedule_follows_the_updates_of_its_own_policy(tiny_model):
    # A warm-up of 4 steps to 0.05: update n of a policy has a rate of n / 4 of that.
    policies = policies_of(tiny_model, actor={"optim": {"lr": 0.05, "lr_warmup_steps": 4}})
    rates = {"a.b": [], "b": []}
    for policy in ("a.b", "a.b", "b", "a.b"):
        result, _ = run(policies, ragged_groups(2, policy), policy, keep=True)
        rates[policy].append(result.metrics["lr"])
    assert rates["a.b"] == pytest.approx([0.0125, 0.025, 0.0375])
    assert rates["b"] == pytest.approx([0.0125])


def test_a_policy_without_gradient_takes_no_step(policies):
    flat = group([5, 6], [[7], [8]], advantages=[0.0, 0.0])
    result, steps = run(policies, [flat])
    assert (result.steps, steps, policies.versions["a.b"]) == (0, [], 0)
    assert set(result.metrics) == {"scored_tokens", "lr", "dropped_steps"}


def test_a_policy_whose_samples_were_all_dropped_takes_no_step(policies):
    one = group([5, 6], [[7], [8]], dropped="mean")
    result, steps = run(policies, [one])
    assert (result.steps, steps, policies.versions["a.b"]) == (0, [], 0)


def test_no_sample_is_scored_twice_before_the_first_step(tiny_model, monkeypatch):
    policies = policies_of(tiny_model, actor={"ppo_mini_batch_size": 1, "ppo_epochs": 2})
    seen = []
    score = policies.score

    def counting(policy, batch, **asked):
        seen.append((torch.is_grad_enabled(), len(batch.samples)))
        return score(policy, batch, **asked)

    monkeypatch.setattr(policies, "score", counting)
    run(policies, ragged_groups(3))
    # Three groups of four: the first mini-batch is not scored beforehand.
    assert sum(count for trained, count in seen if not trained) == 8
    assert sum(count for trained, count in seen if trained) == 24


def test_dropped_samples_are_neither_trained_nor_counted(tiny_model):
    kept = group([5, 6, 7], [[8, 9], [10]])
    more = type(kept)(
        kept.key, 0, "a.b", (*kept.members, scored([5, 6, 7], [9] * 5, 3.0, dropped="mean")), kept.rewards
    )
    _, wanted = gradient(tiny_model, [kept])
    result, got = gradient(tiny_model, [more])
    assert result.metrics["scored_tokens"] == 3
    assert close(got, wanted, 1e-9)


def test_distance_and_entropy_give_gradient_to_samples_without_advantage(tiny_model):
    flat = [group([5, 6], [[7, 8], [9]], advantages=[0.0, 0.0])]
    for actor in ({"use_kl_loss": True, "kl_loss_coef": 1.0}, {"entropy_coeff": 1.0}):
        policies = policies_of(tiny_model, actor=actor)
        result, steps = run(policies, flat)
        assert result.steps == 1 and result.metrics["scored_tokens"] == 3
        assert any(one.abs().max() > 0 for one in steps[0])


def test_the_distance_to_the_reference_is_zero_before_the_first_update(tiny_model, kind):
    plans = plans_of(actor={"use_kl_loss": True}, model=kind)
    policies = Policies(plans.values(), tiny_model, CPU, trust_remote_code=False, seed=0)
    result, _ = run(policies, ragged_groups())
    assert result.metrics["reference_kl"] == 0


def test_mini_batches_are_tasks_and_every_one_is_a_step(tiny_model):
    policies = policies_of(tiny_model, actor={"ppo_mini_batch_size": 3, "ppo_epochs": 2})
    result, steps = run(policies, ragged_groups(4))
    # 4 tasks: 3 and 1, twice.
    assert result.steps == len(steps) == 4
    assert policies.versions["a.b"] == 1, "a version is an update, not an optimizer step"


def test_shuffling_deals_tasks_by_the_seed_anew_in_each_epoch(tiny_model):
    policies = policies_of(tiny_model, actor={"ppo_mini_batch_size": 2, "shuffle": True})
    update = Update(policies, "a.b", ragged_groups(8), Ranks(), seed=1, check=lambda: None)
    places = list(range(8))
    epochs = [list(update._mini_batches(places, epoch)) for epoch in (0, 1)]
    assert all(sorted(place for one in epoch for place in one) == places for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[0] == list(update._mini_batches(places, 0))


def test_later_mini_batches_are_clipped_against_the_policy_before_the_update(tiny_model):
    # A huge step in the first mini-batch takes the ratio of the same sample out of the interval.
    one = ragged_groups(1)
    policies = policies_of(tiny_model, actor={"ppo_epochs": 3, "optim": {"lr": 0.5}})
    result, _ = run(policies, one, keep=True)
    assert result.metrics["clip_fraction"] > 0
    assert result.metrics["kl"] != 0


def test_an_engine_without_a_number_for_a_token_costs_nothing_but_its_weight(tiny_model):
    groups = [group([5, 6], [[7, 8], [9, 10]], logprobs=[math.nan, -2.0])]
    result, steps = run(policies_of(tiny_model), groups)
    assert result.metrics["nonfinite_engine"] == 2
    assert all(one.isfinite().all() for one in steps[0])
    assert math.isfinite(result.metrics["loss"]) and math.isfinite(result.metrics["engine_gap"])


def test_step_raises_the_likelihood_of_rewarded_responses(tiny_model):
    policies = policies_of(tiny_model, actor={"optim": {"lr": 1e-3}})

    def gap():
        likely, unlikely = (sum(exact_logprobs(policies, "a.b", [5, 6], r)) for r in ([7, 8], [9, 10]))
        return likely - unlikely

    before = gap()
    run(policies, [group([5, 6], [[7, 8], [9, 10]], advantages=[1.0, -1.0])], keep=True)
    assert gap() > before


def test_check_is_asked_between_micro_batches(tiny_model):
    def check():
        raise Interrupted(2)

    with pytest.raises(Interrupted):
        run(policies_of(tiny_model), ragged_groups(), check=check)
