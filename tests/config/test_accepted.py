from pathlib import Path

import pytest

from pettingllms.compose.references import resolve_references
from pettingllms.compose.referred import absolute
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.accepted import accept
from pettingllms.config.edits import edited
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import all_keys, alternatives, annotation_at, is_section
from pettingllms.config.key_meanings import (
    BelongsTo,
    Honoured,
    OldName,
    OldWord,
    SectionBelongsTo,
    Unset,
    same,
)
from pettingllms.config.key_rows import reading_depends_on
from pettingllms.config.original_keys import KEYS
from pettingllms.config.trial_file import read_trial, trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.documents.read import read_document
from pettingllms.documents.source import Change
from pettingllms.lint.engine import check_experiment

CASES = Path(__file__).parents[1] / "cases"
ONE_POLICY = CASES / "shared" / "one_policy.toml"
AGENTS = ("agent_policy_configs", "agent_configs")
PPO = ("models", "model_0", "ppo_trainer_config")
OURS = (*PPO, "actor_rollout_ref")
ROLLOUT_MODE = ("training", "rollout_mode")


def path_of(dotted):
    return tuple(dotted.split("."))


def data(changes=(), without=()):
    """The clean experiment with dotted paths set, and others left out."""
    put = {path_of(path): value for path, value in dict(changes).items()}
    return edited(read_document(ONE_POLICY).data, [path_of(path) for path in without], put)


def typed(changes=(), environment=None, without=()):
    return type_cell(resolve_references(data(changes, without), environment or {}))


def found(changes, environment=None):
    return [(finding.code, finding.path) for finding in typed(changes, environment).findings]


def one_finding(changes):
    (finding,) = typed(changes).findings
    return finding


# The tables.


def rows(table, path=()):
    for key, row in table.items():
        at = (*path, {"models": "model_0", "agent_configs": "agent_0"}.get(path[-1] if path else "", key))
        if isinstance(row, dict):
            yield from rows(row, at)
        elif key != "*":
            yield at, row


ROWS = list(rows(KEYS))


def test_no_row_hides_a_key_that_the_schema_has():
    of_the_schema = (OldWord, Unset, Honoured)
    wrong = [
        path for path, row in ROWS if (annotation_at(path) is not None) != isinstance(row, of_the_schema)
    ]
    assert wrong == []


def test_every_place_that_a_row_names_is_one_of_the_schema():
    named = [
        tuple("agent_0" if key == "*" else key for key in absolute(row.to, path))
        for path, row in ROWS
        if isinstance(row, (BelongsTo, OldName, SectionBelongsTo))
    ]
    assert [path for path in named if annotation_at(path) is None] == []
    assert len(named) > 15


def test_words_of_a_row_are_words_of_the_schema():
    for path, row in ROWS:
        new = absolute(row.to, path) if isinstance(row, OldName) else path
        for word in row.words.values() if isinstance(row, (OldName, OldWord)) else ():
            config = typed({".".join(new): word}).config
            section = config
            for key in new:
                section = getattr(section, key)
            assert section == word


def test_whole_numbers_are_those_with_a_fraction_and_booleans_are_no_numbers():
    assert same(1, (1.0,)) and same(False, (False,))
    assert not same(True, (1,)) and not same(0, (False,)) and not same("1", (1,))


# Keys without effect.


def test_a_tree_of_the_schema_is_left_as_it_is():
    tree = data()
    assert accept(tree).data is tree
    assert typed().findings == []


ACTOR_KEYS = "strategy, checkpoint, optim.optimizer_impl"
ACTOR_REASONS = (
    "strategy, optim.optimizer_impl: memory and speed, not results, depend on it; "
    "checkpoint: a checkpoint holds everything that a run needs"
)


CRITIC_ENABLE = 'enable: there is a critic where algorithm.adv_estimator = "gae"'


