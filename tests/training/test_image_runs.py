"""Whole runs whose agents are shown images, with transformers' engine on a tiny model that sees."""

import hashlib
import math

import pytest
from test_worker import events, lines, original_signal_handlers  # noqa: F401 - a fixture is used by name
from vision_models import build_idefics3

from pettingllms.config.trial_file import trial_toml
from pettingllms.evaluation.play_file import Play
from pettingllms.evaluation.summary import read_samples
from pettingllms.lint.engine import check_experiment
from pettingllms.training import evaluate, worker

pytest.importorskip("PIL")

TEXT = """
format = 1
specialization = "lora"
lora_rank = 4

[resource]
n_gpus_per_node = 0

[env]
name = "stateful_env"
dataset = "builtin:plan_path"
multi_modal = true
max_turns = 1
options = { map_size = 4, cell_pixels = 8, train_size = 16, validation_size = 2, test_size = 0 }

[base_models.policy_0]
path = "@MODEL@"
name = "walker"

[agent_policy_configs]
num_agents = 1
agent_configs.agent_0 = { name = "single_agent", policy_name = "walker" }

[multi_agent_interaction]
turn_order = ["single_agent"]

[training]
device = "cpu"
total_training_steps = 2
logger = []
train_batch_size = 2
train_sample_num = 4
val_freq = 2
save_freq = 2
max_prompt_length = 600
max_response_length = 12

[models.model_0.ppo_trainer_config]
[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout.name = "hf"
actor = { use_kl_loss = true, kl_loss_coef = 0.01, entropy_coeff = 0.01, optim.lr = 0.001 }
"""
"""The entropy has a gradient, also where all answers earn the same."""


@pytest.fixture(scope="module")
def sees(tmp_path_factory):
    return build_idefics3(tmp_path_factory.mktemp("models") / "sees")


def prepared(tmp_path, model, *overrides):
    path = tmp_path / "images.toml"
    path.write_text(TEXT.replace("@MODEL@", str(model)))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "trial.toml").write_text(trial_toml(check_experiment(path, overrides).experiment.stored))
    return folder


def check_run(folder):
    """Two steps with finite losses, engine and trainer of one mind, images beside the samples."""
    steps = [one for one in lines(folder / "metrics.jsonl") if "train/loss/walker" in one]
    assert [one["step"] for one in steps] == [1, 2]
    for one in steps:
        assert math.isfinite(one["train/loss/walker"]) and one["train/grad_norm/walker"] > 0
        assert one["train/engine_gap/walker"] < 1e-4
    episodes = [one for step in (1, 2) for one in lines(folder / "samples" / f"train-{step:06d}.jsonl")]
    shown = {tuple(turn["images"]) for episode in episodes for turn in episode["turns"]}
    assert len(shown) == 4, "a map for each task"
    for (name,) in shown:
        content = (folder / "samples" / name).read_bytes()
        assert content.startswith(b"\x89PNG") and hashlib.sha256(content).hexdigest().startswith(name[7:-4])
    prompt = episodes[0]["turns"][0]["prompt"]
    assert "The image shows a map from above" in prompt and "#" not in prompt.replace("####", "")


def test_two_steps_of_plan_path_by_sight(tmp_path, sees):
    folder = prepared(tmp_path, sees)
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    check_run(folder)


@pytest.mark.slow
def test_two_steps_of_plan_path_by_sight_with_vllm(tmp_path, sees):
    pytest.importorskip("vllm")
    ours = "models.model_0.ppo_trainer_config.actor_rollout_ref"
    folder = prepared(tmp_path, sees, f"{ours}.rollout.name=vllm")
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    check_run(folder)


def test_a_model_that_takes_no_images_is_refused_before_an_engine_starts(tmp_path, tiny_model, monkeypatch):
    # As where the model is found by a Hugging Face id, whose settings the linter does not see.
    from pettingllms.lint.rule import RULES

    monkeypatch.delitem(RULES, "PLM515")
    folder = prepared(tmp_path, tiny_model, "training.max_prompt_length=400")
    assert worker.main(folder) != 0
    (failure,) = events(folder, "error")
    assert "takes none" in failure["text"] and not (folder / "engine.log").exists()


@pytest.mark.slow
def test_an_evaluation_sees_too(tmp_path, sees):
    folder = prepared(tmp_path, sees)
    play = Play(split="val", samples=2, tasks=None, seed=5, step=0, policies={})
    (folder / "play.json").write_text(play.text())
    assert evaluate.main(folder) == 0, (folder / "events.jsonl").read_text()
    episodes = read_samples(folder / play.samples_file)
    assert len(episodes) == 4
    for name in {name for one in episodes for turn in one["turns"] for name in turn["images"]}:
        assert (folder / "samples" / name).is_file()
