import json
import re
from pathlib import Path

import pytest
from hydra_reference import BROKEN, differences, hydra_tree
from jsonschema import Draft7Validator

from pettingllms.compose.compose import compose
from pettingllms.compose.references import resolve_references
from pettingllms.compose.special_values import replace_special
from pettingllms.config.fields import ExperimentSchema, annotation_at
from pettingllms.config.presets import (
    config_root,
    find_preset,
    fragment_files,
    phase_files,
    preset_files,
    summary,
)
from pettingllms.config.typed import type_cell
from pettingllms.documents.convert import convert
from pettingllms.documents.read import read_document
from pettingllms.documents.source import dotted
from pettingllms.errors import UsageError
from pettingllms.lint.engine import check_experiment

ROOT = Path(__file__).resolve().parents[2]
PRESETS, FRAGMENTS, PHASES = preset_files(), fragment_files(), phase_files()
TEAMS = {
    "math": ["tool_generator", "reasoning_generator"],
    "code": ["code_generator", "test_generator"],
    "search": ["search_reasoning_agent", "web_search_agent"],
    "stateful": ["tool_call_agent", "plan_agent"],
}
LEVELS = ["L0_single_agent", "L1_prompt", "L2_lora", "L3_model"]
PPO = "ppo_trainer_config"
each_preset = pytest.mark.parametrize("name", PRESETS)


def resolution_of(path, overrides=(), overlays=()):
    composition = compose(path, overrides, schema=ExperimentSchema(), overlays=overlays)
    data, _, malformed = replace_special(composition.tree.data)
    assert [*composition.findings, *malformed] == []
    resolution = resolve_references(data)
    assert resolution.findings == []
    return resolution


def resolved(path, overrides=(), overlays=()):
    return resolution_of(path, overrides, overlays).data


def typed(path, overrides=()):
    checked = type_cell(resolution_of(path, overrides))
    assert {finding.code for finding in checked.findings} <= {"PLM007"}
    assert checked.config is not None
    return checked.config


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def unknown_keys(data, package=()):
    return [dotted(path) for path, _ in leaves(data) if annotation_at((*package, *path)) is None]


def test_four_levels_of_four_tasks_two_fragments_three_phases():
    assert list(PRESETS) == [f"{task}_{level}" for task in TEAMS for level in LEVELS]
    assert all(path == config_root() / name.split("_")[0] / f"{name}.toml" for name, path in PRESETS.items())
    assert list(FRAGMENTS) == ["base", "eval"]
    assert list(PHASES) == ["phase_1", "phase_2", "phase_3"]


@each_preset
@pytest.mark.parametrize("form", ["{}", "{}.toml", "{}.yaml", "{}.yml", "{task}/{}", "{task}/{}.yaml"])
def test_preset_is_found_by_every_spelling(name, form):
    assert find_preset(form.format(name, task=name.split("_")[0])) == PRESETS[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("math_L3_modell", "did you mean math_L3_model? presets: math_L0_single_agent, "),
        ("code/math_L1_prompt", "did you mean math_L1_prompt? "),
        ("./math/../math_L1_prompt", "did you mean math_L1_prompt? "),
        ("eval", "ppo_trainer/eval is a trainer fragment: mount it"),
        ("ppo_trainer/base.toml", "ppo_trainer/base is a trainer fragment"),
        ("progressive/phase_2", "--with progressive/phase_2"),
        ("", "presets: math_L0_single_agent, "),
        ("zzz", "presets: math_L0_single_agent, "),
    ],
)
def test_unknown_preset_says_which_was_meant(name, words):
    with pytest.raises(UsageError, match=re.escape(f"there is no preset {name!r}")) as caught:
        find_preset(name)
    assert words in caught.value.help


@each_preset
def test_preset_has_only_keys_of_the_schema(name):
    assert unknown_keys(read_document(PRESETS[name]).data) == []


@pytest.mark.parametrize("name", FRAGMENTS)
def test_fragment_has_only_keys_of_the_schema_and_relative_references(name):
    data = read_document(FRAGMENTS[name]).data
    assert unknown_keys(data, ("models", "model_0", PPO)) == []
    references = [value for _, value in leaves(data) if isinstance(value, str) and "${" in value]
    assert len(references) == 4 and all(text.startswith("${.") for text in references)


@pytest.mark.parametrize("name", PHASES)
def test_phase_has_only_keys_of_the_schema(name):
    assert unknown_keys(read_document(PHASES[name]).data) == []


@each_preset
def test_editors_accept_the_preset(name):
    schema = json.loads((ROOT / "schemas/experiment.schema.json").read_text())
    assert [
        error.message for error in Draft7Validator(schema).iter_errors(read_document(PRESETS[name]).data)
    ] == []
    line = PRESETS[name].read_text().splitlines()[0]
    assert (
        PRESETS[name].parent / line.removeprefix("#:schema ")
    ).resolve() == ROOT / "schemas/experiment.schema.json"