def test_keys_without_effect_are_told_of_once_for_each_section():
    changes = {
        ".".join((*OURS, "actor", "strategy")): "fsdp",
        ".".join((*OURS, "actor", "checkpoint")): {"contents": ["model", "extra"], "more": {"a": 1, "b": 2}},
        ".".join((*OURS, "actor", "optim")): {"lr": 1e-5, "optimizer_impl": "torch.optim"},
        ".".join((*OURS, "ref")): {"strategy": "fsdp", "fsdp_config": {"param_offload": False}},
        ".".join((*PPO, "critic")): {"enable": False, "strategy": "fsdp", "optim": {"lr": 1e-4}},
        "training.num_workers": 180,
        "mode": "validate",
        "sample_mode": "tree",
    }
    cell = typed(changes)
    messages = {finding.path: (finding.message, finding.help) for finding in cell.findings}
    below = "models.model_0.ppo_trainer_config"
    assert messages == {
        (*OURS, "actor", "strategy"): (
            f"[{below}.actor_rollout_ref.actor]: 5 keys have no effect here: {ACTOR_KEYS}",
            ACTOR_REASONS,
        ),
        (*OURS, "ref", "strategy"): (
            f"[{below}.actor_rollout_ref.ref]: 2 keys have no effect here: strategy, fsdp_config",
            "memory and speed, not results, depend on how the reference policy is computed",
        ),
        (*PPO, "critic", "enable"): (
            f"[{below}.critic]: 2 keys have no effect here: enable, strategy",
            f"{CRITIC_ENABLE}; strategy: memory and speed, not results, depend on it",
        ),
        ("training", "num_workers"): (
            "training.num_workers has no effect here",
            "programs and replies have limits of their own",
        ),
        ("mode",): (
            "the root: 2 keys have no effect here: mode, sample_mode",
            "the original code does not read it either",
        ),
    }
    assert {finding.code for finding in cell.findings} == {"PLM901"}
    assert cell.config.models["model_0"].ppo_trainer_config.actor_rollout_ref.actor.optim.lr == 1e-5
    assert cell.data["training"] == data()["training"]
    assert get(cell.data, (*PPO, "critic")) == {"optim": {"lr": 1e-4}}


@pytest.mark.parametrize("section", ["reward_model", "ray_kwargs", "global_profiler"])
@pytest.mark.parametrize("value", [None, {}, {"anything": {"at": ["all"]}}])
def test_sections_of_verl_go_as_a_whole(section, value):
    assert {code for code, _ in found({".".join((*PPO, section)): value})} == {"PLM901"}


def test_hydra_and_its_targets_are_no_unknown_keys():
    changes = {"hydra": {"run": {"dir": "x"}}, ".".join((*OURS, "rollout", "_target_")): "verl.X"}
    assert {code for code, _ in found(changes)} == {"PLM901"}


def test_a_misspelt_key_beside_keys_of_verl_is_unknown():
    path = (*OURS, "actor", "ppo_micro_batch_sice")
    assert ("PLM003", path) in found({".".join(path): 4, ".".join((*OURS, "actor", "strategy")): "fsdp"})


ASKED = [
    ("actor.policy_loss.loss_mode", "gspo", "vanilla"),
    ("actor.tis_imp_ratio_cap", 2.0, -1),
    ("actor.tis_imp_ratio_cap", 2.0, 0.0),
    ("actor.use_dynamic_mini_batch", True, False),
    ("actor.optim.optimizer", "SGD", "AdamW"),
    ("actor.optim.override_optimizer_config", {"eps": 1e-6}, None),
    ("ref.model", {"path": "org/other"}, None),
    ("rollout.repetition_penalty", 1.1, 1.0),
    ("rollout.do_sample", False, True),
    ("rollout.ignore_eos", True, False),
    ("rollout.multi_turn.enable", True, False),
    ("rollout.engine_kwargs.vllm.enforce_eager", True, None),
    ("rollout.data_parallel_size", 2, 1),
    ("model.override_config", {"attn_implementation": "eager"}, {}),
    ("..algorithm.use_pf_ppo", True, False),
    ("..algorithm.clip_advantages", True, False),
    ("..algorithm.filter_groups.enable", True, False),
    ("..algorithm.rollout_is_veto_threshold", 1e-4, None),
    ("..algorithm.rollout_correction.rollout_rs", "token", None),
    ("..algorithm.rollout_correction.bypass_mode", True, False),
    ("..critic.optim.optimizer", "SGD", "AdamW"),
    ("..critic.model.override_config", {"attn_implementation": "eager"}, {}),
    ("..reward_model.enable", True, None),
    ("..reward_model.overlong_buffer.enable", True, False),
    ("..reward_model.reward_kwargs.overlong_buffer_cfg.enable", True, False),
    ("..custom_reward_function.path", "mine.py", None),
    ("..trainer.rejection_sample", True, False),
    ("..trainer.resume_mode", "resume_path", "auto"),
]


def below_trainer(key):
    inner, outer = ".".join(OURS), ".".join(PPO)
    return f"{outer}.{key[2:]}" if key.startswith("..") else f"{inner}.{key}"


