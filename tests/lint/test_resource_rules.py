"""Rules about numbers, machines and models, beyond what the cases in `cases/invalid` show."""

import copy
import json
import os
import tomllib
import typing
from pathlib import Path

import pytest

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.compose.tree import get
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import all_keys, alternatives, annotation_at, is_section
from pettingllms.config.presets import preset_files
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.model_files import shape_of
from pettingllms.lint.rule import RULES, Context, overlap
from pettingllms.lint.rules import (
    environment,
    graph,
    memory,
    references,
    resources,
    serving,
    training,
    undone,
)

CASES = Path(__file__).parents[1] / "cases"
ONE_POLICY = tomllib.loads((CASES / "shared/one_policy.toml").read_text())
OURS = "models.model_0.ppo_trainer_config.actor_rollout_ref"
FOURTEEN = str(CASES / "shared/fourteen_heads")
GIB = 2**30
GPU = {"training.device": "cuda", "resource.n_gpus_per_node": 1}


def put(data, path, value):
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def context(changes=(), facts=None, packages=(), base=ONE_POLICY):
    data = copy.deepcopy(base)
    for path, value in dict(changes).items():
        put(data, path.split("."), value)
    return Context(ExperimentConfig.model_validate(data), data, facts, frozenset(packages))


def found(code, *arguments, **keywords):
    return [finding.message for finding in RULES[code].check(context(*arguments, **keywords))]


def unchecked(code, *arguments, **keywords):
    one = context(*arguments, **keywords)
    list(RULES[code].check(one))
    return one.unchecked


TWO = {
    "base_models.policy_1.path": "builtin:smollm2-135m-instruct",
    "base_models.policy_1.name": "other",
    "agent_policy_configs.agent_configs.agent_1.policy_name": "other",
}


@pytest.mark.parametrize(
    ("changes", "pool", "reason"),
    [
        ({}, 8, "as one engine serves all policies"),
        ({**TWO}, 8, "as one engine serves all policies"),
        ({**TWO, "specialization": "prompt"}, 8, "as one engine serves all policies"),
        ({**TWO, "specialization": "full"}, 4, "the node's 8 / 2 engines"),
        ({"specialization": "full"}, 8, "as one engine serves all policies"),
        ({**TWO, "base_models.policy_1.path": "a/b"}, 4, "the node's 8 / 2 engines"),
    ],
)
def test_pool_of_an_engine_and_its_formula(changes, pool, reason):
    changes = {**changes, "training.device": "cuda", "resource.n_gpus_per_node": 8}
    key = f"{OURS}.rollout.tensor_model_parallel_size"
    assert found("PLM301", {**changes, key: pool}) == []
    (message,) = found("PLM301", {**changes, key: pool + 1})
    assert message.startswith(
        f"tensor_model_parallel_size = {pool + 1}, but the engine's pool is {pool} GPUs: "
    )
    assert reason in message


def test_counts_are_mended_by_the_count_that_is_there():
    (finding,) = RULES["PLM102"].check(context({"agent_policy_configs.num_agents": 5}))
    assert [(change.kind, change.path, change.value) for change in finding.fix.changes] == [
        ("set", ("agent_policy_configs", "num_agents"), 2)
    ]
    assert not finding.fix.safe
    (finding,) = RULES["PLM106"].check(context({"multi_agent_interaction.num_interacting_agents": 1}))
    assert finding.fix.changes[0].value == 2


@pytest.mark.parametrize(
    ("count", "kind", "value"), [(1, "set", "${resource.n_gpus_per_node}"), (None, "remove", None)]
)
def test_gpu_count_is_mended_by_a_reference_where_there_is_something_to_refer_to(count, kind, value):
    changes = {**GPU, "resource.n_gpus_per_node": count, f"{OURS}.trainer.n_gpus_per_node": 8}
    (finding,) = RULES["PLM302"].check(context(changes))
    (change,) = finding.fix.changes
    assert (change.kind, change.value, finding.fix.safe) == (kind, value, False)


