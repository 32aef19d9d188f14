"""Log-probabilities and gradients of the update, on a tiny model, against plain forward passes."""

import random

import pytest
import torch

from pettingllms.advantages.grouping import Group
from pettingllms.config.homes import PolicyPlan
from pettingllms.config.ppo import ActorConfig, AlgorithmConfig, OptimConfig, RolloutConfig
from pettingllms.training.batching import build_batch, micro_batches, rows, shares_prompt
from pettingllms.training.policies import Policies
from pettingllms.training.update import accumulate_gradients, apply_gradients
from pettingllms.types import Completion, FinishReason, GroupKey, Reward, Sample

CPU = torch.device("cpu")


def plan(name, token_budget=2048, **actor):
    return PolicyPlan(
        name=name,
        path="tiny",
        lora_rank=4,
        lora_alpha=8.0,
        target_modules="all-linear",
        temperature=1.0,
        max_prompt_length=64,
        max_response_length=16,
        model_dtype="fp32",
        lora_serving="merged",
        engine_dtype="float32",
        token_budget=token_budget,
        rollout=RolloutConfig(),
        actor=ActorConfig(optim=OptimConfig(lr=0.05), **actor),
        algorithm=AlgorithmConfig(),
    )


@pytest.fixture
def policies(tiny_model):
    made = Policies([plan("a.b"), plan("b")], tiny_model, CPU, trust_remote_code=False, seed=0)
    # Fresh adapters are the identity; give B something to say so that errors would show.
    generator = torch.Generator().manual_seed(1)
    for name in made.plans:
        for parameter in made.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


def sample(ids, advantage=1.0, old=-2.0):
    completion = Completion(tuple(ids), (old,) * len(ids), FinishReason.STOP, 0)
    return Sample(completion, "", 0, Reward(0, 0, 0, ""), False, advantage)


def group(prompt, responses, policy="a.b", advantages=None):
    advantages = advantages or [1.0, -0.5, 0.25, 2.0][: len(responses)]
    samples = tuple(sample(r, a) for r, a in zip(responses, advantages, strict=True))
    return Group(GroupKey("t", 0, "agent"), policy, tuple(prompt), samples)


def ragged_groups(count=4):
    source = random.Random(0)
    return [
        group(
            [source.randint(2, 250) for _ in range(source.randint(1, 20))],
            [[source.randint(0, 250) for _ in range(source.randint(1, 9))] for _ in range(4)],
        )
        for _ in range(count)
    ]


def reference_logprobs(policies, policy, prompt, response, temperature=1.0):
    """One sequence alone, unpadded, through the whole model."""
    policies._model.set_adapter(policies._adapters[policy])
    ids = torch.tensor([[*prompt, *response]])
    logits = policies._model(input_ids=ids, use_cache=False).logits[0].float() / temperature
    logprobs = torch.log_softmax(logits, dim=-1)
    return [logprobs[len(prompt) - 1 + place, token].item() for place, token in enumerate(response)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_packed_logprobs_equal_each_sequence_alone(policies, shared, temperature):
    groups = ragged_groups()
    all_rows = rows(groups, shared=shared)
    batch = build_batch(all_rows, CPU)
    actual = policies.logprobs("a.b", batch, torch.full_like(batch.old_N, temperature)).tolist()
    expected = [
        value
        for row in all_rows
        for one in row.samples
        for value in reference_logprobs(
            policies, "a.b", row.prompt_ids, one.completion.token_ids, temperature
        )
    ]
    assert actual == pytest.approx(expected, abs=1e-5)


def test_siblings_do_not_see_each_other(policies):
    first = group([5, 6, 7], [[8, 9, 10], [11, 12]])
    changed = group([5, 6, 7], [[8, 9, 10], [99, 98, 97, 96]])
    before, after = (
        policies.logprobs("a.b", build_batch(rows([g], shared=True), CPU), torch.ones(n))[:3]
        for g, n in ((first, 5), (changed, 7))
    )
    assert torch.allclose(before, after, atol=1e-6)


def gradients(policies, groups, budget=2048, temperature=1.0):
    plans = {"a.b": plan("a.b", budget), "b": plan("b")}
    policies.plans = plans
    result = accumulate_gradients(policies, "a.b", groups, {"agent": temperature}, lambda: None)
    return result, [parameter.grad.clone() for parameter in policies.parameters("a.b")]


@pytest.mark.parametrize("budget", [1, 60, 200])
def test_micro_batch_size_changes_neither_loss_nor_gradient(policies, budget):
    groups = ragged_groups()
    whole, wanted = gradients(policies, groups)
    cut, got = gradients(policies, groups, budget)
    assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, wanted, strict=True))