@pytest.mark.parametrize(("key", "asks", "inert"), ASKED)
def test_a_value_that_would_change_results_is_refused_and_an_inert_one_is_not(key, asks, inert):
    path = below_trainer(key)
    refused = one_finding({path: asks})
    assert (refused.code, refused.path) == ("PLM007", path_of(path))
    assert refused.message.startswith(f"{path} = ")
    assert refused.message.endswith("is not available in this version")
    accepted = one_finding({path: inert})
    assert accepted.code == "PLM901"


@pytest.mark.parametrize(
    ("key", "asks", "instead"),
    [
        ("actor.tis_imp_ratio_cap", 2.0, "algorithm.rollout_is with rollout_is_threshold"),
        ("actor.use_dynamic_mini_batch", True, "ppo_mini_batch_size"),
        ("..algorithm.filter_groups.enable", True, 'filter_method = "dapo"'),
        ("..algorithm.rollout_correction.rollout_rs", "token", 'algorithm.rollout_is_mode = "mask"'),
        ("..reward_model.overlong_buffer.enable", True, "algorithm.overlong_penalty"),
        ("..reward_model.reward_kwargs.overlong_buffer_cfg.enable", True, "algorithm.overlong_penalty"),
        ("..trainer.rejection_sample", True, 'filter_method = "dapo"'),
    ],
)
def test_what_is_refused_names_what_does_the_same_here(key, asks, instead):
    assert instead in one_finding({below_trainer(key): asks}).help


TAKEN = [
    ("model.enable_gradient_checkpointing", True),
    ("model.lora_adapter_path", "/an/adapter"),
    ("actor.use_kl_loss", True),
    ("actor.kl_loss_coef", 0.01),
    ("actor.kl_loss_type", "mse"),
    ("actor.entropy_coeff", 0.01),
    ("actor.loss_agg_mode", "seq-mean-token-sum"),
    ("actor.loss_scale_factor", 512),
    ("actor.loss_scale_factor", None),
    ("actor.ppo_epochs", 2),
    ("actor.ppo_mini_batch_size", 16),
    ("actor.ppo_micro_batch_size_per_gpu", 4),
    ("actor.ppo_micro_batch_size_per_gpu", None),
    ("actor.use_dynamic_bsz", False),
    ("actor.shuffle", True),
    ("actor.clip_ratio_c", 10.0),
    ("actor.grad_norm_threshold", 1e4),
    ("actor.optim.lr_warmup_steps", 10),
    ("actor.optim.lr_warmup_steps", -1),
    ("actor.optim.lr_warmup_steps_ratio", 0.1),
    ("actor.optim.warmup_style", "cosine"),
    ("actor.optim.min_lr_ratio", 0.3),
    ("actor.optim.min_lr_ratio", None),
    ("actor.optim.num_cycles", 1.5),
    ("actor.optim.total_training_steps", -1),
    ("actor.optim.betas", [0.9, 0.95]),
    ("rollout.top_p", 0.9),
    ("rollout.top_k", 20),
    ("rollout.top_k", 0),
    ("rollout.min_p", 0.1),
    ("rollout.enforce_eager", True),
    ("rollout.free_cache_engine", False),
    ("..algorithm.norm_adv_by_std_in_grpo", False),
    ("..algorithm.use_kl_in_reward", True),
    ("..algorithm.kl_penalty", "low_var_kl"),
    ("..algorithm.kl_ctrl", {"type": "adaptive", "kl_coef": 0.01, "horizon": 5000, "target_kl": 0.2}),
    ("..algorithm.mask_truncated_samples", True),
    ("..algorithm.rollout_is", False),
    ("..algorithm.rollout_is_threshold", 5.0),
    ("..algorithm.rollout_is_threshold_lower", 0.5),
    ("..algorithm.rollout_is_threshold_lower", None),
    ("..algorithm.rollout_is_mode", "mask"),
    ("..algorithm.rollout_is_level", "sequence"),
    ("..algorithm.filter_groups.max_num_gen_batches", 10),
]


@pytest.mark.parametrize(("key", "value"), TAKEN)
def test_keys_of_verl_that_are_keys_of_the_schema_take_effect(key, value):
    path = path_of(below_trainer(key))
    cell = typed({".".join(path): value})
    assert cell.findings == [] and cell.config is not None
    section = cell.config
    for part in path:
        section = section[part] if isinstance(section, dict) else getattr(section, part)
    assert section == (type(section)(**value) if isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, row in ROWS if isinstance(row, Unset) for value in row.values],
    ids=str,
)
def test_what_verl_writes_for_a_key_that_is_not_set_leaves_the_default(path, value):
    cell = typed({".".join(path): value})
    assert [(finding.code, finding.path) for finding in cell.findings] == [("PLM901", path)]
    assert cell.config == typed().config


