"""Critics: what they expect where, what their update changes, and what it leaves alone."""

import math
from dataclasses import replace

import pytest
import torch
from plans import model_of, plans_of, ragged_groups, with_returns
from test_update import Stepped

from pettingllms.errors import CheckpointError, Interrupted, RolloutError
from pettingllms.training.critic import build_critics
from pettingllms.training.critic_update import CriticUpdate, explained_variance
from pettingllms.training.memory import Room
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.valuation import valued
from pettingllms.types import Episode, StopReason, Task, TokenCredit, Turn

CPU = torch.device("cpu")
KINDS = {
    "head": {},
    "adapter": {"path": "critic", "lora_rank": 4, "lora_alpha": 8},
    "full": {"path": "critic"},
}


@pytest.fixture(params=KINDS)
def kind(request):
    """What a critic is made of."""
    return KINDS[request.param]


def critics_of(folder, kind, *, critic=None, **settings):
    """Policies and their critics; what both begin with would hide errors, so that it is moved a little."""
    plans = plans_of(algorithm={"adv_estimator": "gae"}, critic={"model": kind, **(critic or {})}, **settings)
    policies = Policies(plans.values(), folder, CPU, trust_remote_code=False, seed=0)
    critics = build_critics(policies, {"critic": folder}, trust_remote_code=False, seed=0)
    generator = torch.Generator().manual_seed(1)
    moved = [policies.parameters(name) for name in policies.plans]
    moved += [critic.parameters for critic in critics.values()]
    for parameter in (one for parameters in moved for one in parameters):
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return policies, critics


def episode(groups, agent="agent", policy="a.b"):
    """The samples of `groups` as one episode."""
    turns = tuple(
        Turn(n, agent, policy, one.members[0].prompt_ids, "", one.members[0].sampling, samples, 0)
        for n, one in enumerate(groups)
        for samples in [tuple(member.sample for member in one.members)]
    )
    return Episode(Task("t", "train", {}), 0, 0, turns, False, StopReason.MAX_TURNS)


def update(critic, groups, *, plain=True, check=lambda: None):
    """One update, by SGD that keeps its gradients if `plain`; its result and the gradients of its steps."""
    if plain:
        critic.optimizer = Stepped(critic.parameters)
    result = CriticUpdate(critic, groups, Ranks(), seed=0, check=check).run()
    return result, getattr(critic.optimizer, "gradients", [])


def bits(parameters):
    return [one.detach().clone() for one in parameters]


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


# What is expected.


def test_a_fresh_critic_expects_nothing_anywhere(tiny_model):
    plans = plans_of(algorithm={"adv_estimator": "gae"})
    policies = Policies(plans.values(), tiny_model, CPU, trust_remote_code=False, seed=0)
    critics = build_critics(policies, {}, trust_remote_code=False, seed=0)
    (found,) = valued([episode(ragged_groups(1))], critics, {"agent"}, lambda: None, Room(print))
    for sample in found.turns[0].samples:
        assert sample.values == (0.0,) * len(sample.completion.token_ids)


def test_a_value_is_that_of_the_state_before_its_token(tiny_model, kind):
    policies, critics = critics_of(tiny_model, kind)
    groups = ragged_groups(2)
    (found,) = valued([episode(groups)], critics, {"agent"}, lambda: None, Room(print))
    if kind == KINDS["head"]:
        model = model_of(policies, "a.b")
    else:
        model = critics["a.b"]._hidden.args[0].model
        if kind == KINDS["adapter"]:
            model.set_adapter("policy0")
            model = model.base_model.model
    weight, bias = critics["a.b"].parameters[:2]
    for turn in found.turns:
        for sample in turn.samples:
            ids = [*turn.prompt_ids, *sample.completion.token_ids]
            with torch.no_grad():
                hidden = model.base_model(torch.tensor([ids])).last_hidden_state[0]
                wanted = (hidden @ weight[0] + bias)[len(turn.prompt_ids) - 1 : -1]
            assert torch.tensor(sample.values) == pytest.approx(wanted, abs=1e-5)


def test_only_samples_of_trained_agents_are_judged(tiny_model):
    _, critics = critics_of(tiny_model, {})
    judged, frozen = episode(ragged_groups(1)), episode(ragged_groups(1), agent="frozen")
    found = valued([judged, frozen], critics, {"agent"}, lambda: None, Room(print))
    assert [one.turns[0].samples[0].values is None for one in found] == [False, True]
    assert valued([judged], {}, {"agent"}, lambda: None, Room(print)) == [judged]


def test_a_critic_out_of_bounds_is_told_of(tiny_model):
    _, critics = critics_of(tiny_model, {})
    critics["a.b"].parameters[1].data.fill_(math.nan)
    with pytest.raises(RolloutError, match=r"'a\.b' expects what is no finite number"):
        valued([episode(ragged_groups(1))], critics, {"agent"}, lambda: None, Room(print))


# What it learns.