@each_preset
def test_lint_finds_only_what_this_version_lacks(name):
    # Several GPUs. Environments, agent classes and datasets are all here.
    (found,) = check_experiment(PRESETS[name]).diagnostics
    assert (found.code, found.path) == ("PLM007", "resource.n_gpus_per_node")
    if "_L3_" not in name:
        # Two whole models want a GPU each.
        assert check_experiment(PRESETS[name], ["resource.n_gpus_per_node=1"]).diagnostics == ()


@pytest.mark.parametrize("name", ["math_L1_prompt", "math_L2_lora"])
def test_few_changes_make_a_preset_one_that_this_version_runs(name):
    words = ["resource.n_gpus_per_node=1", "env.dataset=builtin:arithmetic", "~env.benchmark"]
    report = check_experiment(PRESETS[name], words)
    assert report.diagnostics == () and report.experiment is not None


@each_preset
def test_head_says_what_a_step_costs(name):
    config, text = typed(PRESETS[name]), PRESETS[name].read_text()
    counts = re.search(r"(\d+) tasks x (\d+) turns? x (\d+) candidates = (\d+) completions", text)
    training = config.training
    asked = (training.train_batch_size, config.env.max_turns, training.train_sample_num)
    assert tuple(map(int, counts.groups())) == (*asked, asked[0] * asked[1] * asked[2])
    assert training.experiment_name == name
    assert summary(PRESETS[name]).split(" with ")[0] in {
        "Mathematics",
        "Programming",
        "Web search",
        "Planning",
    }


@pytest.mark.parametrize("task", TEAMS)
def test_levels_differ_in_how_agents_share_weights(task):
    single, prompt, lora, full = (typed(PRESETS[f"{task}_{level}"]) for level in LEVELS)
    assert single.multi_agent_interaction.turn_order == ["single_agent"]
    assert [agent.name for agent in single.agent_policy_configs.agent_configs.values()] == ["single_agent"]
    for team in (prompt, lora, full):
        agents = team.agent_policy_configs.agent_configs.values()
        assert team.multi_agent_interaction.turn_order == TEAMS[task]
        assert {agent.name for agent in agents} == set(TEAMS[task])
        assert team.env.max_turns % 2 == 0
        assert team.env == prompt.env

    def weights(config):
        agents = config.agent_policy_configs.agent_configs.values()
        paths = {base.name: base.path for base in config.base_models.values()}
        used = [agent.policy_name for agent in agents]
        assert set(used) == set(paths)
        return config.specialization, len(set(used)), len(set(paths.values()))

    assert weights(single) == ("lora", 1, 1)
    assert weights(prompt) == ("lora", 1, 1)
    assert weights(lora) == ("lora", 2, 1)
    assert weights(full) == ("full", 2, 1)
    assert "lora_rank" not in resolved(PRESETS[f"{task}_L3_model"])


@each_preset
def test_every_policy_has_the_trainer_numbers_of_eval(name):
    tree = resolved(PRESETS[name])
    assert len(tree["models"]) == len(tree["base_models"])
    for number in range(len(tree["models"])):
        model = tree["models"][f"model_{number}"]
        rollout, actor = (model[PPO]["actor_rollout_ref"][key] for key in ("rollout", "actor"))
        assert (actor["optim"]["lr"], actor["clip_ratio_low"], actor["clip_ratio_high"]) == (5e-6, 0.2, 0.2)
        assert (rollout["gpu_memory_utilization"], rollout["max_num_seqs"]) == (0.8, 32)
        optim, algorithm = actor["optim"], model[PPO]["algorithm"]
        schedule = (optim["warmup_style"], optim["lr_warmup_steps"], optim["min_lr_ratio"])
        assert schedule == ("cosine", 10, 0.3)
        assert (algorithm["adv_estimator"], algorithm["use_kl_in_reward"]) == ("grpo", False)
        assert (actor["clip_ratio_c"], actor["loss_agg_mode"], actor["ppo_epochs"]) == (3.0, "token-mean", 1)
        assert (actor["use_kl_loss"], actor["entropy_coeff"]) == (False, 0)
        assert (model[PPO]["filter_method"], model[PPO]["filter_ratio"]) == ("mean", 0.5)
        assert model["name"] == tree["base_models"][f"policy_{number}"]["name"]