OF_THE_ORIGINAL = [
    ("workflow_type", "graph", "turn"),
    ("agent_framework", "autogen", None),
    ("training.enable_multimodal", True, False),
    ("training.reward_algorithm", "hop_weighted", "default"),
    (".".join((*AGENTS, "agent_0", "train_llm_config", "enable_thinking")), False, True),
    (".".join((*AGENTS, "agent_0", "enable_thinking")), False, True),
    (".".join((*AGENTS, "agent_0", "val_llm_config", "presence_penalty")), 0.5, 0),
]


@pytest.mark.parametrize(("key", "asks", "inert"), OF_THE_ORIGINAL)
def test_so_is_one_of_the_original(key, asks, inert):
    assert [code for code, _ in found({key: asks})] == ["PLM007"]
    assert [code for code, _ in found({key: inert})] == ["PLM901"]


def test_a_value_that_is_not_known_is_not_judged():
    path = (*PPO, "algorithm", "clip_advantages")
    cell = type_cell(resolve_references(data({".".join(path): "${no.such}"}), {}))
    assert {finding.code for finding in cell.findings} == {"PLM901"}


# Keys in the wrong place.


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("multi_modal", "env.multi_modal", False),
        ("project_name", "training.project_name", "p"),
        ("experiment_name", "training.experiment_name", "e"),
        ("logger", "training.logger", ["console"]),
        ("benchmark", "env.benchmark", "builtin:arithmetic"),
        ("training.checkpoint_dir", "training.model_checkpoints_dir", "c"),
        ("models.model_0.model_name", "models.model_0.name", "shared_model"),
        *(
            (
                f"agent_policy_configs.agent_configs.agent_1.{mode}_temperature",
                f"agent_policy_configs.agent_configs.agent_1.{mode}_llm_config.temperature",
                0.5,
            )
            for mode in ("train", "val")
        ),
    ],
)
def test_a_misplaced_key_has_no_effect_and_can_be_moved(old, new, value):
    finding = one_finding({old: value})
    assert (finding.code, finding.path) == ("PLM903", path_of(old))
    assert finding.message == f"{old} has no effect here: it belongs at {new}"
    assert finding.fix.changes == (Change("move", path_of(old), to=path_of(new)),)
    assert finding.fix.safe
    assert typed({old: value}).config == typed().config
    moved = typed({new: value})
    assert moved.findings == [] and moved.config is not None


def test_a_misplaced_key_is_not_moved_where_its_place_is_taken():
    finding = one_finding({"project_name": "a", "training.project_name": "b"})
    assert finding.message.endswith("it belongs at training.project_name, which is set too")
    assert finding.fix is None
    assert one_finding({"project_name": "a", "training.project_name": "a"}).code == "PLM901"


def test_a_fix_is_not_safe_where_another_key_refers_to_what_it_takes_away():
    finding = one_finding({"project_name": "a", "training.experiment_name": "${project_name}"})
    assert finding.fix is not None and not finding.fix.safe


def test_actor_of_the_trainer_belongs_below_actor_rollout_ref():
    known = {"optim": {"lr": 1e-4}, "clip_ratio": 0.3, "ppo_micro_batch_size": None}
    finding = one_finding({".".join((*PPO, "actor")): known, ".".join((*OURS, "actor", "clip_ratio")): 0.1})
    assert (finding.code, finding.path) == ("PLM903", (*PPO, "actor"))
    assert finding.help == "optim.lr, clip_ratio would have an effect there"
    lr = ("optim", "lr")
    assert finding.fix.changes == (Change("move", (*PPO, "actor", *lr), to=(*OURS, "actor", *lr)),)
    unknown = one_finding({".".join((*PPO, "actor")): {"ppo_micro_batch_size": 4}})
    assert (unknown.help, unknown.fix) == ("none of them would have an effect there", None)


def test_the_group_size_of_verl_belongs_in_training():
    path = ".".join((*OURS, "rollout", "n"))
    finding = one_finding({path: 5})
    assert (
        finding.message
        == f"{path} has no effect here: it belongs at training.train_sample_num, which is set too"
    )
    assert finding.fix is None
    assert one_finding({path: 1}).code == "PLM901"
    assert one_finding({path: 8}).code == "PLM901"