@pytest.mark.parametrize(
    ("code", "changes", "facts", "notes"),
    [
        ("PLM303", GPU, None, {"GPU count (no --here or --assume)"}),
        ("PLM303", {}, None, set()),
        ("PLM303", GPU, Facts(gpus=1), set()),
        ("PLM303", GPU, Facts(disk_free=1), {"GPU count (not known of this machine)"}),
        ("PLM315", GPU, None, {"GPU memory (no --here or --assume)"}),
        ("PLM315", {}, None, set()),
        (
            "PLM315",
            {**GPU, "base_models.policy_0.path": "a/b"},
            Facts(1, GIB),
            {"size of a/b (not a local folder)"},
        ),
        ("PLM316", {}, None, set()),
        ("PLM316", {"lora_rank": 512}, None, {"disk space (no --here or --assume)"}),
        ("PLM305", {"base_models.policy_0.path": "your model"}, None, set()),
        ("PLM305", {"base_models.policy_0.path": "/no/such/model"}, None, set()),
        ("PLM305", {"base_models.policy_0.path": "builtin:no"}, None, set()),
        (
            "PLM316",
            {"base_models.policy_0.path": "a/b"},
            Facts(disk_free=1),
            {"size of a/b (not a local folder)"},
        ),
        ("PLM310", {"base_models.policy_0.path": "a/b"}, None, set()),
        (
            "PLM310",
            {"base_models.policy_0.path": "a/b", f"{OURS}.rollout.tensor_model_parallel_size": 2},
            None,
            {"size of a/b (not a local folder)"},
        ),
        ("PLM305", {"base_models.policy_0.path": "a/b"}, None, {"size of a/b (not a local folder)"}),
    ],
)
def test_what_is_not_checked_is_noted(code, changes, facts, notes):
    assert unchecked(code, changes, facts) == notes


