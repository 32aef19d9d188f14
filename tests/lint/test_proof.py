"""The incremental proof of a sweep finds exactly what linting every cell from scratch finds."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pettingllms.config.load import draft_experiment
from pettingllms.config.presets import preset_files
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.proof.cells import ValueReader
from pettingllms.lint.proof.influence import Influence
from pettingllms.lint.proof.prove import prove
from pettingllms.lint.proof.space_checks import space_of

TWO_AGENTS = Path(__file__).parents[1] / "cases/valid/two_agents.toml"
MODEL = "models.model_0.ppo_trainer_config"
ROLLOUT = f"{MODEL}.actor_rollout_ref.rollout"
AGENT = "agent_policy_configs.agent_configs.agent_0"
# Paths of every section, with values that are right, wrong, out of range, of another type, or references.
POOL = {
    "specialization": ["lora", "full", "prompt", "lorra"],
    "lora_rank": [8, 16, 0, 1024, "x", "${training.train_sample_num}"],
    "lora_alpha": [16, 32, "${mul:${lora_rank},2}", "${lora_rnk}", -1],
    "resource.n_gpus_per_node": [0, 1, 8, -1],
    "resource.nnodes": [1, 2],
    "env.name": ["math_env", "maths_env", "code_env"],
    "env.max_turns": [1, 2, 3, 4, 0],
    "env.options": [{"digits": 1}, {"digits": 99}, {"digit": 1}, {}],
    "env.dataset": ["builtin:arithmetic", "builtin:arithmetics", "polaris", "${env.name}"],
    "base_models.policy_0.path": ["builtin:smollm2-135m-instruct", "your base model path", "/nowhere/a/b"],
    "base_models.policy_1.name": ["reasoning_generator_model", "tool_generator_model", "other"],
    "agent_policy_configs.num_agents": [1, 2, 3, "${len:${multi_agent_interaction.turn_order}}"],
    "agent_policy_configs.policy_list": [["tool_generator"], ["nobody"], []],
    f"{AGENT}.name": ["tool_generator", "reasoning_generator", "x"],
    f"{AGENT}.policy_name": ["tool_generator_model", "reasoning_generator_model", "nobody"],
    f"{AGENT}.agent": ["tool_generator", "verifier", "tool_generato", "plan_agent"],
    f"{AGENT}.trained": [True, False],
    f"{AGENT}.train_llm_config": [{"top_p": 0.9}, {"temperature": 0.0}, {}],
    "multi_agent_interaction.turn_order": [
        ["tool_generator", "reasoning_generator"],
        ["reasoning_generator"],
        ["tool_generator", "nobody"],
        [],
    ],
    "multi_agent_interaction.num_interacting_agents": [1, 2, 3],
    "training.device": ["cpu", "cuda", "tpu"],
    "training.train_batch_size": [4, 8, 7, 0],
    "training.train_sample_num": [1, 2, 8],
    "training.total_training_steps": [5, 100],
    "training.val_freq": [10, 200, "${training.total_training_steps}"],
    "training.max_prompt_length": [512, 100000, "${training.max_response_length}"],
    "training.max_response_length": [256, 9000],
    "training.lora_rank": [8, "${lora_rank}"],
    "training.rollout_mode": ["tree", "independent", "no_tree"],
    "models.model_0.path": ["${base_models.policy_0.path}", "Qwen/Qwen3-1.7B"],
    "models.model_0.name": ["tool_generator_model", "nobody"],
    f"{MODEL}.filter_method": ["none", "mean", "dapo"],
    f"{MODEL}.filter_ratio": [0.0, 0.5, 2],
    f"{MODEL}.data": [{"max_prompt_length": 100}, {"max_prompt_length": 0}, {"max_prompt_lenght": 5}],
    f"{ROLLOUT}.tensor_model_parallel_size": [1, 2, "${resource.n_gpus_per_node}"],
    f"{ROLLOUT}.gpu_memory_utilization": [0.5, 1.5],
    f"{ROLLOUT}.temperature": [1.0, 0.5, "${training.sample_temperature}"],
    f"{MODEL}.actor_rollout_ref.trainer.n_gpus_per_node": [0, 4, "${resource.n_gpus_per_node}"],
    f"{MODEL}.actor_rollout_ref.actor.optim.lr": [1e-6, 1e-5, 0, "fast"],
}
spaces = st.dictionaries(st.sampled_from(sorted(POOL)), st.integers(0, 2**32), min_size=1, max_size=4)


def axes(space):
    """One override per axis: two or three of its values, the first being the default."""
    words = []
    for path, drawn in space.items():
        pool = POOL[path]
        count = min(len(pool), 2 + drawn % 2)
        values = [pool[(drawn // 7 + place) % len(pool)] for place in range(count)]
        literal = [_literal(value) for value in values]
        table = f"sweep = 'choice', values = [{', '.join(literal)}], default = {literal[0]}"
        words.append(f"++{path}={{ {table} }}")
    return words


def _literal(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_literal(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def both(path, words, facts):
    draft = draft_experiment(path, words)
    influence = Influence(draft)
    space = space_of(draft, ValueReader(draft, influence))
    return [prove(draft, space.cells, facts, influence, incremental=which) for which in (True, False)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(space=spaces, gpus=st.sampled_from([None, 0, 1, 8]))
def test_the_incremental_proof_finds_what_a_full_one_finds(space, gpus):
    facts = None if gpus is None else Facts(gpus=gpus)
    incremental, full = both(TWO_AGENTS, axes(space), facts)
    assert incremental.found == full.found
    assert incremental.unchecked == full.unchecked
    assert incremental.evaluated <= full.evaluated


def test_what_one_key_says_of_another_is_a_dependency():
    """A rank of 0 takes the alpha beside it along, whatever that is: found by the slow test below."""
    words = [
        "++lora_alpha={ sweep = 'choice', values = [16, -1], default = 16 }",
        "++lora_rank={ sweep = 'choice', values = [16, 0], default = 16 }",
        "++specialization={ sweep = 'choice', values = ['lora', 'full'], default = 'lora' }",
    ]
    incremental, full = both(TWO_AGENTS, words, None)
    assert incremental.found == full.found


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(space=spaces, preset=st.sampled_from(sorted(preset_files())))
def test_the_incremental_proof_of_presets(space, preset):
    incremental, full = both(preset_files()[preset], axes(space), Facts(gpus=8))
    assert incremental.found == full.found


def test_a_thousand_cells_are_proved_by_the_few_that_bring_something_new():
    ten = [f'{{ sweep = "choice", values = {list(range(1, 11))}, default = 1 }}'] * 3
    paths = ["training.seed", "launch.num_cpu_threads_per_process", f"{ROLLOUT}.max_num_seqs"]
    words = [f"++{path}={table}" for path, table in zip(paths, ten, strict=True)]
    draft = draft_experiment(TWO_AGENTS, words)
    influence = Influence(draft)
    cells = space_of(draft, ValueReader(draft, influence)).cells
    assert len(cells) == 1000
    # No key and no rule depends on two of them: the first cell, and nine further values of each axis.
    assert prove(draft, cells, None, influence).evaluated == 28


def test_a_fault_names_the_cells_and_points_at_the_value_of_its_axis():
    axes = {"train_batch_size": [4, 0], "seed": [1, 2, 3]}
    lines = [
        f"{key} = {{ sweep = 'choice', values = {values}, default = {values[0]} }}\n"
        for key, values in axes.items()
    ]
    text = TWO_AGENTS.read_text().replace("[training]\n", f"[training]\n{''.join(lines)}")
    report = check_experiment(TWO_AGENTS, text=text)
    (found,) = [one for one in report.diagnostics if one.code == "PLM006"]
    assert "in 3 of 6 cells: training.train_batch_size=0" in found.message
    assert found.source_line[found.column - 1 :].startswith("0]")
    assert len(report.cells.impossible) == 3
    assert [cell.number for cell in report.cells.runnable] == [0, 1, 2]


def test_impossible_cells_are_left_out_on_request_but_never_the_default():
    words = ["++training.train_batch_size={ sweep = 'choice', values = [4, 0], default = 4 }"]
    assert check_experiment(TWO_AGENTS, words).experiment is None
    dropped = check_experiment(TWO_AGENTS, words, drop_invalid=True)
    assert dropped.experiment is not None
    assert [cell.number for cell in dropped.cells.runnable] == [0]
    bad = [words[0].replace("default = 4", "default = 0")]
    assert check_experiment(TWO_AGENTS, bad, drop_invalid=True).experiment is None