def test_gpu_counts_below_actor_rollout_ref_are_honoured():
    path = (*OURS, "trainer")
    finding = one_finding({".".join(path): {"n_gpus_per_node": 0, "n_training_gpus_per_node": 0}})
    assert (finding.code, finding.path, finding.fix) == ("PLM902", path, None)
    config = typed({".".join(path): {"n_gpus_per_node": 3}}).config
    assert config.models["model_0"].ppo_trainer_config.actor_rollout_ref.trainer.n_gpus_per_node == 3


# Old spellings.


@pytest.mark.parametrize(
    ("old", "value", "new", "read"),
    [
        ("rollout_mode", "tree", "training.rollout_mode", "tree"),
        ("rollout_mode", "no_tree", "training.rollout_mode", "independent"),
        ("no_tree", True, "training.rollout_mode", "independent"),
        ("no_tree", False, "training.rollout_mode", "tree"),
        ("if_greedy", False, "training.if_greedy", False),
        ("env.map_size", 6, "env.options.map_size", 6),
    ],
)
def test_an_old_name_takes_effect_under_the_new_one(old, value, new, read):
    cell = typed({old: value})
    finding = next(finding for finding in cell.findings if finding.code == "PLM904")
    assert finding.path == path_of(old)
    assert get(cell.data, path_of(new)) == read and get(cell.data, path_of(old)) is MISSING
    assert cell.stored == cell.data
    assert cell.moved == {path_of(new): path_of(old)}
    assert finding.fix is not None and finding.fix.safe
    assert cell.config == typed({new: read}).config
    if value == read:
        assert finding.message == f"{old} is read as {new}"
        assert finding.fix.changes == (Change("move", path_of(old), to=path_of(new)),)
    else:
        assert finding.message == f'{old} is read as {new} = "{read}"'
        assert finding.fix.changes == (
            Change("move", path_of(old), to=path_of(new)),
            Change("set", path_of(new), read),
        )


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("specialization", "model", "full"),
        ("training.rollout_mode", "no_tree", "independent"),
        ("training.save_freq", -1, None),
        ("training.save_freq", 0, None),
    ],
)
def test_an_old_word_is_read_as_the_new_one(path, value, read):
    cell = typed({path: value})
    finding = next(finding for finding in cell.findings if finding.code == "PLM904")
    assert finding.path == path_of(path)
    assert get(cell.data, path_of(path)) == get(cell.stored, path_of(path)) == read
    assert cell.config == typed({path: read}).config


STYLE = ".".join((*OURS, "actor", "optim", "warmup_style"))
SCHEDULER = ".".join((*OURS, "actor", "optim", "lr_scheduler_type"))


def test_the_newer_name_of_the_schedule_is_read_as_the_older_one():
    cell = typed({SCHEDULER: "cosine"})
    (finding,) = cell.findings
    assert (finding.code, finding.path) == ("PLM904", path_of(SCHEDULER))
    assert finding.message == f"{SCHEDULER} is read as {STYLE}"
    assert finding.fix.changes == (Change("move", path_of(SCHEDULER), to=path_of(STYLE)),)
    assert cell.config == typed({STYLE: "cosine"}).config
    assert get(cell.stored, path_of(STYLE)) == "cosine"
    # As verl's own file has it since then.
    both = typed({STYLE: None, SCHEDULER: "cosine"})
    assert [(one.code, one.fix) for one in both.findings] == [("PLM904", None), ("PLM901", None)]
    assert both.config == cell.config and both.stored == cell.stored
    (finding,) = typed({STYLE: "constant", SCHEDULER: "cosine"}).findings
    assert finding.message.endswith(f'{STYLE} = "constant" wins')


MIXED = {"env.name": "mixed_env", "env.dataset": "builtin:parts"}


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("env.dataset_math", "env.options.parts.math.dataset", "polaris"),
        ("env.dataset_code", "env.options.parts.code.dataset", "code_contests"),
        ("env.benchmark_math", "env.options.parts.math.benchmark", "AIME24"),
        ("env.benchmark_code", "env.options.parts.code.benchmark", "code_contests"),
        ("env.math_ratio", "env.options.parts.math.ratio", 0.5),
        ("env.max_code_val", "env.options.parts.code.max_validation", 30),
    ],
)
def test_keys_of_a_mixture_are_those_of_its_parts_and_nothing_elsewhere(old, new, value):
    cell = typed({**MIXED, old: value})
    (finding,) = cell.findings
    assert (finding.code, finding.message) == ("PLM904", f"{old} is read as {new}")
    assert get(cell.data, path_of(new)) == value and get(cell.data, path_of(old)) is MISSING
    assert {finding.code for finding in typed({old: value}).findings} == {"PLM901"}


