"""Settings that others undo: each is told of where it has no effect, and not where it has one."""

import copy
import tomllib
from pathlib import Path

import pytest

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import ExperimentSchema
from pettingllms.lint.rule import RULES, Context
from pettingllms.lint.rules.undone import SETTINGS

ONE_POLICY = tomllib.loads(
    (Path(__file__).parents[1] / "cases/shared/one_policy.toml").read_text(encoding="utf-8")
)
TRAINER = "models.model_0.ppo_trainer_config"
ACTOR, ROLLOUT = f"{TRAINER}.actor_rollout_ref.actor", f"{TRAINER}.actor_rollout_ref.rollout"
MODEL, ALGORITHM = f"{TRAINER}.actor_rollout_ref.model", f"{TRAINER}.algorithm"
OPTIM, SCRIPTED = f"{ACTOR}.optim", f"{ROLLOUT}.engine_kwargs.scripted"
SCHEMA = ExperimentSchema()


def context(changes):
    data = copy.deepcopy(ONE_POLICY)
    for path, value in changes.items():
        section = data
        *above, last = path.split(".")
        for key in above:
            section = section.setdefault(key, {})
        section[last] = value
    return Context(ExperimentConfig.model_validate(data), data, None)


def found(code, changes):
    return [(".".join(map(str, one.path)), one.message) for one in RULES[code].check(context(changes))]


def without_effect(changes):
    return [message.split(" has no effect with ") for _, message in found("PLM906", changes)]


CUDA = {"training.device": "cuda", "resource.n_gpus_per_node": 1}
KL_REWARD = {f"{ALGORITHM}.use_kl_in_reward": True}
COSINE = {f"{OPTIM}.warmup_style": "cosine"}
BATCHES = {f"{ACTOR}.use_dynamic_bsz": False}
TREE, INDEPENDENT = {"training.rollout_mode": "tree"}, {"training.rollout_mode": "independent"}
GAE = {f"{ALGORITHM}.adv_estimator": "gae"}
OWN_CRITIC = {f"{TRAINER}.critic.model.path": "/a/model"}
CRITIC_OPTIM = f"{TRAINER}.critic.optim"
HF, FIXED = {f"{ROLLOUT}.name": "hf"}, {f"{ROLLOUT}.name": "scripted"}
PATH = "/an/adapter"