def test_a_folder_that_does_not_tell_is_not_called_no_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    notes = unchecked("PLM305", {"base_models.policy_0.path": str(tmp_path)})
    assert notes == {f"size of {tmp_path} (not in its config.json)"}


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"num_attention_heads": "many"}', "\udcff"])
def test_a_damaged_model_folder_stops_no_rule(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    changes = {**GPU, "base_models.policy_0.path": str(tmp_path)}
    for code in ("PLM305", "PLM310", "PLM315", "PLM316"):
        assert found(code, changes, Facts.assumed("gpus=1,gpu_memory=1B,disk=0B")) == []


def test_a_critic_with_a_model_of_its_own_takes_disk_space():
    trainer = "models.model_0.ppo_trainer_config"
    critic = {f"{trainer}.critic.model.path": FOURTEEN, "training.keep_checkpoints": 5}
    there = Facts.assumed("disk=0B")
    (without,) = found("PLM316", critic, there)
    critic[f"{trainer}.algorithm.adv_estimator"] = "gae"
    (whole,) = found("PLM316", critic, there)
    (adapted,) = found("PLM316", critic | {f"{trainer}.critic.model.lora_rank": 8}, there)
    sizes = [float(text.split(" of ")[1].split()[0]) for text in (without, adapted, whole)]
    units = [text.split(" of ")[1].split()[1] for text in (without, adapted, whole)]
    # 494 million weights of 12 bytes each, and a little for the policy's adapter.
    assert units == ["MiB", "MiB", "GiB"] and whole.split(" of ")[1].startswith("5.6 GiB")
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        # From the model cards: 0.49 B, 1.72 B (tied), 8.03 B and 7.24 B.
        ({}, 0.494),
        (
            {
                "hidden_size": 2048,
                "intermediate_size": 6144,
                "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "head_dim": 128,
            },
            1.72,
        ),
        (
            {
                "hidden_size": 4096,
                "intermediate_size": 14336,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "vocab_size": 128256,
                "tie_word_embeddings": False,
            },
            8.03,
        ),
    ],
)
def test_estimated_weights_are_those_of_the_model_card(tmp_path, settings, parameters):
    known = json.loads((CASES / "shared/fourteen_heads/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(known | settings))
    assert shape_of(str(tmp_path)).parameters / 1e9 == pytest.approx(parameters, rel=0.01)


def test_the_embedded_model_has_the_size_of_its_weights():
    # 134,515,008 weights, of which 61 norms of 576.
    assert shape_of("builtin:smollm2-135m-instruct").parameters == 134_515_008 - 61 * 576


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({"sliding_window": 512, "use_sliding_window": True}, 0),
        ({"layer_types": ["full_attention", "sliding_attention"]}, 0),
        ({"layer_types": ["full_attention"] * 24}, 2 * 24 * 2 * 64 * 2),
        ({"kv_lora_rank": 512}, 0),
        # The language part of a model that also takes images.
        ({"hidden_size": None, "text_config": {"hidden_size": 896}}, 2 * 24 * 2 * 64 * 2),
    ],
)
def test_layers_that_keep_less_count_for_nothing(tmp_path, changes, tokens):
    known = json.loads((CASES / "shared/fourteen_heads/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(known | changes))
    assert shape_of(str(tmp_path)).cache_bytes(1, 2) == tokens


def test_quantised_weights_are_not_judged(tmp_path):
    known = json.loads((CASES / "shared/fourteen_heads/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(known | {"quantization_config": {"bits": 4}}))
    assert shape_of(str(tmp_path)) is None


def memory_findings(memory, **changes):
    changes = {**GPU, "base_models.policy_0.path": FOURTEEN, **changes}
    return found("PLM315", changes, Facts(1, memory))


ALL_LAYERS = {f"{OURS}.model.enable_gradient_checkpointing": False}
AWAKE = {f"{OURS}.rollout.free_cache_engine": False}


@pytest.mark.parametrize(
    ("changes", "too_little", "enough"),
    [
        # 942 MiB of weights (494 M in bfloat16), 134 MiB of adapters, 816 MiB of logits. A token needs 90,624
        # bytes in a layer, 2 x (4 x 896 + 2 x 896 + 4 x 4864) + 4 x (6 x 896 + 4864), and 1,792 for the input
        # of each of 24 layers: 8192 tokens are 1,044 MiB. All together are 2.87 GiB.
        ({}, 2.86, 2.88),
        (AWAKE, 5.72, 5.76),
        # All 24 layers: 8192 tokens are 16.6 GiB, and all together 18.4 GiB.
        (ALL_LAYERS, 18, 19),
        (ALL_LAYERS | AWAKE, 36, 37),
        # 22 sequences of 512 + 256 tokens are 2,153 MiB; all together are 3.95 GiB.
        ({f"{OURS}.actor.use_dynamic_bsz": False, f"{OURS}.actor.ppo_micro_batch_size_per_gpu": 22}, 3.9, 4),
    ],
)
def test_memory_is_enough_from_a_certain_size_on(changes, too_little, enough):
    (message,) = memory_findings(int(too_little * GIB), **changes)
    assert message.startswith("CUDA out of memory is likely in the trainer: ")
    asleep = f"{too_little:.1f} GiB, while the engine sleeps"
    assert message.endswith(" beside the engine" if AWAKE.items() <= changes.items() else asleep)
    assert memory_findings(int(enough * GIB), **changes) == []


def test_weights_of_the_trainer_stay_beside_an_engine_that_only_sleeps_during_updates():
    # 1,076 MiB of weights and adapters, and the engine's 942 + 9 MiB fit into neither half.
    changes = {f"{OURS}.rollout.gpu_memory_utilization": 0.8}
    (message,) = memory_findings(4 * GIB, **changes)
    assert message.endswith(" = 1.1 GiB > (1 - 0.8) x 4.0 GiB = 819.2 MiB beside the engine")
    assert "activations" not in message
    assert memory_findings(6 * GIB, **changes) == []


def test_what_the_guide_advises_against_running_out_of_memory_helps():
    small = 18 * GIB
    (finding,) = RULES["PLM315"].check(
        context({**GPU, **ALL_LAYERS, "base_models.policy_0.path": FOURTEEN}, Facts(1, small))
    )
    assert "CUDA out of memory" in finding.message
    assert finding.help.startswith("write enable_gradient_checkpointing = true, or lower ")
    tokens = f"{OURS}.actor.ppo_max_token_len_per_gpu"
    for helpful in (
        {f"{OURS}.model.enable_gradient_checkpointing": True},
        {tokens: 1024},
        {"training.train_batch_size": 1, "env.max_turns": 1, "training.train_sample_num": 2},
        {"training.max_prompt_length": 16, "training.max_response_length": 1},
    ):
        assert memory_findings(small, **{**ALL_LAYERS, **helpful}) == []
    full = memory_findings(4 * GIB, **{tokens: 64, "specialization": "full"})
    assert len(full) == 1 and memory_findings(4 * GIB, **{tokens: 64}) == []


def test_the_scripted_engine_takes_no_memory():
    scripted = {f"{OURS}.rollout.name": "scripted", **ALL_LAYERS}
    assert memory_findings(19 * GIB, **scripted) == []
    assert "(1 - 0) x 18.0 GiB" in memory_findings(18 * GIB, **scripted)[0]


def test_rounds_have_as_many_turns_as_agents():
    few = {"training.train_batch_size": 1, "env.max_turns": 1, "training.train_sample_num": 2, **ALL_LAYERS}
    # 512 + 2 x 256 tokens are 2.07 GiB of activations, those of two agents 4.15 GiB, beside 1.85 GiB.
    assert memory_findings(5 * GIB, **few) == []
    (message,) = memory_findings(5 * GIB, **few, **{"env.turn_unit": "round"})
    assert "activations of 2048 tokens" in message


def qwen3(folder):
    """A folder with the settings of Qwen3-1.7B."""
    settings = {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", ["math_L0_single_agent", "math_L1_prompt", "math_L2_lora"])
def test_presets_fit_a_gpu_of_80_gib_at_their_lengths(name, tmp_path):
    path, facts = preset_files()[name], Facts.assumed("gpus=8,gpu_memory=80GiB,disk=1TB")
    words = [f"base_models.policy_0.path={qwen3(tmp_path)}"]
    codes = {one.code for one in check_experiment(path, words, facts=facts).diagnostics}
    assert "PLM315" not in codes and "PLM007" in codes
    # Without gradient checkpointing micro-batches of 16384 tokens need 63 GiB for activations alone.
    words += [f"{OURS}.model.enable_gradient_checkpointing=false", f"{OURS}.rollout.free_cache_engine=false"]
    if name == "math_L2_lora":
        words += [word.replace("model_0", "model_1") for word in words[1:]]
    codes = {one.code for one in check_experiment(path, words, facts=facts).diagnostics}
    assert "PLM315" in codes


def test_absurd_numbers_stop_no_rule():
    huge = 10**400
    changes = {
        **GPU,
        "base_models.policy_0.path": FOURTEEN,
        "lora_rank": huge,
        "training.max_prompt_length": huge,
        "training.train_batch_size": huge + 1,
        "training.train_sample_num": huge,
        "training.keep_checkpoints": huge,
        "training.save_freq": 1,
        "training.total_training_steps": huge,
        "resource.nnodes": 7,
        f"{OURS}.actor.ppo_max_token_len_per_gpu": huge,
        f"{OURS}.actor.ppo_mini_batch_size": huge,
        f"{OURS}.rollout.tensor_model_parallel_size": huge,
        f"{OURS}.rollout.max_num_batched_tokens": huge,
    }
    one = context(changes, Facts.assumed("gpus=1,gpu_memory=80GiB,disk=1TB"))
    codes = {code for code, rule in RULES.items() if rule.check and list(rule.check(one))}
    assert {"PLM301", "PLM305", "PLM310", "PLM311", "PLM312", "PLM313", "PLM315", "PLM316"} <= codes


@pytest.mark.parametrize(
    ("tasks", "candidates", "gpus", "valid"),
    [(32, 8, 8, None), (8, 3, 3, None), (32, 8, 3, "30 or 33"), (1, 3, 8, "8"), (10, 4, 6, "9 or 12")],
)
def test_batches_that_divide_are_named(tasks, candidates, gpus, valid):
    changes = {
        "training.device": "cuda",
        "training.train_batch_size": tasks,
        "training.train_sample_num": candidates,
        "resource.n_gpus_per_node": gpus,
    }
    findings = list(RULES["PLM311"].check(context(changes)))
    assert [finding.help for finding in findings] == ([f"write train_batch_size = {valid}"] if valid else [])


@pytest.mark.parametrize(
    ("tasks", "size", "valid"),
    [
        (32, 8, None),
        (32, 32, None),
        (16, 128, "16"),
        (48, 20, "16 or 24"),
        (31, 30, "1 or 31"),
        (32, 3, "2 or 4"),
    ],
)
def test_mini_batches_that_divide_are_named(tasks, size, valid):
    changes = {"training.train_batch_size": tasks, f"{OURS}.actor.ppo_mini_batch_size": size}
    findings = list(RULES["PLM312"].check(context(changes)))
    assert [finding.help for finding in findings] == ([f"write {valid}"] if valid else [])


@pytest.mark.parametrize(
    ("rank", "limit", "serving", "faults"),
    [
        (512, None, "adapter", 0),
        (513, None, "adapter", 1),
        (513, None, "merged", 0),
        (513, None, "auto", 0),
        (1, 8, "merged", 0),
        (16, 8, "merged", 1),
        (16, 16, "adapter", 0),
        (16, 17, "adapter", 1),
        (1, 1, "adapter", 0),
        (2, 1, "adapter", 1),
    ],
)
def test_rank_is_held_against_what_the_engine_takes(rank, limit, serving, faults):
    changes = {"lora_rank": rank, f"{OURS}.rollout.lora_serving": serving}
    assert len(found("PLM313", changes | {f"{OURS}.rollout.max_lora_rank": limit})) == faults
    assert found("PLM313", changes | {"specialization": "full"}) == []


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"max_num_batched_tokens": 64 * 512}, 0),
        ({"max_num_batched_tokens": 64 * 512 - 1}, 1),
        ({"max_num_batched_tokens": 768, "enable_chunked_prefill": False}, 0),
        ({"max_num_batched_tokens": 767, "enable_chunked_prefill": False}, 1),
        ({"max_num_batched_tokens": 800, "enable_chunked_prefill": False, "max_model_len": 801}, 1),
        ({"max_num_batched_tokens": 63, "enable_chunked_prefill": False}, 1),
        ({"max_num_batched_tokens": 64, "enable_chunked_prefill": True, "name": "scripted"}, 0),
        ({"max_model_len": 767}, 1),
        ({"max_model_len": 768}, 0),
        ({"enable_chunked_prefill": False}, 0),
    ],
)
def test_sizes_of_the_engine_fit_each_other(changes, faults):
    changes = {f"{OURS}.rollout.{key}": value for key, value in changes.items()}
    assert len(found("PLM314", changes)) == faults
    if faults == 0:
        assert found("PLM314", GPU | changes) == []


def test_on_the_gpu_a_prompt_may_be_split():
    assert found("PLM314", GPU | {f"{OURS}.rollout.max_num_batched_tokens": 128}) == []


def test_max_model_len_stays_within_the_context_of_the_model():
    key = f"{OURS}.rollout.max_model_len"
    assert found("PLM305", {key: 8192}) == []
    assert found("PLM305", {key: 8193}) == [
        "max_model_len = 8193 exceeds the context of builtin:smollm2-135m-instruct, 8192 tokens"
    ]


@pytest.mark.parametrize(
    ("estimator", "candidates", "faults"),
    [
        ("grpo", 1, 1),
        ("rloo", 1, 1),
        ("dr_grpo", 1, 1),
        ("gae", 1, 0),
        ("reinforce_plus_plus", 1, 0),
        ("grpo", 2, 0),
    ],
)
def test_a_group_of_one_teaches_nothing(estimator, candidates, faults):
    algorithm = "models.model_0.ppo_trainer_config.algorithm.adv_estimator"
    changes = {algorithm: estimator, "training.train_sample_num": candidates}
    assert len(found("PLM317", changes)) == faults


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"lora_rank": 16}, 0),
        ({"lora_rank": None}, 1),
        ({"lora_rank": None, "training.lora_rank": 8}, 0),
        ({"lora_rank": None, f"{OURS}.model.lora_rank": 8}, 0),
        ({"lora_rank": None, "specialization": "full"}, 0),
    ],
)
def test_the_default_rank_is_said(changes, faults):
    without = {key: value for key, value in ONE_POLICY.items() if key != "lora_rank"}
    changes = {key: value for key, value in changes.items() if value is not None}
    assert len(found("PLM319", changes, base=without)) == faults


