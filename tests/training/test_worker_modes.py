"""Whole runs in other ways of playing and of giving credit, with the scripted engine."""

import json

import pytest
from test_worker import lines, original_signal_handlers, prepared  # noqa: F401 - a fixture is used by name

from pettingllms.training import worker

TRAINER = "+models.model_{}.ppo_trainer_config"
ONE_STEP = ["training.total_training_steps=1", "training.val_freq=5"]


def ran(tmp_path, model, *overrides):
    """One step; returns the run folder, the record of the step and its episodes."""
    folder = prepared(tmp_path, model, *ONE_STEP, *overrides)
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    return lines(folder / "metrics.jsonl")[1], lines(folder / "samples" / "train-000001.jsonl")


def both(setting):
    return [f"{TRAINER.format(n)}.{setting}" for n in (0, 1)]


def samples_of(episodes, agent):
    return [
        sample
        for episode in episodes
        for turn in episode["turns"]
        if turn["agent"] == agent
        for sample in turn["samples"]
    ]


def any_advantage(episode):
    return any(sample["advantage"] for turn in episode["turns"] for sample in turn["samples"])


def test_independent_episodes_share_a_baseline_by_agent_and_turn(tmp_path, tiny_model):
    record, episodes = ran(tmp_path, tiny_model, "training.rollout_mode=independent")
    assert [(one["place"], one["branch"]) for one in episodes] == [(p, b) for p in (0, 1) for b in range(4)]
    for agent in ("tool_generator", "reasoning_generator"):
        assert record[f"train/group_size/{agent}"] == 4
        for place in (0, 1):
            own = samples_of([one for one in episodes if one["place"] == place], agent)
            assert sum(sample["advantage"] for sample in own) == pytest.approx(0, abs=1e-9)


def test_trajectories_are_compared_by_the_returns_of_their_episodes(tmp_path, tiny_model):
    _, episodes = ran(
        tmp_path,
        tiny_model,
        "training.rollout_mode=independent",
        "env.max_turns=4",
        "training.max_prompt_length=200",
        *both("algorithm={ grouping = 'trajectory', adv_estimator = 'dr_grpo' }"),
    )
    agents = ("tool_generator", "reasoning_generator")
    for place in (0, 1):
        branches = [one for one in episodes if one["place"] == place]
        returns = [sum(s["reward"] for agent in agents for s in samples_of([one], agent)) for one in branches]
        mean = sum(returns) / 4
        for agent in agents:
            branches_of = [samples_of([one], agent) for one in branches]
            assert [len(own) for own in branches_of] == [2] * 4
            for own, value in zip(branches_of, returns, strict=True):
                assert [sample["advantage"] for sample in own] == pytest.approx([value - mean] * 2)


def test_agents_of_a_simultaneous_round_do_not_see_each_other(tmp_path, tiny_model):
    _, episodes = ran(tmp_path, tiny_model, "+multi_agent_interaction.parallel=true", "env.turn_unit=round")
    assert all(
        [turn["agent"] for turn in one["turns"]][:2] == ["tool_generator", "reasoning_generator"]
        for one in episodes
    )
    assert all(len(one["turns"]) == 4 for one in episodes), "two rounds of two agents"
    for episode in episodes:
        first, second, third, _ = (turn["prompt"] for turn in episode["turns"])
        assert "program" not in first + second
        assert "program" in third