# A key, a value that is not its default, what undoes it and in which words, and what gives it an effect.
ROWS = [
    ("training.if_greedy", False, INDEPENDENT, 'rollout_mode = "independent"', TREE),
    (f"{TRAINER}.filter_ratio", 0.2, {}, 'filter_method = "none"', {f"{TRAINER}.filter_method": "std"}),
    (
        f"{TRAINER}.filter_ratio",
        0.2,
        {f"{TRAINER}.filter_method": "dapo"},
        'filter_method = "dapo"',
        {f"{TRAINER}.filter_method": "uid"},
    ),
    (
        f"{ALGORITHM}.filter_groups.max_num_gen_batches",
        5,
        {f"{TRAINER}.filter_method": "mean"},
        'filter_method = "mean"',
        {f"{TRAINER}.filter_method": "dapo"},
    ),
    (
        f"{ALGORITHM}.norm_adv_by_std_in_grpo",
        False,
        {f"{ALGORITHM}.adv_estimator": "dr_grpo"},
        'algorithm.adv_estimator = "dr_grpo"',
        {f"{ALGORITHM}.adv_estimator": "grpo"},
    ),
    *(
        (f"{TRAINER}.{key}", value, {}, 'algorithm.adv_estimator = "grpo"', GAE | leaving)
        for key, value, leaving in (
            ("algorithm.gamma", 0.9, {}),
            ("algorithm.lam", 0.9, {}),
            ("trainer.critic_warmup", 3, {}),
            ("critic.ppo_epochs", 2, {}),
            ("critic.ppo_mini_batch_size", 8, {}),
            ("critic.cliprange_value", 0.1, {}),
            ("critic.grad_clip", 0.1, {}),
            ("critic.loss_agg_mode", "seq-mean-token-sum", {}),
            ("critic.model.path", "/a/model", {}),
            ("critic.model.lora_rank", 8, OWN_CRITIC),
            ("critic.optim.lr", 1e-3, {}),
            ("critic.optim.weight_decay", 0.1, {}),
            ("critic.optim.betas", [0.9, 0.99], {}),
            ("critic.optim.lr_warmup_steps", 3, {}),
            ("critic.optim.warmup_style", "cosine", {}),
        )
    ),
    *(
        (f"{TRAINER}.critic.model.{key}", value, undoing, words, GAE | OWN_CRITIC | leaving)
        for undoing, words in (
            (GAE, "critic.model.path = null"),
            (GAE | OWN_CRITIC, "critic.model.lora_rank = 0"),
        )
        for leaving in ({f"{TRAINER}.critic.model.lora_rank": 8},)
        for key, value in (("lora_alpha", 32.0), ("target_modules", ["q_proj"]))
    ),
    *(
        (f"{CRITIC_OPTIM}.{key}", value, GAE | undoing, f"critic.optim.{words}", GAE | leaving)
        for key, value, undoing, words, leaving in (
            (
                "min_lr_ratio",
                0.1,
                {},
                'warmup_style = "constant"',
                {f"{CRITIC_OPTIM}.warmup_style": "cosine"},
            ),
            ("num_cycles", 1.5, {}, 'warmup_style = "constant"', {f"{CRITIC_OPTIM}.warmup_style": "cosine"}),
            ("lr_warmup_steps_ratio", 0.1, {f"{CRITIC_OPTIM}.lr_warmup_steps": 0}, "lr_warmup_steps = 0", {}),
            (
                "total_training_steps",
                50,
                {},
                'warmup_style = "constant"',
                {f"{CRITIC_OPTIM}.lr_warmup_steps_ratio": 0.1},
            ),
        )
    ),
    (f"{ALGORITHM}.kl_penalty", "k3", {}, "algorithm.use_kl_in_reward = false", KL_REWARD),
    (f"{ALGORITHM}.kl_ctrl.kl_coef", 0.1, {}, "algorithm.use_kl_in_reward = false", KL_REWARD),
    (
        f"{ALGORITHM}.kl_ctrl.horizon",
        5.0,
        KL_REWARD,
        'algorithm.kl_ctrl.type = "fixed"',
        KL_REWARD | {f"{ALGORITHM}.kl_ctrl.type": "adaptive"},
    ),
    *(
        (f"{ALGORITHM}.rollout_is_{key}", value, {f"{ALGORITHM}.rollout_is": False}, words, {})
        for words in ("algorithm.rollout_is = false",)
        for key, value in (("threshold", 5.0), ("level", "sequence"), ("mode", "mask"))
    ),
    *(
        (
            f"{ALGORITHM}.rollout_is_threshold_lower",
            0.1,
            undoing,
            words,
            {f"{ALGORITHM}.rollout_is_mode": "mask"},
        )
        for undoing, words in (
            ({}, 'algorithm.rollout_is_mode = "truncate"'),
            ({f"{ALGORITHM}.rollout_is": False}, "algorithm.rollout_is = false"),
        )
    ),
    *(
        (f"{ACTOR}.{key}", value, {}, "actor.use_kl_loss = false", {f"{ACTOR}.use_kl_loss": True})
        for key, value in (("kl_loss_coef", 0.1), ("kl_loss_type", "k1"), ("use_bias_correction_kl", True))
    ),
    (
        f"{ACTOR}.loss_scale_factor",
        64,
        {},
        'actor.loss_agg_mode = "token-mean"',
        {f"{ACTOR}.loss_agg_mode": "seq-mean-token-sum-norm"},
    ),
    (f"{ACTOR}.ppo_micro_batch_size_per_gpu", 4, {}, "actor.use_dynamic_bsz = true", BATCHES),
    (f"{ACTOR}.ppo_max_token_len_per_gpu", 1024, BATCHES, "actor.use_dynamic_bsz = false", {}),
    (
        f"{ACTOR}.shuffle",
        True,
        {f"{ACTOR}.ppo_mini_batch_size": 32},
        "mini-batches that hold the whole batch",
        {f"{ACTOR}.ppo_mini_batch_size": 31},
    ),
    (f"{OPTIM}.min_lr_ratio", 0.1, {}, 'actor.optim.warmup_style = "constant"', COSINE),
    (f"{OPTIM}.num_cycles", 1.5, {}, 'actor.optim.warmup_style = "constant"', COSINE),
    (
        f"{OPTIM}.lr_warmup_steps_ratio",
        0.1,
        {f"{OPTIM}.lr_warmup_steps": 0},
        "actor.optim.lr_warmup_steps = 0",
        {},
    ),
    (
        f"{OPTIM}.total_training_steps",
        50,
        {},
        'actor.optim.warmup_style = "constant"',
        {f"{OPTIM}.lr_warmup_steps_ratio": 0.1},
    ),
    (f"{OPTIM}.total_training_steps", 50, {}, 'actor.optim.warmup_style = "constant"', COSINE),
    *(
        (f"{MODEL}.{key}", value, {"specialization": "full"}, 'specialization = "full"', {})
        for key, value in (("target_modules", ["q_proj"]), ("lora_adapter_path", PATH))
    ),
    *(
        (f"{ROLLOUT}.{key}", value, engine, words, CUDA)
        for engine, words in ((CUDA | HF, 'rollout.name = "hf"'), (FIXED, 'rollout.name = "scripted"'))
        for key, value in (
            ("tensor_model_parallel_size", 2),
            ("max_num_batched_tokens", 4096),
            ("enable_chunked_prefill", False),
            ("max_lora_rank", 8),
            ("enforce_eager", False),
            ("gpu_memory_utilization", 0.9),
        )
    ),
    *(
        (f"{ROLLOUT}.{key}", value, FIXED, 'rollout.name = "scripted"', CUDA | HF)
        for key, value in (("dtype", "float32"), ("lora_serving", "merged"), ("free_cache_engine", False))
    ),
    *(
        (f"{ROLLOUT}.{key}", value, {}, 'training.device = "cpu"', CUDA)
        for key, value in (("gpu_memory_utilization", 0.9), ("free_cache_engine", False))
    ),
    (f"{SCRIPTED}.replies", ["7"], {}, 'rollout.name = "vllm"', FIXED),
]