def test_the_gradient_of_the_head_is_the_mean_error(tiny_model):
    # The gradient of the bias by (value - return)^2 / 2, where values are as before the update.
    _, critics = critics_of(tiny_model, {}, critic={"grad_clip": 1e9})
    groups = ragged_groups(2)
    (found,) = valued([episode(groups)], critics, {"agent"}, lambda: None, Room(print))
    judged = with_returns(groups)
    before = [s.values for turn in found.turns for s in turn.samples]
    members = iter(before)
    judged = [
        replace(
            one,
            members=tuple(replace(m, sample=replace(m.sample, values=next(members))) for m in one.members),
        )
        for one in judged
    ]
    errors = [
        value - back
        for one in judged
        for member in one.members
        for value, back in zip(member.sample.values, member.per_token.returns, strict=True)
    ]
    result, [(_, bias)] = update(critics["a.b"], judged)
    assert bias.item() == pytest.approx(sum(errors) / len(errors), abs=1e-6)
    assert result.metrics["value_loss"] == pytest.approx(
        sum(e * e for e in errors) / 2 / len(errors), rel=1e-4
    )
    assert result.metrics["value_clip_fraction"] == 0


def test_c07_how_it_is_cut_does_not_change_the_gradient(tiny_model, kind):
    groups, found = with_returns(ragged_groups()), []
    for actor in (
        {},
        {"ppo_max_token_len_per_gpu": 16},
        {"use_dynamic_bsz": False, "ppo_micro_batch_size_per_gpu": 3},
    ):
        _, critics = critics_of(
            tiny_model, kind, actor=actor, critic={"loss_agg_mode": "seq-mean-token-mean"}
        )
        found.append(update(critics["a.b"], groups))
    (whole, [wanted]), *others = found
    for result, [gradients] in others:
        for one, other in zip(gradients, wanted, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
        assert result.metrics == pytest.approx(whole.metrics, rel=1e-4)


def test_values_come_closer_to_what_was_earned(tiny_model, kind):
    _, critics = critics_of(tiny_model, kind, critic={"optim": {"lr": 0.02}, "cliprange_value": 10.0})
    critic, groups, measured = critics["a.b"], ragged_groups(2), []
    for _ in range(10):
        (found,) = valued([episode(groups)], critics, {"agent"}, lambda: None, Room(print))
        judged = [
            replace(
                one,
                members=tuple(earning(m, s, place) for m, s in zip(one.members, turn.samples, strict=True)),
            )
            for place, (one, turn) in enumerate(zip(groups, found.turns, strict=True))
        ]
        measured.append(update(critic, judged, plain=False)[0].metrics)
    first, last = measured[0], measured[-1]
    assert last["value_loss"] < first["value_loss"] / 2
    assert last["explained_variance"] > max(first["explained_variance"], 0.2)
    assert critic.updates == 10


def earning(member, sample, place):
    """Every token of the one task earns 2, of the other -2."""
    returns = (2.0 - 4.0 * place,) * len(sample.values)
    return replace(member, sample=sample, per_token=TokenCredit(returns, returns))


def test_filtered_samples_teach_it_and_failed_ones_do_not(tiny_model):
    plain = ragged_groups(2)
    dropped = [replace(g, members=tuple(replace(m, dropped="mean") for m in g.members)) for g in plain]
    gradients = []
    for groups in (with_returns(plain), with_returns(dropped), with_returns(plain, failed={0, 5})):
        _, critics = critics_of(tiny_model, {})
        gradients.append(update(critics["a.b"], groups)[1][0])
    assert same(gradients[0], gradients[1]) and not same(gradients[0], gradients[2])


def test_c23_the_update_of_one_critic_changes_nothing_else(tiny_model, kind):
    policies, critics = critics_of(tiny_model, kind)
    others = [policies.parameters(name) for name in policies.plans] + [critics["b"].parameters]
    before = [bits(parameters) for parameters in others]
    own = bits(critics["a.b"].parameters)
    result, [gradients] = update(critics["a.b"], with_returns(ragged_groups()))
    assert result.steps == 1 and not same(own, bits(critics["a.b"].parameters))
    # Each part of it has learned: in a fresh adapter A alone would not.
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    assert all(same(old, bits(parameters)) for old, parameters in zip(before, others, strict=True))
    assert all(one.grad is None for parameters in others for one in parameters)
    assert critics["b"].optimizer.state_dict()["state"] == {} and critics["b"].updates == 0
    assert set(policies.versions.values()) == {0}


def test_mini_batches_and_epochs_are_its_own(tiny_model):
    groups = with_returns(ragged_groups())
    for critic, actor, steps in (
        ({}, {"ppo_epochs": 2, "ppo_mini_batch_size": 2}, 4),
        ({"ppo_epochs": 3, "ppo_mini_batch_size": 4}, {"ppo_epochs": 2, "ppo_mini_batch_size": 2}, 3),
    ):
        _, critics = critics_of(tiny_model, {}, critic=critic, actor=actor)
        assert update(critics["a.b"], groups)[0].steps == steps


def test_the_norm_is_bounded_and_the_rate_follows_its_own_updates(tiny_model):
    warming = {"grad_clip": 1e-3, "optim": {"lr": 0.5, "lr_warmup_steps": 2}}
    _, critics = critics_of(tiny_model, {}, critic=warming)
    for rate in (0.25, 0.5, 0.5):
        result, [gradients] = update(critics["a.b"], with_returns(ragged_groups()))
        assert result.metrics["critic_lr"] == rate
        assert torch.cat([one.flatten() for one in gradients]).norm() == pytest.approx(1e-3, rel=1e-3)
        assert result.metrics["critic_grad_norm"] > 1e-3


def test_a_gradient_that_is_no_number_is_left_out(tiny_model):
    _, critics = critics_of(tiny_model, {})
    critic, (one, *more) = critics["a.b"], with_returns(ragged_groups())
    broken = replace(one.members[0].per_token, returns=(math.nan,) * len(one.members[0].per_token.returns))
    one = replace(one, members=(replace(one.members[0], per_token=broken), *one.members[1:]))
    before = bits(critic.parameters)
    result, _ = update(critic, [one, *more])
    assert (result.steps, result.metrics["critic_dropped_steps"], critic.updates) == (0, 1, 0)
    assert same(before, bits(critic.parameters))


def test_without_a_return_nothing_is_learned(tiny_model):
    _, critics = critics_of(tiny_model, {})
    result, _ = update(critics["a.b"], ragged_groups())
    assert result.steps == 0 and result.metrics.keys() == {"critic_lr", "critic_dropped_steps"}


def test_values_clip_by_how_far_they_moved(tiny_model):
    _, critics = critics_of(tiny_model, {}, critic={"cliprange_value": 0.2})
    # Before the update the values were far below, where the returns are far above.
    (one,) = with_returns(ragged_groups(1), values=-100.0)
    far = tuple(
        replace(m, per_token=replace(m.per_token, returns=tuple(100.0 for _ in m.per_token.returns)))
        for m in one.members
    )
    result, [gradients] = update(critics["a.b"], [replace(one, members=far)])
    assert result.metrics["value_clip_fraction"] == 1
    assert all(one.abs().max() == 0 for one in gradients)


def test_a_request_to_stop_ends_it(tiny_model):
    def check():
        raise Interrupted(2)

    _, critics = critics_of(tiny_model, {})
    with pytest.raises(Interrupted):
        update(critics["a.b"], with_returns(ragged_groups()), check=check)
    with pytest.raises(Interrupted):
        valued([episode(ragged_groups(1))], critics, {"agent"}, check, Room(print))


def test_explained_variance():
    # Variance of 1, 2, 3: 2/3. Errors 0.5, 0, -0.5: 1/6.
    assert explained_variance([0.5, 2.0, 3.5], [1.0, 2.0, 3.0]) == pytest.approx(0.75)
    assert explained_variance([5.0, 5.0], [1.0, 2.0]) == pytest.approx(0)
    # Errors -2 and 2, around a mean of 0: 4, where the returns have 1/4.
    assert explained_variance([3.0, 0.0], [1.0, 2.0]) == pytest.approx(-15)
    assert explained_variance([1.0], [2.0]) is explained_variance([], []) is None


# What is kept of it.


def test_its_state_brings_it_back_bit_for_bit(tiny_model, kind):
    (_, first), (_, second) = (
        critics_of(tiny_model, kind),
        critics_of(tiny_model, kind, critic={"optim": {"lr": 0.1}}),
    )
    groups = with_returns(ragged_groups())
    update(first["a.b"], groups, plain=False)
    kept = first["a.b"].state()
    assert kept[1] == {"updates": 1}
    copies = {name: tensor.clone() for name, tensor in kept[0].items()}
    second["a.b"].load_state(*kept)
    for critic in (first["a.b"], second["a.b"]):
        critic.optimizer.param_groups[0]["lr"] = 0.1
    second["a.b"].settings = first["a.b"].settings
    for critic in (first["a.b"], second["a.b"]):
        update(critic, groups, plain=False)
    assert same(first["a.b"].parameters, second["a.b"].parameters)
    one, other = first["a.b"].state(), second["a.b"].state()
    assert one[1] == other[1] == {"updates": 2}
    assert one[0].keys() == other[0].keys() and same(list(one[0].values()), list(other[0].values()))
    # What was kept is a copy.
    assert all(torch.equal(copies[name], kept[0][name]) for name in copies)


def test_the_state_of_another_critic_is_refused(tiny_model):
    (_, heads), (_, models) = critics_of(tiny_model, {}), critics_of(tiny_model, KINDS["adapter"])
    with pytest.raises(CheckpointError, match=r"'a\.b' in the checkpoint is another one"):
        heads["a.b"].load_state(*models["a.b"].state())
    with pytest.raises(CheckpointError, match="is missing"):
        models["a.b"].load_state(*heads["a.b"].state())


def test_critics_that_train_adapters_share_their_model(tiny_model):
    _, critics = critics_of(tiny_model, KINDS["adapter"])
    one, other = (critic._hidden.args[0] for critic in critics.values())
    assert one.model is other.model and one.adapter != other.adapter
    _, critics = critics_of(tiny_model, KINDS["full"])
    one, other = (critic._hidden.args[0] for critic in critics.values())
    assert one.model is not other.model