def test_keys_of_a_mixture_that_ask_for_something_else_are_refused():
    assert [one.code for one in typed({**MIXED, "env.apps_ratio": 0.0}).findings] == ["PLM901"]
    assert [one.code for one in typed({**MIXED, "env.apps_ratio": 0.5}).findings] == ["PLM007"]
    assert [one.code for one in typed({**MIXED, "env.task_type": "mixed"}).findings] == ["PLM901"]


def test_the_environment_of_aggregation_is_that_of_mathematics():
    cell = typed({"env.name": "math_aggretion_env"})
    assert [one.code for one in cell.findings] == ["PLM904"] and cell.config.env.name == "math_env"


@pytest.mark.parametrize("name", [SCHEDULER, "no_tree", "if_greedy", "env.map_size"])
def test_a_null_under_an_old_name_sets_nothing(name):
    cell = typed({name: None})
    assert [(finding.code, finding.path) for finding in cell.findings] == [("PLM901", path_of(name))]
    assert cell.config == typed().config


def test_a_faulty_value_under_an_old_name_is_a_fault_of_the_new_key():
    cell = typed({"if_greedy": "no", "rollout_mode": "tre"})
    faults = [finding.path for finding in cell.findings if finding.code in ("PLM005", "PLM006")]
    assert faults == [ROLLOUT_MODE, ("training", "if_greedy")]
    assert cell.moved == {ROLLOUT_MODE: ("rollout_mode",), ("training", "if_greedy"): ("if_greedy",)}


def test_the_old_word_for_full_weights_is_read_as_the_new_one():
    cell = typed({"specialization": "model"})
    assert [finding.code for finding in cell.findings] == ["PLM904"]
    assert cell.config.specialization == "full"


def test_the_new_name_wins_where_both_are_set():
    cell = typed({"rollout_mode": "no_tree", "training.rollout_mode": "tree"})
    (finding,) = cell.findings
    assert finding.message == 'rollout_mode = "no_tree" is not read: training.rollout_mode = "tree" wins'
    assert (finding.code, finding.fix) == ("PLM904", None)
    assert cell.config.training.rollout_mode == "tree"


def test_both_names_may_say_the_same():
    finding = one_finding({"if_greedy": False, "training.if_greedy": False})
    assert finding.message == "if_greedy says what training.if_greedy says"
    assert finding.fix.changes == (Change("remove", ("if_greedy",)),)


def test_two_old_names_of_one_key():
    cell = typed({"rollout_mode": "no_tree", "no_tree": True})
    assert [f.message for f in cell.findings if f.code == "PLM904"] == [
        'rollout_mode is read as training.rollout_mode = "independent"',
        "no_tree says what training.rollout_mode says",
    ]


def test_an_old_name_whose_reference_is_broken_is_reported_once():
    cell = type_cell(resolve_references(data({"rollout_mode": "${no.such}"}), {}))
    assert {finding.code for finding in cell.findings} == {"PLM904"}
    assert cell.config is not None and ROLLOUT_MODE in cell.dropped


def test_an_old_name_has_no_effect_where_its_section_is_no_table():
    cell = typed({"training": 3, "if_greedy": False})
    assert {finding.code for finding in cell.findings} == {"PLM005", "PLM901"}


def test_untrained_agents_are_frozen_one_by_one():
    listed = ("multi_agent_interaction", "agent_untrained")
    cell = typed({".".join(listed): ["tool_generator", "nobody"]})
    (finding,) = cell.findings
    trained = (*AGENTS, "agent_0", "trained")
    assert (
        finding.message
        == "multi_agent_interaction.agent_untrained is read as trained = false of these agents"
    )
    assert finding.help == 'no agent has the name "nobody"'
    assert finding.fix.changes == (Change("set", trained, value=False), Change("remove", listed))
    assert cell.moved == {trained: listed}
    assert get(cell.stored, trained) is False and get(cell.stored, listed) is MISSING
    agents = cell.config.agent_policy_configs.agent_configs
    assert [agent.trained for agent in agents.values()] == [False, True]