@each_preset
def test_references_follow_what_is_changed_in_one_place(name):
    words = [
        "base_models.policy_0.path=my/model",
        "training.max_prompt_length=512",
        "training.max_response_length=64",
    ]
    tree = resolved(PRESETS[name], [*words, "training.sample_temperature=1.5", "resource.n_gpus_per_node=4"])
    apart = name.endswith("L3_model")
    for number, model in enumerate(tree["models"].values()):
        ours = model[PPO]["actor_rollout_ref"]
        path = "Qwen/Qwen3-1.7B" if apart and number else "my/model"
        assert (model["path"], ours["model"]["path"]) == (path, path)
        assert model[PPO]["data"] == {"max_prompt_length": 512, "max_response_length": 64}
        rollout = ours["rollout"]
        assert (rollout["prompt_length"], rollout["response_length"], rollout["temperature"]) == (
            512,
            64,
            1.5,
        )
        # Two engines of 2 GPUs, or one of 4.
        assert rollout["tensor_model_parallel_size"] == (2 if apart else 4)
        assert type(rollout["tensor_model_parallel_size"]) is int
        assert model[PPO]["trainer"] == {"n_gpus_per_node": 4, "n_training_gpus_per_node": 4}


@pytest.fixture(scope="module")
def yaml_tree(tmp_path_factory):
    """All shipped files as YAML, in the same folders."""
    folder = tmp_path_factory.mktemp("config")
    for path in (*PRESETS.values(), *FRAGMENTS.values()):
        target = folder / path.relative_to(config_root()).with_suffix(".yaml")
        target.parent.mkdir(exist_ok=True)
        target.write_text(convert(read_document(path), "yaml").text)
    return folder


@each_preset
def test_preset_resolves_to_what_hydra_makes_of_it(name, yaml_tree):
    theirs = hydra_tree(yaml_tree / name.split("_")[0], name)
    found = differences(resolved(PRESETS[name]), theirs)
    # `div` is a resolver of ours.
    halves = [
        f"models.model_{number}.{PPO}.actor_rollout_ref.rollout.tensor_model_parallel_size: "
        f"ours 4, Hydra {BROKEN!r}"
        for number in range(2)
    ]
    assert sorted(found) == (halves if name.endswith("L3_model") else [])


@pytest.mark.parametrize(
    ("name", "rate", "length", "share"), [("base", 1e-6, 1024, 0.6), ("eval", 5e-6, 2048, 0.8)]
)
def test_fragment_refers_to_itself_wherever_it_is_mounted(name, rate, length, share, tmp_path):
    file = tmp_path / "mounts.toml"
    file.write_text(
        f'defaults = [{{ "ppo_trainer@models.model_3.{PPO}" = "{name}" }}, "_self_"]\n'
        f"[models.model_3.{PPO}]\ndata.max_response_length = 7\nactor_rollout_ref.actor.clip_ratio = 0.3\n"
    )
    mounted = resolved(file)["models"]["model_3"][PPO]
    assert mounted["data"] == {"max_prompt_length": length, "max_response_length": 7}
    ours = mounted["actor_rollout_ref"]
    assert (ours["rollout"]["prompt_length"], ours["rollout"]["response_length"]) == (length, 7)
    assert (ours["actor"]["clip_ratio_low"], ours["actor"]["clip_ratio_high"]) == (0.3, 0.3)
    assert (ours["actor"]["optim"]["lr"], ours["rollout"]["gpu_memory_utilization"]) == (rate, share)


PHASE_VALUES = {"phase_1": (10, 4, 2, 2), "phase_2": (50, 16, 4, 3), "phase_3": (500, 32, 8, 5)}


def phase_values(tree):
    training = tree["training"]
    sizes = (training["total_training_steps"], training["train_batch_size"], training["train_sample_num"])
    return (*sizes, tree["env"]["max_turns"])


@pytest.mark.parametrize("phase", PHASE_VALUES)
def test_phase_goes_on_top_of_an_experiment(phase, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        f'defaults = ["math/math_L3_model", "progressive/{phase}", "_self_"]\ntraining.seed = 5\n'
    )
    included = resolved(file)
    assert phase_values(included) == PHASE_VALUES[phase]
    assert included["training"]["seed"] == 5
    on_top = resolved(PRESETS["math_L3_model"], ["training.seed=5"], [PHASES[phase]])
    assert on_top == included
    plain = resolved(PRESETS["math_L3_model"], ["training.seed=5"])
    for tree in (plain, on_top):
        for section, keys in (
            ("training", ["total_training_steps", "train_batch_size", "train_sample_num"]),
            ("env", ["max_turns"]),
        ):
            for key in keys:
                del tree[section][key]
    assert on_top == plain


def test_file_on_top_of_a_phase_has_the_last_word(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "defaults:\n  - code/code_L1_prompt\n  - progressive/phase_1\n  - _self_\n"
        "training:\n  train_batch_size: 6\n"
    )
    assert phase_values(resolved(file)) == (10, 6, 2, 2)