def test_completions_of_one_action_share_its_reward_and_advantage(tmp_path, tiny_model):
    agent = "agent_policy_configs.agent_configs.agent_1"
    record, episodes = ran(tmp_path, tiny_model, f"+{agent}.sample_num=3")
    assert record["train/group_size/reasoning_generator"] == 4
    for episode in episodes:
        own = samples_of([episode], "reasoning_generator")
        assert [sample["candidate"] for sample in own] == [n // 3 for n in range(12)]
        for candidate in range(4):
            three = [sample for sample in own if sample["candidate"] == candidate]
            assert len({(one["reward"], one["advantage"]) for one in three}) == 1
            assert len({one["seed"] for one in three}) == 3


def test_dapo_plays_more_tasks_in_place_of_those_that_teach_nothing(tmp_path, tiny_model):
    # One reply in two is a program that fails: with two candidates about half of the groups are flat.
    replies = 'rollout.engine_kwargs.scripted.replies=["```\\nprint(1)\\n```", "?"]'
    record, episodes = ran(
        tmp_path,
        tiny_model,
        *both("filter_method=dapo"),
        f"models.model_0.ppo_trainer_config.actor_rollout_ref.{replies}",
        "training.train_batch_size=4",
        "training.train_sample_num=2",
    )
    assert record["train/tasks"] == len(episodes) == len({one["task"] for one in episodes})
    assert record["train/tasks"] in (8, 12), "some of the first four taught nothing"
    trained = {one["place"] for one in episodes if any_advantage(one)}
    assert len(trained) <= 4
    for episode in episodes:
        for turn in episode["turns"]:
            flat = len({sample["reward"] for sample in turn["samples"]}) == 1
            reasons = {sample["dropped"] for sample in turn["samples"]}
            assert reasons <= ({"dapo", None} if flat else {None})


def test_rewards_lose_the_distance_to_the_reference(tmp_path, tiny_model):
    control = "algorithm={ use_kl_in_reward = true, kl_ctrl.kl_coef = 0.5 }"
    folder = prepared(tmp_path, tiny_model, *both(control), "training.train_batch_size=8")
    assert worker.main(folder) == 0
    first, second = lines(folder / "metrics.jsonl")[1:]
    assert first["train/kl_reward/tool policy"] == 0, "a fresh adapter is the reference"
    assert second["train/kl_reward/tool policy"] != 0
    samples = samples_of(lines(folder / "samples" / "train-000002.jsonl"), "tool_generator")
    assert any(sample["penalty"] != 0 for sample in samples)
    state = json.loads((folder / "checkpoints" / "step_000002" / "state.json").read_text())
    weights = [part["values"] for part in state["parts"] if part["name"].startswith("KL weight")]
    assert weights == [{"kl_coef": 0.5}] * 2


def test_truncated_samples_are_masked_where_a_policy_says_so(tmp_path, tiny_model):
    masked = f"{TRAINER.format(0)}.algorithm.mask_truncated_samples=true"
    _, episodes = ran(tmp_path, tiny_model, masked, "training.max_response_length=12")
    for agent, dropped in (("tool_generator", "truncated"), ("reasoning_generator", None)):
        cut = [one for one in samples_of(episodes, agent) if one["finish_reason"] == "length"]
        assert cut
        assert {sample["dropped"] for sample in cut} == {dropped}


def test_an_epoch_ends_with_its_means_and_a_checkpoint(tmp_path, tiny_model):
    folder = prepared(
        tmp_path,
        tiny_model,
        "training.total_training_steps=3",
        "+training.epoch_size=2",
        "~training.save_freq",
    )
    assert worker.main(folder) == 0
    records = lines(folder / "metrics.jsonl")
    assert [record.get("epoch") for record in records] == [None, None, 0, None]
    means = [record["train/success_rate"] for record in records[1:3]]
    assert records[2]["epoch/success_rate"] == pytest.approx(sum(means) / 2)
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["step_000002", "step_000003"]


@pytest.mark.parametrize("serving", ["adapter", "merged"])
def test_the_hf_engine_samples_what_the_trainer_scores(tmp_path, tiny_model, serving):
    engine = {
        "name": "hf",
        "lora_serving": serving,
        "engine_kwargs": {"scripted": {"replies": ["ok"]}},
    }
    home = "models.model_0.ppo_trainer_config.actor_rollout_ref.rollout"
    folder = prepared(
        tmp_path,
        tiny_model,
        f"{home}.name={engine['name']}",
        f"+{home}.lora_serving={serving}",
        # Random weights say nothing that is right: the bonus gives all the same a gradient.
        *both("actor_rollout_ref.actor.entropy_coeff=0.1"),
        "training.max_response_length=8",
    )
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    for record in lines(folder / "metrics.jsonl")[1:]:
        assert record["train/engine_gap/tool policy"] < 1e-4
        assert record["train/grad_norm/tool policy"] > 0
    for step in (1, 2):
        episodes = lines(folder / "samples" / f"train-{step:06d}.jsonl")
        assert {s["version"] for s in samples_of(episodes, "tool_generator")} == {step - 1}