def test_what_an_agent_says_itself_wins_over_the_list():
    listed = "multi_agent_interaction.agent_untrained"
    finding = one_finding({listed: "tool_generator", ".".join((*AGENTS, "agent_0", "trained")): True})
    assert finding.message.endswith("; but trained = true of tool_generator wins")
    assert finding.fix is None
    assert "PLM003" in {code for code, _ in found({listed: 3})}


def test_a_file_with_such_keys_may_run(tmp_path):
    file = tmp_path / "e.toml"
    file.write_text(trial_toml(data({"if_greedy": False, "mode": "x", "training.num_workers": 4})))
    report = check_experiment(file)
    assert {found.code for found in report.diagnostics} == {"PLM901", "PLM904"}
    assert not report.refused and report.exit_code() == 0
    assert report.experiment.config.training.if_greedy is False
    assert report.experiment.stored == data({"training.if_greedy": False})
    cell = typed({"if_greedy": False, "mode": "x", ".".join((*PPO, "critic")): {"enable": True}})
    assert cell.idle == {("mode",), (*PPO, "critic", "enable")}


# Ranks of zero.

RANK = ".".join((*OURS, "model", "lora_rank"))
ALPHA = ".".join((*OURS, "model", "lora_alpha"))


@pytest.mark.parametrize("kind", ["prompt", "full", "model"])
def test_a_rank_of_zero_says_what_is_so_where_there_are_no_adapters(kind):
    changes = {"specialization": kind, "lora_rank": 0, "training.lora_rank": 0, "training.lora_alpha": 0}
    cell = typed({**changes, RANK: 0, ALPHA: 16})
    assert not {"PLM005", "PLM006"} & {finding.code for finding in cell.findings}
    assert cell.config is not None
    assert get(cell.stored, ("training", "lora_rank")) is MISSING


def test_a_rank_of_zero_is_a_fault_under_lora():
    for path in ("lora_rank", "training.lora_rank"):
        assert found({path: 0}) == [("PLM006", path_of(path))]


def test_a_trainer_file_that_sets_no_adapter_leaves_rank_and_alpha_to_the_run():
    cell = typed({RANK: 0, ALPHA: 64})
    (finding,) = cell.findings
    assert (finding.code, finding.path) == ("PLM901", path_of(RANK))
    assert finding.help == "lora_rank = 0 sets no adapter here"
    weights = cell.config.models["model_0"].ppo_trainer_config.actor_rollout_ref.model
    assert (weights.lora_rank, weights.lora_alpha) == (None, None)
    kept = typed({RANK: 8, ALPHA: 64}).config.models["model_0"].ppo_trainer_config.actor_rollout_ref.model
    assert (kept.lora_rank, kept.lora_alpha) == (8, 64)


# What is written to files.

VARIABLES = {"LENGTH": "320", "MODE": "no_tree", "NAME": "from-outside"}
THROUGH_DEAD_KEYS = {
    "data": {"length": "${oc.decode:${oc.env:LENGTH}}", "copy": "${data.length}", "half": 2, "name": "x"},
    "trainer": {"name": "${oc.env:NAME}-${data.name}"},
    "training.max_prompt_length": "${data.copy}",
    "training.max_response_length": "${div:${data.length},${data.half}}",
    "training.experiment_name": "run-${trainer.name}",
    "training.project_name": "${trainer.name}",
}