@pytest.mark.parametrize("section", [None, {}])
def test_a_missing_training_section_is_said(section):
    data = {key: value for key, value in ONE_POLICY.items() if key != "training"}
    config = ExperimentConfig.model_validate(data)
    (finding,) = RULES["PLM318"].check(Context(config, data | {"training": section}, None))
    assert "200 steps of 32 tasks on cuda" in finding.message


@pytest.mark.parametrize(
    ("method", "ratio", "faults"),
    [("uid", 0, 1), ("median", 0.0, 1), ("std", 0.1, 0), ("dapo", 0, 0), ("none", 0, 0)],
)
def test_a_filter_keeps_something(method, ratio, faults):
    trainer = "models.model_0.ppo_trainer_config"
    changes = {f"{trainer}.filter_method": method, f"{trainer}.filter_ratio": ratio}
    assert len(found("PLM320", changes)) == faults


class TestCheckpointFolder:
    def findings(self, folder, local=True):
        return found("PLM321", {"training.model_checkpoints_dir": str(folder)}, Facts(local=local))

    def test_only_an_absolute_folder_of_this_machine_is_looked_at(self, tmp_path):
        assert (
            self.findings("no/such")
            == self.findings("~nobody-here/x")
            == self.findings("/dev/null/x", False)
            == []
        )
        assert self.findings(tmp_path) == self.findings(tmp_path / "a/b") == []

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "file").write_text("")
        (message,) = self.findings(tmp_path / "file/below")
        assert message.endswith(f"{tmp_path / 'file'} is no folder")

    def test_a_folder_without_rights(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        (message,) = self.findings(tmp_path)
        assert message.endswith(f": {tmp_path} is not writable")
        (message,) = self.findings(tmp_path / "a/b")
        assert message.endswith(f": it does not exist, and {tmp_path} is not writable")

    def test_nothing_is_written(self, tmp_path):
        self.findings(tmp_path / "a")
        assert list(tmp_path.iterdir()) == []


def test_free_space_is_that_of_the_checkpoint_folder(tmp_path):
    folder = {"training.model_checkpoints_dir": str(tmp_path)}
    assert len(found("PLM316", {}, Facts(disk_free=0, local=True))) == 1
    assert found("PLM316", folder, Facts(disk_free=0, local=True)) == []
    assert len(found("PLM316", folder, Facts(disk_free=0))) == 1


@pytest.mark.parametrize(
    ("steps", "every", "keep", "count"),
    [(100, None, 2, 1), (100, 10, 2, 3), (100, 50, 5, 2), (100, 30, 9, 4)],
)
def test_checkpoints_are_counted_at_their_most(steps, every, keep, count):
    changes = {
        "training.total_training_steps": steps,
        "training.save_freq": every,
        "training.keep_checkpoints": keep,
    }
    (message,) = found("PLM316", changes, Facts(disk_free=0))
    assert message.startswith(f"{count} checkpoint{'s' * (count > 1)} of 55.9 MiB each need ")


MOUNTED = ("models", "model_0", "ppo_trainer_config")


def test_a_model_without_a_fragment_is_named_with_what_it_lacks():
    two = TWO | {"models.model_1.name": "other", f"{OURS}.actor.optim.lr": 5e-6}
    (finding,) = RULES["PLM216"].check(context(two, packages=[MOUNTED]))
    assert finding.path == ("models", "model_1") and finding.at_key
    assert finding.message.endswith(": actor_rollout_ref.actor.optim.lr and 1 more keys")
    assert found("PLM216", two) == []
    assert found("PLM216", two, packages=[MOUNTED, ("models", "model_1", "ppo_trainer_config")]) == []
    assert found("PLM216", two, packages=[MOUNTED, ("models", "model_1")]) == []
    assert found("PLM216", two, packages=[("env",)]) == []


def test_a_model_that_sets_all_the_fragment_sets_needs_none():
    same = copy.deepcopy(ONE_POLICY["models"]["model_0"]["ppo_trainer_config"])
    two = TWO | {"models.model_1.name": "other", "models.model_1.ppo_trainer_config": same}
    assert found("PLM216", two, packages=[MOUNTED]) == []


def test_a_fragment_at_a_model_that_is_nowhere_is_what_is_wrong():
    alone = {"models.model_1.ppo_trainer_config": {}}
    place = ("models", "model_1", "ppo_trainer_config")
    (message,) = found("PLM208", alone, packages=[place])
    assert message == "models.model_1 belongs to no base model, and a file is mounted at it in `defaults`"
    assert found("PLM208", alone) == ["models.model_1 belongs to no base model"]


@pytest.mark.parametrize(
    ("env", "agent", "home"),
    [
        ("math_env", "verifier", None),
        ("math_env", "single_agent", None),
        ("math_env", "code_generator", "code_env"),
        ("code_env", "test_generator", None),
        ("code_env", "plan_agent", "stateful_env"),
        ("stateful_env", "plan_agent", None),
        ("stateful_env", "web_search_agent", "search_env"),
        ("search_env", "search_reasoning_agent", None),
        ("mixed_env", "code_generator", None),
        ("my_env", "code_generator", None),
        ("math_env", "my_agent", None),
    ],
)
def test_agents_play_in_their_own_environment(env, agent, home):
    changes = {"env.name": env, "agent_policy_configs.agent_configs.agent_0.agent": agent}
    changes["agent_policy_configs.agent_configs.agent_1.agent"] = "single_agent"
    expected = [f"the agent class {agent!r} is made for {home}, and env.name is {env!r}"] if home else []
    assert found("PLM505", changes) == expected


def test_pages_hold_the_texts_that_people_search_for():
    texts = {
        "PLM111": "KeyError: 'my_env' not in ENV_CLASS_MAPPING",
        "PLM112": "KeyError: 'my_agent' not in AGENT_CLASS_MAPPING",
        "PLM201": "omegaconf.errors.InterpolationKeyError: base_models.policy_0.path",
        "PLM204": "OSError: /path/to/model does not exist",
        "PLM205": "OSError: /path/to/model does not exist",
        "PLM315": "RuntimeError: CUDA out of memory",
    }
    assert [code for code, text in texts.items() if text not in " ".join(RULES[code].page.split())] == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"training.max_prompt_length": 9000}, "training.max_prompt_length"),
        ({"training.max_response_length": 9000}, "training.max_response_length"),
        (
            {"training.max_prompt_length": 9000, f"{OURS}.rollout.prompt_length": 9000},
            "training.max_prompt_length",
        ),
        ({f"{OURS}.rollout.response_length": 9000}, f"{OURS}.rollout.response_length"),
    ],
)
def test_a_length_is_reported_where_it_comes_from(changes, place):
    (finding,) = RULES["PLM305"].check(context(changes))
    assert ".".join(finding.path) == place


