"""Estimates of runs: counted by hand, scaled from written run folders, and never guessed."""

import json
import math
import struct
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_runs import write_run

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.sweep import BudgetConfig
from pettingllms.errors import UsageError
from pettingllms.lint.facts import Facts
from pettingllms.lint.held_out import held_out_tasks
from pettingllms.lint.model_weights import weights_of
from pettingllms.sweep.planning.budget import Cost, total_of
from pettingllms.sweep.planning.estimate import estimate
from pettingllms.sweep.planning.measured import Calibration, named_runs, own_runs
from pettingllms.sweep.planning.sizes import checkpoints_at_once, disk_of, memory_of
from pettingllms.sweep.planning.workload import tokens_of, workload

MIB = 2**20
PLAIN = """
format = 1
specialization = "lora"
lora_rank = 16

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 2
options = { digits = 1, validation_size = 8, test_size = 4 }

[base_models.policy_0]
path = "builtin:smollm2-135m-instruct"
name = "shared"

[agent_policy_configs]
num_agents = 2
agent_configs.agent_0 = { name = "tool_generator", policy_name = "shared" }
agent_configs.agent_1 = { name = "reasoning_generator", policy_name = "shared" }

[multi_agent_interaction]
turn_order = ["tool_generator", "reasoning_generator"]

[training]
device = "cpu"
total_training_steps = 2
train_batch_size = 2
train_sample_num = 4
val_freq = 2
max_prompt_length = 96
max_response_length = 40
"""


def config(text=PLAIN, **training):
    data = tomllib.loads(text)
    data["training"] |= training
    return ExperimentConfig.model_validate(data)


def trained(what):
    return PLAIN.replace('specialization = "lora"', f'specialization = "{what}"')


def with_path(path):
    return PLAIN.replace("builtin:smollm2-135m-instruct", str(path))


@pytest.fixture
def known(tmp_path):
    """Of one run: 2 tasks x 4 candidates x (6 + 6 tokens) = 96 tokens in each step."""
    return named_runs([write_run(tmp_path / "run", PLAIN)])


def test_tokens_are_counted_by_hand():
    work = workload(config(val_freq=5, total_training_steps=12))
    tokens = tokens_of(work, work.limits)
    # 2 tasks x 4 candidates x 2 turns x 40; in a tree each of the 4 prompts of a step is read once.
    assert (tokens.sampled, tokens.prompts, tokens.held_out) == (640, 2 * 2 * 96, 80)
    assert tokens.trained == tokens.sampled + tokens.prompts
    # Before the first step, after 5, 10 and the last one.
    assert work.validations == 4
    assert work.held_out_plays == {"val": 32, "test": 8}


def test_a_run_is_estimated_by_itself_to_the_second(known):
    found = estimate(config(), known)
    # 5 to load, 2 steps of 10.5, two validations of 2 and two tests of 1.
    assert found.seconds == pytest.approx(5 + 21 + 6)
    assert found.told.tokens.sampled == pytest.approx(96)
    # 96 in each step; 16 plays of validation and 8 of the test, of 2 answers with 6 tokens.
    assert found.tokens == pytest.approx(2 * 96 + 24 * 12)


def test_a_larger_run_is_scaled_part_by_part(known):
    found = estimate(config(train_batch_size=4, total_training_steps=10, val_freq=5), known)
    parts = found.told.parts
    # Twice the tokens in a step, five times the steps; validations before, at 5 and at 10.
    assert (parts.rollout, parts.update, parts.rest) == pytest.approx((10 * 8, 10 * 12, 10 * 0.5))
    assert parts.held_out == pytest.approx(3 * 2 + 2 * 1)


def test_answers_are_not_longer_than_their_limit(known):
    assert estimate(config(max_response_length=3), known).told.tokens.sampled == pytest.approx(48)
    assert estimate(config(max_response_length=400), known).told.tokens.sampled == pytest.approx(96)