def test_gradients_are_the_same_bit_for_bit_every_time(policies):
    groups = ragged_groups()
    _, first = gradients(policies, groups)
    for _ in range(5):
        _, again = gradients(policies, groups)
        assert all(torch.equal(a, b) for a, b in zip(again, first, strict=True))


def test_sharing_the_prompt_changes_no_gradient(policies):
    groups = ragged_groups()
    _, wanted = gradients(policies, groups)
    policies.shared_prompt = False
    _, got = gradients(policies, groups)
    assert max((a - b).abs().max().item() for a, b in zip(got, wanted, strict=True)) < 1e-5


def test_loss_is_the_mean_over_all_sampled_tokens(policies):
    # ratio 1 everywhere: the loss of a token is -advantage; flat samples count in the mean.
    prompt, responses = [5, 6, 7], [[8, 9, 10], [11]]
    exact = [reference_logprobs(policies, "a.b", prompt, response) for response in responses]
    samples = tuple(
        Sample(Completion(tuple(r), tuple(o), FinishReason.STOP, 0), "", 0, Reward(0, 0, 0, ""), False, a)
        for r, o, a in zip(responses, exact, (2.0, 0.0), strict=True)
    )
    one = Group(GroupKey("t", 0, "agent"), "a.b", tuple(prompt), samples)
    result, _ = gradients(policies, [one])
    # 3 tokens with advantage 2, 1 token with advantage 0: -(3 * 2 + 0) / 4
    assert result.loss == pytest.approx(-1.5, abs=1e-4)
    assert result.scored_tokens == 3
    assert result.kl == pytest.approx(0, abs=1e-5)
    assert result.engine_gap == pytest.approx(0, abs=1e-5)
    assert result.entropy == pytest.approx(-sum(exact[0]) / 3, abs=1e-4)


def test_update_of_one_policy_leaves_the_other_bit_identical(policies):
    before = [parameter.clone() for parameter in policies.parameters("b")]
    own = [parameter.clone() for parameter in policies.parameters("a.b")]
    gradients(policies, ragged_groups())
    norm = apply_gradients(policies, "a.b")
    assert norm > 0
    assert policies.versions == {"a.b": 1, "b": 0}
    assert all(torch.equal(a, b) for a, b in zip(before, policies.parameters("b"), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(own, policies.parameters("a.b"), strict=True))


def test_both_policies_learn_in_turn(policies):
    for _ in range(2):
        for name in policies.plans:
            before = [parameter.clone() for parameter in policies.parameters(name)]
            groups = [group([5, 6], [[7, 8], [9]], policy=name)]
            accumulate_gradients(policies, name, groups, {"agent": 1.0}, lambda: None)
            apply_gradients(policies, name)
            assert not torch.equal(before[0], policies.parameters(name)[0])


def test_flat_groups_take_no_step(policies):
    flat = group([5, 6], [[7], [8]], advantages=[0.0, 0.0])
    result = accumulate_gradients(policies, "a.b", [flat], {"agent": 1.0}, lambda: None)
    assert (result.scored_tokens, result.loss) == (0, 0.0)
    assert set(result.metrics()) == {"loss", "scored_tokens"}


def test_step_raises_the_likelihood_of_rewarded_responses(policies):
    good = group([5, 6], [[7, 8], [9, 10]], advantages=[1.0, -1.0])

    def gap():
        likely, unlikely = (sum(reference_logprobs(policies, "a.b", [5, 6], r)) for r in ([7, 8], [9, 10]))
        return likely - unlikely

    policies.optimizers["a.b"].param_groups[0]["lr"] = 1e-3
    before = gap()
    exact = tuple(
        Sample(
            Completion(
                s.completion.token_ids,
                tuple(reference_logprobs(policies, "a.b", [5, 6], s.completion.token_ids)),
                FinishReason.STOP,
                0,
            ),
            "",
            0,
            s.reward,
            s.success,
            s.advantage,
        )
        for s in good.samples
    )
    accumulate_gradients(
        policies, "a.b", [Group(good.key, "a.b", (5, 6), exact)], {"agent": 1.0}, lambda: None
    )
    apply_gradients(policies, "a.b")
    assert gap() > before


def test_rows_of_like_length_share_a_micro_batch_within_the_budget():
    made = rows(ragged_groups(8), shared=True)
    batches = list(micro_batches(made, 120))
    assert sorted(map(id, (row for batch in batches for row in batch))) == sorted(map(id, made))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(row.length for row in batch) <= 120


class Architecture:
    def __init__(self, model_type, layer_types=None):
        self.model_type, self.layer_types = model_type, layer_types


def test_only_plain_attention_shares_prompts():
    assert shares_prompt(Architecture("llama"))
    assert shares_prompt(Architecture("qwen3", ["full_attention"] * 2))
    assert not shares_prompt(Architecture("qwen3", ["full_attention", "sliding_attention"]))
    assert not shares_prompt(Architecture("mamba"))