def test_a_rank_is_reported_where_it_comes_from():
    adapter = {f"{OURS}.rollout.lora_serving": "adapter"}
    (finding,) = RULES["PLM313"].check(context(adapter | {"lora_rank": 600, "training.lora_rank": 600}))
    assert finding.path == ("lora_rank",)
    (finding,) = RULES["PLM313"].check(context(adapter | {"lora_rank": 16, "training.lora_rank": 600}))
    assert finding.path == ("training", "lora_rank")


# What a rule looks at decides whether it is run again in another cell of a sweep: it must name all of it.

MODULES = (environment, graph, memory, references, resources, serving, training, undone)
FULL = Facts.assumed("gpus=2,gpu_memory=4GiB,disk=100MiB", over=Facts(local=True))
BASES = {
    "clean": {},
    "gpus": {**GPU, "base_models.policy_0.path": FOURTEEN, f"{OURS}.rollout.tensor_model_parallel_size": 2},
    "two policies": {
        **TWO,
        "models.model_1.name": "other",
        "models.model_1.ppo_trainer_config.actor_rollout_ref.rollout.max_num_seqs": 8,
        f"{OURS}.rollout.lora_serving": "adapter",
        f"{OURS}.rollout.max_lora_rank": 16,
        f"{OURS}.rollout.max_num_batched_tokens": 700,
        f"{OURS}.actor.ppo_mini_batch_size": 8,
        "training.save_freq": 1,
        "training.lora_rank": 16,
        "models.model_0.ppo_trainer_config.filter_method": "uid",
        "models.model_0.ppo_trainer_config.algorithm.adv_estimator": "gae",
    },
    "several engines": {
        **TWO,
        "base_models.policy_1.path": FOURTEEN,
        "models.model_1.path": "builtin:smollm2-135m-instruct",
        "models.model_1.ppo_trainer_config.trainer.n_gpus_per_node": 4,
        "training.device": "cuda",
        "resource.n_gpus_per_node": 4,
        f"{OURS}.rollout.tensor_model_parallel_size": 3,
        "training.train_batch_size": 31,
        "training.train_sample_num": 1,
        "multi_agent_interaction.turn_order": ["tool_generator"],
        "agent_policy_configs.agent_configs.agent_0.trained": False,
        "models.model_0.ppo_trainer_config.filter_method": "uid",
        "models.model_0.ppo_trainer_config.filter_ratio": 0,
    },
    "little memory": {
        **GPU,
        "base_models.policy_0.path": FOURTEEN,
        "env.dataset": "builtin:nothing",
        "env.benchmark": "builtin:nothing",
        "env.options": {"digits": -1},
        f"{OURS}.actor.ppo_max_token_len_per_gpu": 10**9,
        f"{OURS}.rollout.gpu_memory_utilization": 0.23,
        f"{OURS}.rollout.enable_chunked_prefill": False,
        f"{OURS}.rollout.max_num_batched_tokens": 700,
        f"{OURS}.rollout.temperature": 0.5,
        "training.max_prompt_length": 400,
        "training.sample_temperature": 0.7,
    },
    "much undone": {
        f"{OURS}.actor.use_kl_loss": True,
        f"{OURS}.actor.kl_loss_coef": 0.5,
        f"{OURS}.actor.shuffle": True,
        f"{OURS}.actor.ppo_mini_batch_size": 16,
        f"{OURS}.actor.ppo_micro_batch_size_per_gpu": 4,
        f"{OURS}.actor.loss_scale_factor": 64,
        f"{OURS}.actor.optim.min_lr_ratio": 0.5,
        f"{OURS}.actor.optim.lr_warmup_steps_ratio": 0.5,
        f"{OURS}.actor.optim.total_training_steps": 64,
        f"{OURS}.rollout.name": "hf",
        f"{OURS}.rollout.enforce_eager": True,
        f"{OURS}.rollout.free_cache_engine": False,
        "models.model_0.ppo_trainer_config.filter_ratio": 0.1,
        "models.model_0.ppo_trainer_config.algorithm.grouping": "trajectory",
        "models.model_0.ppo_trainer_config.algorithm.kl_ctrl.horizon": 5.0,
        "models.model_0.ppo_trainer_config.algorithm.rollout_is_threshold": 5.0,
        "models.model_0.ppo_trainer_config.algorithm.norm_adv_by_std_in_grpo": False,
        "launch.num_processes": 2,
    },
    "no rank": {**TWO, "base_models.policy_0.path": "other model", "agent_policy_configs.num_agents": 3},
}
NUMBERS = (1, 2, 3, 5, 16, 64, 600, 100_000)
WORDS = (
    "other",
    "shared_model",
    "code_env",
    "plan_agent",
    "builtin:arithmetic",
    "/dev/null/x",
    "a/b",
    FOURTEEN,
)