def test_the_most_similar_runs_count(tmp_path):
    small = write_run(tmp_path / "small", PLAIN)
    other = PLAIN.replace("train_batch_size = 2", "train_batch_size = 8")
    large = write_run(tmp_path / "large", other, tokens=384.0, rollout=9.0)
    both = named_runs([tmp_path])
    assert [run.folder for run in estimate(config(train_batch_size=3), both).told.by] == [small]
    found = estimate(config(train_batch_size=8), both)
    assert [run.folder for run in found.told.by] == [large]
    assert found.told.parts.rollout == pytest.approx(18)


def test_runs_of_one_kind_are_averaged_and_their_spread_is_told(tmp_path):
    for name, rollout in (("a", 4.0), ("b", 6.0)):
        write_run(tmp_path / name, PLAIN, rollout=rollout)
    told = estimate(config(), named_runs([tmp_path])).told
    assert (told.least, told.seconds, told.most) == pytest.approx((32, 34, 36))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (trained("full"), "no finished run is full on cpu"),
        (with_path("somebody/model"), "the models' sizes are not known"),
        (trained("prompt"), "a search for prompts"),
    ],
)
def test_what_no_run_tells_is_not_known(known, text, why):
    found = estimate(config(text), known)
    assert found.seconds is None
    assert why in found.why_not
    assert found.as_json()["seconds"]["expected"] is None


def test_without_runs_there_are_limits_and_no_time():
    found = estimate(config(), Calibration())
    assert (found.seconds, found.tokens) == (None, None)
    assert found.most_tokens == 2 * 640 + 24 * 80


def test_runs_that_say_nothing_are_named_with_the_reason(tmp_path):
    write_run(tmp_path / "stopped", PLAIN, ended="interrupted")
    write_run(tmp_path / "empty", PLAIN, steps=0)
    (write_run(tmp_path / "broken", PLAIN) / "trial.toml").write_text("format = ")
    found = named_runs([tmp_path])
    assert found.runs == ()
    reasons = {folder.name: why for folder, why in found.left_out}
    assert reasons["stopped"] == "it has not finished"
    assert reasons["empty"] == "it has no whole step"
    assert reasons["broken"].startswith("its trial.toml cannot be read")
    with pytest.raises(UsageError, match="there is no run"):
        named_runs([tmp_path / "nowhere"])


def test_own_runs_are_those_of_the_file(tmp_path):
    write_run(tmp_path / "study" / "trial_0000", PLAIN)
    assert len(own_runs(tmp_path / "study" / "plan.toml", tmp_path).runs) == 1
    assert own_runs(tmp_path / "other.toml", tmp_path).runs == ()


def test_a_run_that_went_on_tells_no_start(tmp_path):
    folder = write_run(tmp_path / "run", PLAIN)
    events = (folder / "events.jsonl").read_text()
    (folder / "events.jsonl").write_text(events.splitlines()[0] + "\n" + events)
    (run,) = named_runs([folder]).runs
    assert run.start is None
    assert estimate(config(), named_runs([folder])).seconds == pytest.approx(27)


def test_memory_of_the_embedded_model_on_the_cpu():
    memory = memory_of(config(), None)
    assert memory.kept["engine: weights"] == memory.kept["trainer: weights"] == 134_479_872 * 4
    # Rank 16 on all matrices of 30 layers: 16 bytes for each of 4,884,480 weights.
    assert memory.kept["trainer: adapters with their optimizer"] == 4_884_480 * 16
    assert memory.peak == sum(memory.kept.values()) + sum(memory.update.values())