@pytest.mark.parametrize(("key", "value", "undoing", "words", "leaving"), ROWS)
def test_a_setting_is_told_of_where_another_undoes_it_and_only_there(key, value, undoing, words, leaving):
    assert without_effect({key: value} | undoing) == [[key, words]]
    assert without_effect({key: value} | leaving) == []
    assert SCHEMA.default(tuple(key.split("."))) != value
    assert without_effect({key: SCHEMA.default(tuple(key.split(".")))} | undoing) == []


def test_every_row_of_the_table_is_tried():
    tried = {key.removeprefix(f"{TRAINER}.") for key, *_ in ROWS}
    listed = {".".join(filter(None, (row.at, key))) for row in SETTINGS for key in row.keys.split()}
    # `kl_ctrl.type` and `target_kl` stand in the rows of `kl_coef` and `horizon`.
    assert listed - tried == {"algorithm.kl_ctrl.type", "algorithm.kl_ctrl.target_kl"}


def test_a_setting_that_two_others_undo_is_told_of_once():
    assert without_effect({f"{ALGORITHM}.kl_ctrl.target_kl": 0.5}) == [
        [f"{ALGORITHM}.kl_ctrl.target_kl", "algorithm.use_kl_in_reward = false"]
    ]
    assert len(without_effect({f"{ROLLOUT}.gpu_memory_utilization": 0.9} | HF)) == 1