def other_values(path):
    annotation = annotation_at(path)
    for option in alternatives(annotation):
        if typing.get_origin(option) is typing.Literal:
            yield from typing.get_args(option)
        elif option is bool:
            yield from (True, False)
        elif option in (int, float):
            yield from (*map(option, NUMBERS), *((0.0, 0.1) if option is float else (0,)))
        elif option is str:
            yield from WORDS
        elif typing.get_origin(option) is list and typing.get_args(option) == (str,):
            yield from ([], ["tool_generator"], ["q_proj"], ["nobody"])


def answers(one):
    return {
        code: {(finding.path, finding.message) for finding in rule.check(one)}
        for code, rule in RULES.items()
        if rule.check is not None and rule.check.__module__ in {module.__name__ for module in MODULES}
    }


def machine_context(name, changes=()):
    base = {key: value for key, value in ONE_POLICY.items() if name != "no rank" or key != "lora_rank"}
    return context({**BASES[name], **dict(changes)}, FULL, [MOUNTED], base)


@pytest.mark.parametrize("name", BASES)
def test_a_rule_reads_every_key_that_changes_its_answer(name):
    base = machine_context(name)
    before = answers(base)
    undeclared = set()
    for path in all_keys(base.data):
        annotation = annotation_at(path)
        if any(is_section(option) for option in alternatives(annotation)) or path[0] == "sweep":
            continue
        for value in other_values(path):
            if value == get(base.data, path):
                continue
            try:
                one = machine_context(name, {".".join(path): value})
            except ValueError:
                continue
            for code, now in answers(one).items():
                if now != before[code] and not any(overlap(path, read) for read in RULES[code].reads):
                    undeclared.add((code, ".".join(path)))
    assert undeclared == set()