def test_an_engine_that_sleeps_leaves_its_memory_to_the_update():
    data = tomllib.loads(PLAIN)
    data["training"]["device"], data["resource"]["n_gpus_per_node"] = "cuda", 1
    memory = memory_of(ExperimentConfig.model_validate(data), Facts(gpus=1, gpu_memory=80 * 2**30))
    assert memory.where == "GPU"
    assert memory.kept["engine: gpu_memory_utilization"] == memory.sleeps == 40 * 2**30
    assert memory.peak == sum(memory.kept.values())
    unknown = memory_of(ExperimentConfig.model_validate(data), None)
    assert unknown.peak < 2**31


def test_disk_counts_what_lies_there_at_one_time():
    assert checkpoints_at_once(config(save_freq=1, total_training_steps=2)) == 3
    assert checkpoints_at_once(config(save_freq=10, total_training_steps=100)) == 4
    assert checkpoints_at_once(config(save_freq=10, total_training_steps=100, keep_best=None)) == 3
    disk = disk_of(config(save_freq=10, total_training_steps=100), None)
    assert disk.checkpoint == 4_884_480 * 12
    assert disk.peak == 4 * disk.checkpoint + 4_884_480 * 4


def test_an_unknown_model_has_no_sizes():
    found = estimate(config(with_path("somebody/model")), Calibration())
    assert (found.memory.peak, found.disk.peak) == (None, None)
    assert found.memory.unknown == "the size of somebody/model is not known: it is no local folder"


def test_weights_are_counted_from_headers(tmp_path):
    header = json.dumps({"__metadata__": {}, "a": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]}})
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"\0" * 60)
    assert weights_of(str(tmp_path)) == 15
    file.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    assert weights_of(str(tmp_path)) is None
    file.write_bytes(struct.pack("<Q", len(header)) + header.replace("F32", "U8 ").encode())
    assert weights_of(str(tmp_path)) is None
    assert weights_of("builtin:smollm2-135m-instruct") == 134_479_872
    assert weights_of("somebody/model") is None


def test_held_out_tasks_are_known_of_sets_of_our_own_only():
    assert held_out_tasks(config()) == {"val": 8, "test": 4}
    rows = PLAIN.replace("builtin:arithmetic", "polaris").replace("digits = 1, ", "")
    assert held_out_tasks(config(rows)) == {}
    own = PLAIN.replace("math_env", "my_env")
    assert held_out_tasks(config(own)) == {}


HOUR = Cost(3600.0, 2)


def test_budget_of_hours_lets_begun_trials_end():
    total = total_of([HOUR] * 5, 2, BudgetConfig(hours=1.5))
    assert (total.trials, total.hours, total.gpu_hours) == (5, 3.0, 10.0)
    # Two begin at once, two after an hour; after two hours none does.
    assert (total.allowed, total.allowed_hours, total.allowed_gpu_hours) == (4, 2.0, 8.0)


def test_budget_of_gpu_hours_counts_ended_trials():
    assert total_of([HOUR] * 5, 1, BudgetConfig(gpu_hours=3)).allowed == 2
    assert total_of([HOUR] * 5, 1, BudgetConfig(gpu_hours=5)).allowed == 3
    assert total_of([HOUR] * 5, 1, BudgetConfig()).allowed == 5
    assert total_of([], 3, None).trials == 0


@given(st.lists(st.floats(1, 1e6), max_size=12), st.integers(1, 5))
def test_a_study_takes_between_its_share_and_all_of_its_trials(seconds, jobs):
    total = total_of([Cost(one, 1) for one in seconds], jobs, None)
    whole = sum(seconds) / 3600
    assert whole / jobs <= total.hours * (1 + 1e-9)
    assert total.hours <= whole * (1 + 1e-9)
    assert math.isclose(total.gpu_hours, whole, abs_tol=1e-12)


def test_a_refilled_batch_counts_at_most():
    text = PLAIN + '\n[models.model_0]\nname = "shared"\nppo_trainer_config.filter_method = "dapo"\n'
    plain, refilled = estimate(config(), Calibration()), estimate(config(text), Calibration())
    assert refilled.most_tokens - plain.most_tokens == 2 * 2 * 640
