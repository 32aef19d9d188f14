"""Whole runs by what their policies train: full weights, both kinds at once, several models, turns."""

from copy import deepcopy

import pytest
import torch
from test_worker import lines, original_signal_handlers, prepared  # noqa: F401 - a fixture is used by name

from pettingllms.training import worker
from pettingllms.training.loop import TrainingLoop

OURS = "models.model_{}.ppo_trainer_config.actor_rollout_ref"
A, B = "tool policy", "reason/policy"


def state(policies, policy):
    """All that training changes of a policy, as it is now."""
    return deepcopy(
        (
            [one.detach() for one in policies.parameters(policy)],
            policies.optimizers[policy].state_dict(),
            policies.versions[policy],
        )
    )


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.fixture
def steps(monkeypatch):
    """What each policy was before and after every step of the run."""
    seen = []
    step = TrainingLoop._step

    def watched(self, number):
        before = {name: state(self.policies, name) for name in self.policies.plans}
        record = step(self, number)
        seen.append({name: (before[name], state(self.policies, name)) for name in before})
        return record

    monkeypatch.setattr(TrainingLoop, "_step", watched)
    return seen


def ran(tmp_path, model, *overrides):
    folder = prepared(tmp_path, model, "training.train_batch_size=8", *overrides)
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    return lines(folder / "metrics.jsonl")


def changed(steps):
    """By step, the policies that are not bit for bit what they were."""
    return [{name for name, (before, after) in step.items() if not same(before, after)} for step in steps]


def test_full_policies_learn_and_say_so(tmp_path, tiny_model, steps):
    records = ran(tmp_path, tiny_model, "specialization=full")
    assert changed(steps) == [{A, B}, {A, B}]
    assert all(records[2][f"train/grad_norm/{name}"] > 0 for name in (A, B))
    assert {name: after[2] for name, (_, after) in steps[-1].items()} == {A: 2, B: 2}


def test_one_policy_trains_an_adapter_and_the_other_all_weights(tmp_path, tiny_model, steps):
    ran(tmp_path, tiny_model, f"+{OURS.format(1)}.model.specialization=full")
    assert changed(steps) == [{A, B}, {A, B}]
    # 2 layers of 7 matrices with two factors each; or everything.
    assert [len(steps[0][name][0][0]) for name in (A, B)] == [28, 20]


@pytest.mark.slow
def test_policies_on_two_base_models_have_an_engine_each(tmp_path, tiny_model, steps):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    ran(tmp_path, tiny_model, f"base_models.policy_1.path={other}")
    assert changed(steps) == [{A, B}, {A, B}]
    (run,) = {path.parent for path in tmp_path.rglob("engine.log")}
    assert (run / "engine-0-1.log").is_file()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_policies_take_turns_and_those_that_wait_keep_everything(tmp_path, tiny_model, steps, kind):
    records = ran(
        tmp_path,
        tiny_model,
        f"specialization={kind}",
        "+training.alternate_every=2",
        "training.total_training_steps=5",
    )
    assert changed(steps) == [{A}, {A}, {B}, {B}, {A}]
    assert {name: after[2] for name, (_, after) in steps[-1].items()} == {A: 3, B: 2}
    losses = [{name for name in (A, B) if f"train/loss/{name}" in record} for record in records[1:]]
    assert losses == [{A}, {A}, {B}, {B}, {A}]


@pytest.mark.slow
def test_a_policy_of_a_frozen_agent_keeps_everything_and_has_no_turn(tmp_path, tiny_model, steps):
    ran(
        tmp_path,
        tiny_model,
        "agent_policy_configs.agent_configs.agent_0.trained=false",
        "specialization=full",
        "+training.alternate_every=1",
    )
    assert changed(steps) == [{B}, {B}]


@pytest.mark.slow
def test_full_weights_are_compared_with_where_they_began(tmp_path, tiny_model, steps):
    reward = [f"+models.model_{n}.ppo_trainer_config.algorithm.use_kl_in_reward=true" for n in (0, 1)]
    loss = [f"+{OURS.format(n)}.actor.use_kl_loss=true" for n in (0, 1)]
    records = ran(tmp_path, tiny_model, "specialization=full", *reward, *loss)
    for name in (A, B):
        assert records[1][f"train/kl_reward/{name}"] == 0
        assert records[2][f"train/kl_reward/{name}"] != 0
    assert changed(steps) == [{A, B}, {A, B}]
