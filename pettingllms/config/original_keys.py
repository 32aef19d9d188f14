"""All keys that real experiment files hold and the schema does not: those of the original and of verl."""

from __future__ import annotations

from pettingllms.config.key_meanings import (
    BelongsTo,
    DoneOnlyAs,
    NoEffect,
    OldName,
    OldWord,
    Table,
    Untrained,
    each,
)
from pettingllms.config.verl_keys import NO_RAY, PPO_TRAINER, UNREAD, with_targets

TURNS = "agents act in the order of multi_agent_interaction.turn_order"
GRAPH = NoEffect("read by workflow_type = graph only")
EVOLVING = NoEffect("read by workflow_type = autoevol only")
MIXED = NoEffect("read by the environment mixed_env only")
IMAGES = NoEffect("there are no images")
EVALUATION = NoEffect("read by evaluations only")
SOURCE = NoEffect("it holds values for other keys to refer to, and nothing else")
DEAD = NoEffect("the original code does not read it either")
TEMPLATE = "the model's chat template decides; where it has no such switch, remove the key"
NOT_MANAGED = NoEffect("programs and replies have limits of their own")

ROLLOUT_MODES = {"no_tree": "independent"}

GAMES = {
    "plan_path": "builtin:plan_path",
    "sokoban": "builtin:sokoban",
    **dict.fromkeys(("sudoku", "suduku"), "builtin:sudoku"),
    **dict.fromkeys(("EightQueens", "eight_queens"), "builtin:n_queens"),
    **dict.fromkeys(("Blocksworld", "blocksworld"), "builtin:blocksworld"),
}
"""What `stateful_env` calls the games of the original."""

LLM: Table = {
    "enable_thinking": DoneOnlyAs((True,), TEMPLATE),
    **each("presence_penalty frequency_penalty", DoneOnlyAs((0,))),
    "best_of": DoneOnlyAs((1,)),
    "ignore_eos": DoneOnlyAs((False,)),
    "skip_special_tokens": DoneOnlyAs((True,)),
    "spaces_between_special_tokens": NoEffect("special tokens are left out"),
}

AGENT: Table = {
    "enable_thinking": DoneOnlyAs((True,), TEMPLATE),
    "enable_multimodal": DoneOnlyAs((False,)),
    "train_temperature": BelongsTo(".train_llm_config.temperature"),
    "val_temperature": BelongsTo(".val_llm_config.temperature"),
    "train_llm_config": LLM,
    "val_llm_config": LLM,
}

ENV: Table = {
    "map_size": OldName("env.options.map_size"),
    "image_save_dir": IMAGES,
    "name": OldWord({"math_aggretion_env": "math_env"}),
    **each("dataset_math dataset_code benchmark_math benchmark_code", MIXED),
    **each("math_ratio apps_ratio max_code_val task_type", MIXED),
}

MIXED_ENV: Table = {
    **{f"dataset_{part}": OldName(f"env.options.parts.{part}.dataset") for part in ("math", "code")},
    **{f"benchmark_{part}": OldName(f"env.options.parts.{part}.benchmark") for part in ("math", "code")},
    "math_ratio": OldName("env.options.parts.math.ratio"),
    "max_code_val": OldName("env.options.parts.code.max_validation"),
    "apps_ratio": DoneOnlyAs((0,), "APPS can be a part of its own in env.options.parts"),
    "task_type": DoneOnlyAs(("mixed",)),
}
"""What keys of `env` mean where `env.name` is `mixed_env`; in place of those in `ENV`."""

TRAINING: Table = {
    "rollout_mode": OldWord(ROLLOUT_MODES),
    "save_freq": OldWord({-1: None, 0: None}),
    "checkpoint_dir": BelongsTo("training.model_checkpoints_dir"),
    **each("num_workers step_timeout generate_timeout", NOT_MANAGED),
    "if_save": NoEffect("save_freq says when checkpoints are written"),
    **each("val_batch_size total_epochs", DEAD),
    "enable_multimodal": DoneOnlyAs((False,)),
    **each("max_image_steps image_save_dir", IMAGES),
    "reward_algorithm": DoneOnlyAs(("default",)),
    **each("max_hops reward_discount_factor reward_threshold", NoEffect("read by reward_algorithm only")),
    **each("design_sample_num execute_sample_num executor_group_mode train_data_mode", EVOLVING),
    **each("designer_lr executor_lr lr_alternate_steps phase_alternate_steps first_phase_trains", EVOLVING),
}

KEYS: Table = {
    "specialization": OldWord({"model": "full"}),
    "rollout_mode": OldName("training.rollout_mode", ROLLOUT_MODES),
    "no_tree": OldName("training.rollout_mode", {True: "independent", False: "tree"}),
    "if_greedy": OldName("training.if_greedy"),
    "multi_modal": BelongsTo("env.multi_modal"),
    "benchmark": BelongsTo("env.benchmark"),
    **{key: BelongsTo(f"training.{key}") for key in ("project_name", "experiment_name", "logger")},
    "workflow_type": DoneOnlyAs(("turn",), TURNS),
    "workflow_function": GRAPH,
    "agent_framework": DoneOnlyAs((), TURNS),
    "task_type": EVOLVING,
    **each("vllm_address address_map lora_paths", EVALUATION),
    **each("mode sample_mode if_dapo", DEAD),
    **each("data trainer", SOURCE),
    **each("critic reward_model custom_reward_function global_profiler", UNREAD),
    **each("ray_kwargs ray_init", NO_RAY),
    "hydra": NoEffect("these are Hydra's own; `pettingllms import` takes over the values of a sweeper"),
    "env": ENV,
    "agent_policy_configs": {"agent_configs": {"*": AGENT}},
    "multi_agent_interaction": {"shared_observation": DEAD, "agent_untrained": Untrained()},
    "training": TRAINING,
    "models": {
        "*": {
            "model_name": BelongsTo(".name"),
            "tokenizer_name": NoEffect("the tokenizer is that of the model"),
            "policy_list": BelongsTo("agent_policy_configs.policy_list"),
            "ppo_trainer_config": with_targets(PPO_TRAINER),
        }
    },
}
