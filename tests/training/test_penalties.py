"""What is taken off rewards: the distance to the reference policy, and length."""

from dataclasses import replace

import pytest
import torch
from plans import PLAIN, model_of, plans_of
from test_update import exact_logprobs, policies_of

from pettingllms.config.ppo import KlControlConfig
from pettingllms.training.memory import Room
from pettingllms.training.penalties import KlControl, penalised
from pettingllms.training.policies import Policies
from pettingllms.types import (
    Completion,
    Episode,
    FinishReason,
    Reward,
    Sample,
    StopReason,
    Task,
    Turn,
)

PROMPT = (5, 6, 7)


def episode(*responses, policy="a.b", finish=FinishReason.STOP, candidates=None, rewards=None):
    rewards = rewards or [1.0] * len(responses)
    samples = tuple(
        Sample(
            Completion(tuple(ids), (-2.0,) * len(ids), finish, 0),
            "",
            0,
            candidates[n] if candidates else n,
            None if rewards[n] is None else Reward(0.0, rewards[n], rewards[n], "given"),
            success=False,
        )
        for n, ids in enumerate(responses)
    )
    turn = Turn(0, "agent", policy, PROMPT, "", PLAIN, samples, 0)
    return Episode(Task("t", "train", {}), 0, 0, (turn,), False, StopReason.MAX_TURNS)


def trained(episodes):
    return [sample.reward.trained for one in episodes for turn in one.turns for sample in turn.samples]


@pytest.fixture
def policies(tiny_model):
    return policies_of(tiny_model, algorithm={"use_kl_in_reward": True})


def test_the_distance_is_summed_over_a_sequence_and_weighed(policies):
    responses = [[8, 9, 10], [11]]
    controls = {"a.b": KlControl(KlControlConfig(kl_coef=0.5))}
    changed, distances = penalised([episode(*responses)], policies, controls, lambda: None, Room(print))
    own = [sum(exact_logprobs(policies, "a.b", PROMPT, ids)) for ids in responses]
    inner = model_of(policies)
    with policies.weights["a.b"].switch.using(None), torch.no_grad():
        base = []
        for ids in responses:
            logits = inner(torch.tensor([[*PROMPT, *ids]])).logits[0]
            chosen = torch.log_softmax(logits, -1)
            base.append(sum(chosen[len(PROMPT) - 1 + n, token].item() for n, token in enumerate(ids)))
    expected = [a - b for a, b in zip(own, base, strict=True)]
    assert distances["a.b"] == pytest.approx([expected[0] / 3, expected[1]], abs=1e-4), "per token"
    assert trained(changed) == pytest.approx([1 - 0.5 * value for value in expected], abs=1e-4)


def test_a_fresh_adapter_is_at_no_distance(tiny_model):
    plans = plans_of(algorithm={"use_kl_in_reward": True})
    fresh = Policies(plans.values(), tiny_model, torch.device("cpu"), trust_remote_code=False, seed=0)
    controls = {"a.b": KlControl(KlControlConfig())}
    _, distances = penalised([episode([8, 9])], fresh, controls, lambda: None, Room(print))
    assert distances["a.b"] == [0.0]


def test_completions_of_one_action_lose_the_same(policies):
    controls = {"a.b": KlControl(KlControlConfig(kl_coef=1.0))}
    one = episode([8, 9, 10], [11], [12, 13], candidates=[0, 0, 1])
    changed, distances = penalised([one], policies, controls, lambda: None, Room(print))
    first, second, third = (mean * tokens for mean, tokens in zip(distances["a.b"], (3, 1, 2), strict=True))
    mean = (first + second) / 2
    assert trained(changed) == pytest.approx([1 - mean, 1 - mean, 1 - third])


def test_what_has_no_reward_loses_nothing(policies):
    controls = {"a.b": KlControl(KlControlConfig(kl_coef=1.0))}
    one = episode([8], [9], rewards=[None, 1.0])
    changed, distances = penalised([one], policies, controls, lambda: None, Room(print))
    assert changed[0].turns[0].samples[0].reward is None
    assert len(distances["a.b"]) == 1


def test_c40_a_truncated_sample_is_penalised_by_its_length_alone(tiny_model):
    policies = policies_of(tiny_model, algorithm={"overlong_penalty": 0.25})
    cut = episode([8, 9], finish=FinishReason.LENGTH)
    whole = replace(episode([8, 9]), place=1)
    changed, distances = penalised([cut, whole], policies, {}, lambda: None, Room(print))
    assert trained(changed) == [0.75, 1.0]
    assert distances == {}


def test_the_adaptive_weight_follows_the_distance():
    # Twice the target: the error is cut to 0.2, so 100 samples of a horizon of 1000 raise the weight by 2 %.
    control = KlControl(KlControlConfig(type="adaptive", kl_coef=0.1, horizon=1000, target_kl=0.5))
    control.follow([1.0] * 100)
    assert control.coef == pytest.approx(0.102)
    # 10 % below the target: 1 - 0.1 * 0.1
    control.follow([0.4, 0.5] * 50)
    assert control.coef == pytest.approx(0.102 * 0.99)
    control.follow([])
    assert control.coef == pytest.approx(0.102 * 0.99)
    short = KlControl(KlControlConfig(type="adaptive", kl_coef=0.1, horizon=1))
    short.follow([0.0] * 100)
    assert short.coef == 0, "never a reward for being far away"
    fixed = KlControl(KlControlConfig(kl_coef=0.1))
    fixed.follow([1.0] * 100)
    assert fixed.coef == 0.1