@pytest.mark.parametrize("engine", ["hf", "scripted"])
@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("PLM301", {f"{ROLLOUT}.tensor_model_parallel_size": 4}),
        ("PLM305", {f"{ROLLOUT}.max_model_len": 100_000}),
        (
            "PLM310",
            {
                "base_models.policy_0.path": str(Path(__file__).parents[1] / "cases/shared/fourteen_heads"),
                f"{ROLLOUT}.tensor_model_parallel_size": 4,
            },
        ),
        ("PLM313", {"lora_rank": 1000, f"{ROLLOUT}.lora_serving": "adapter"}),
        ("PLM313", {"lora_rank": 16, f"{ROLLOUT}.max_lora_rank": 8}),
        ("PLM314", {f"{ROLLOUT}.max_num_batched_tokens": 1}),
    ],
)
def test_limits_of_vllm_are_none_of_other_engines(engine, code, changes):
    assert len(found(code, changes)) == 1
    assert found(code, changes | {f"{ROLLOUT}.name": engine}) == []


CRITIC = f"{TRAINER}.critic.model.path"


@pytest.mark.parametrize(
    ("code", "path"), [("PLM204", "your model"), ("PLM205", "/no/such/folder"), ("PLM206", "builtin:nothing")]
)
def test_the_model_of_a_critic_is_looked_for_where_there_is_one(code, path):
    assert [where for where, _ in found(code, GAE | {CRITIC: path})] == [CRITIC]
    assert found(code, {CRITIC: path}) == []
    assert {
        f"models.*.ppo_trainer_config.{key}" for key in ("critic.model.path", "algorithm.adv_estimator")
    } <= {".".join(read) for read in RULES[code].reads}


TWO = {
    "base_models.policy_1": {"path": "builtin:smollm2-135m-instruct", "name": "other"},
    "agent_policy_configs.agent_configs.agent_1.policy_name": "other",
    "models.model_1": {"name": "other", "ppo_trainer_config": {"algorithm": {"grouping": "trajectory"}}},
}
OTHERS_TRAJECTORIES = "models.model_1.ppo_trainer_config.algorithm.grouping"


def test_trajectories_of_a_tree_are_refused_for_policies_that_are_trained():
    assert [path for path, _ in found("PLM324", TWO)] == [OTHERS_TRAJECTORIES]
    assert found("PLM324", TWO | INDEPENDENT) == []
    frozen = {"agent_policy_configs.agent_configs.agent_1.trained": False}
    assert found("PLM324", TWO | frozen) == []
    unused = {"agent_policy_configs.agent_configs.agent_1.policy_name": "shared_model"}
    assert found("PLM324", TWO | unused) == []
    assert found("PLM324", {f"{ALGORITHM}.grouping": "agent_turn"}) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"launch.num_processes": 8}, None),
        ({"launch.num_processes": 1} | CUDA, None),
        ({"launch.num_processes": 2} | CUDA, "2 processes need a GPU each, and the run has 1 GPU"),
        ({"launch.num_processes": 4} | CUDA | {"resource.n_gpus_per_node": 4}, None),
        (
            {"launch.num_processes": 9} | CUDA | {"resource.n_gpus_per_node": 4, "resource.nnodes": 2},
            "9 processes need a GPU each, and the run has 8 GPUs",
        ),
        # That there is no GPU at all is what PLM322 says.
        ({"launch.num_processes": 1} | CUDA | {"resource.n_gpus_per_node": 0}, None),
    ],
)
def test_each_process_needs_a_gpu(changes, message):
    expected = [("launch.num_processes", message)] if message else []
    assert found("PLM325", changes) == expected