def test_a_trial_file_needs_no_key_that_is_not_of_the_schema(tmp_path, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    cell = type_cell(resolve_references(data(THROUGH_DEAD_KEYS), VARIABLES))
    assert "data" not in cell.stored and "trainer" not in cell.stored
    text = trial_toml(cell.stored)
    assert "from-outside" not in text and "320" not in text
    file = tmp_path / "trial.toml"
    file.write_text(text)
    assert read_trial(file) == cell.config
    assert cell.config.training.max_prompt_length == 320
    assert cell.config.training.experiment_name == "run-from-outside-x"
    assert get(cell.stored, ("training", "max_prompt_length")) == "${oc.decode:${oc.env:LENGTH}}"


def test_marks_of_the_environment_follow_a_move(tmp_path, monkeypatch):
    monkeypatch.setenv("SIZE", "6")
    changes = {
        "env.map_size": "${oc.decode:${oc.env:SIZE,${.name}}}",
        "env.options": {"digits": 2},
        "if_greedy": "${oc.decode:${oc.env:GREEDY,true}}",
        "training.experiment_name": "size-${env.map_size}",
    }
    cell = type_cell(resolve_references(data(changes)))
    assert get(cell.stored, ("env", "options", "map_size")) == "${oc.decode:${oc.env:SIZE,${env.name}}}"
    assert get(cell.stored, ("training", "experiment_name")) == "size-${env.options.map_size}"
    assert get(cell.stored, ("training", "if_greedy")) == "${oc.decode:${oc.env:GREEDY,true}}"
    file = tmp_path / "trial.toml"
    file.write_text(trial_toml(cell.stored))
    assert read_trial(file) == cell.config
    assert cell.config.env.options == {"digits": 2, "map_size": 6}


def test_a_value_of_the_environment_is_never_written_for_a_key_that_is_gone():
    changes = {
        "outside": {"name": "${oc.env:NAME}"},
        "data": "${outside}",
        "training.experiment_name": "${data.name}",
    }
    cell = type_cell(resolve_references(data(changes), VARIABLES))
    assert "from-outside" not in str(cell.stored)


# What is missing.


def required(annotation=ExperimentConfig, path=(), tree=None):
    """Every path of the clean experiment that the schema asks for."""
    tree = data() if tree is None else tree
    for option in alternatives(annotation):
        if is_section(option) and isinstance(tree, dict):
            for key, field in option.model_fields.items():
                if field.is_required():
                    yield (*path, key)
                if key in tree:
                    yield from required(field.annotation, (*path, key), tree[key])
        elif isinstance(tree, dict):
            for key, value in tree.items():
                yield from required(annotation_at((*path, key)), (*path, key), value)


REQUIRED = list(required())


def test_the_schema_asks_for_some_keys():
    assert ("env",) in REQUIRED and (*AGENTS, "agent_0", "name") in REQUIRED and len(REQUIRED) > 12


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_what_is_missing_is_the_only_fault_and_the_rest_is_typed(path):
    cell = typed(without=[".".join(path)])
    assert [(finding.code, finding.path) for finding in cell.findings] == [("PLM004", path)]
    assert cell.config is not None and cell.dropped == {path}
    assert get(cell.data, path) is MISSING and get(cell.stored, path) is MISSING


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_a_value_of_a_wrong_type_is_the_only_fault(path):
    cell = typed({".".join(path): 1.5})
    assert [(finding.code, finding.path) for finding in cell.findings] == [("PLM005", path)]
    assert cell.config is not None


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_no_rule_speaks_of_what_stands_for_a_missing_value(path, tmp_path):
    file = tmp_path / "e.toml"
    file.write_text(trial_toml(edited(data(), [path], {})))
    report = check_experiment(file)
    assert {(found.code, found.path) for found in report.diagnostics} == {("PLM004", ".".join(path))}


def test_everything_may_be_missing():
    cell = type_cell(resolve_references({"training": {"seed": 1}}))
    assert {finding.path for finding in cell.findings} == {path for path in REQUIRED if len(path) == 1}
    assert cell.config is not None and cell.config.training.seed == 1
    wrong = typed(
        {"env": 3, "base_models": [], "training.seed": "x", "nope": 1, "multi_agent_interaction.nope": 1}
    )
    assert len(wrong.findings) == 5 and wrong.config is not None


# What findings depend on.


def test_findings_say_on_which_other_keys_they_depend():
    cap, strategy = (*OURS, "actor", "tis_imp_ratio_cap"), (*OURS, "actor", "strategy")
    untrained = ("multi_agent_interaction", "agent_untrained")
    tree = data(
        {
            "rollout_mode": "${oc.env:MODE}",
            "project_name": "x",
            ".".join(untrained): [],
            ".".join(strategy): "fsdp",
            ".".join(cap): 0,
            ".".join((*OURS, "rollout", "load_format")): "auto",
            ".".join((*OURS, "rollout", "n")): "${training.train_sample_num}",
            RANK: 0,
        }
    )
    depends = reading_depends_on(tree, {cap})
    assert depends[("rollout_mode",)] == {ROLLOUT_MODE}
    assert depends[ROLLOUT_MODE] == {("rollout_mode",)}
    assert depends[("project_name",)] == {("training", "project_name")}
    assert depends[untrained] == {AGENTS}
    assert depends[(*AGENTS, "agent_0", "trained")] == {untrained}
    assert depends[strategy] == {cap}
    assert depends[(*OURS, "rollout", "load_format")] == {(*OURS, "rollout", "n")}
    assert depends[("lora_rank",)] == {("specialization",)}
    assert strategy not in reading_depends_on(tree, ())


def test_every_key_of_the_schema_types_as_before():
    assert all(annotation_at(path) is not None for path in all_keys(data()))
