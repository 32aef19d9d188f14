"""The keys of a verl trainer that the schema does not have, and what this version does about each.

They come with the trainer files of the original and of verl, which set hundreds of keys to say nothing
special. A key is refused (`DoneOnlyAs`) where its value would change what is learned.
"""

from __future__ import annotations

from pettingllms.config.key_meanings import (
    BelongsTo,
    DoneOnlyAs,
    Honoured,
    NoEffect,
    OldName,
    SectionBelongsTo,
    Table,
    Unset,
    each,
)

SPEED = NoEffect("memory and speed, not results, depend on it")
UNREAD = NoEffect()
NO_REWARD_MODEL = NoEffect("rewards come from the environment")
NO_RAY = NoEffect("no Ray cluster is started")
NO_PROFILER = NoEffect("there is no profiler")
NO_DATASET = NoEffect("tasks come from env.dataset")
MICRO_BATCHES = NoEffect("micro-batches are cut by ppo_max_token_len_per_gpu or ppo_micro_batch_size_per_gpu")
RUN = NoEffect("the numbers of a run stand in [training] and [resource]")
OWN_AGENTS = NoEffect("agents are those of agent_policy_configs")
SIZED = NoEffect("the engine is sized by the ranks of the policies")
LOGPROBS = NoEffect("log-probabilities are always those of the distribution that was sampled from")
REFERENCE = NoEffect("memory and speed, not results, depend on how the reference policy is computed")
AS_THE_POLICY = NoEffect("it is as that of the policy")
NULL = (None,)

DATA: Table = {
    **each("train_files val_files train_max_samples val_max_samples prompt_key reward_fn_key", NO_DATASET),
    **each(
        "image_key video_key image_patch_size custom_cls sampler datagen class_path class_name", NO_DATASET
    ),
    **each("return_raw_input_ids return_raw_chat return_full_prompt return_multi_modal_inputs", NO_DATASET),
    **each("dataloader_num_workers filter_overlong_prompts filter_overlong_prompts_workers", NO_DATASET),
    **each("shuffle validation_shuffle seed tokenizer use_shm tool_config_path gen_batch_size", NO_DATASET),
    "train_batch_size": NoEffect("training.train_batch_size says it"),
    "val_batch_size": NoEffect("validation plays all its tasks"),
    "truncation": NoEffect("long prompts are cut in the middle of the newest message"),
    "trust_remote_code": NoEffect("resource.trust_remote_code says it"),
    "apply_chat_template_kwargs": DoneOnlyAs(({},)),
}

MODEL: Table = {
    **each("use_shm enable_activation_offload use_remove_padding", SPEED),
    **each("use_liger use_fused_kernels fused_kernel_options", SPEED),
    **each("tokenizer_path hf_config_path", NoEffect("both are read from the model's folder")),
    "trust_remote_code": NoEffect("resource.trust_remote_code says it"),
    "external_lib": DoneOnlyAs(),
    "override_config": DoneOnlyAs(({},)),
    "custom_chat_template": DoneOnlyAs(),
    "exclude_modules": DoneOnlyAs(([],), "name the layers in target_modules"),
}

OPTIM: Table = {
    "lr_warmup_steps": Unset(NULL, "lr_warmup_steps_ratio says it"),
    "lr_scheduler_type": OldName(".warmup_style"),
    "warmup_style": Unset(NULL, "null sets nothing"),
    "zero_indexed_step": NoEffect("the first step of a warm-up has the rate of one step of it, not of none"),
    "total_training_steps": Unset(NULL, "training.total_training_steps says it"),
    "optimizer": DoneOnlyAs(("AdamW", "adamw")),
    "optimizer_impl": SPEED,
    "clip_grad": BelongsTo("..grad_clip", inert=(1.0,)),
    "override_optimizer_config": DoneOnlyAs(({},)),
}

FSDP: Table = {
    **each("param_offload optimizer_offload offload_policy reshard_after_forward fsdp_size", SPEED),
    **each(
        "wrap_policy forward_prefetch use_orig_params mixed_precision ulysses_sequence_parallel_size", SPEED
    ),
    **each("use_torch_compile entropy_from_logits_with_chunking entropy_checkpointing strategy", SPEED),
    **each("dtype seed full_determinism forward_only", UNREAD),
}

ACTOR: Table = {
    **each("strategy use_torch_compile ulysses_sequence_parallel_size use_remove_padding", SPEED),
    **each("entropy_from_logits_with_chunking entropy_checkpointing use_fused_kernels nccl_timeout", SPEED),
    **each("ppo_infer_micro_batch_size_per_gpu ppo_infer_max_token_len_per_gpu", SPEED),
    "ppo_micro_batch_size": MICRO_BATCHES,
    "rollout_n": NoEffect("training.train_sample_num says it"),
    "data_loader_seed": NoEffect("training.seed says it"),
    "checkpoint": NoEffect("a checkpoint holds everything that a run needs"),
    "profiler": NO_PROFILER,
    "use_dynamic_mini_batch": DoneOnlyAs((False,), "ppo_mini_batch_size says how many tasks a step has"),
    "calculate_entropy": NoEffect("an estimate of the entropy is always logged"),
    **each("clip_ratio_c grad_norm_threshold", Unset(NULL, "null sets nothing")),
    "tis_imp_ratio_cap": DoneOnlyAs(
        (), "algorithm.rollout_is with rollout_is_threshold does this", at_most=0
    ),
    "policy_loss": {"loss_mode": DoneOnlyAs(("vanilla",)), "*": UNREAD},
    "optim": OPTIM,
    "fsdp_config": FSDP,
}

VAL_CONFIG = "agent_policy_configs.agent_configs.*.val_llm_config"
ROLLOUT: Table = {
    **each("load_format layered_summon use_torch_compile", SPEED),
    **each("cudagraph_capture_sizes multi_stage_wake_up update_weights_bucket_megabytes", SPEED),
    **each("enable_prefix_caching entropy_from_logits_with_chunking enable_sleep_mode", SPEED),
    **each("log_prob_micro_batch_size log_prob_micro_batch_size_per_gpu log_prob_use_dynamic_bsz", SPEED),
    "log_prob_max_token_len_per_gpu": SPEED,
    **each("calculate_log_probs logprobs_mode", LOGPROBS),
    **each("enable_lora max_loras lora_rank", SIZED),
    "max_lora_rank": Unset((0,), SIZED.why),
    **each("disable_log_stats disable_logging trace skip_dump_dir prometheus", UNREAD),
    **each("agent chat_scheduler custom", OWN_AGENTS),
    "profiler": NO_PROFILER,
    **each("data_parallel_size expert_parallel_size pipeline_model_parallel_size", DoneOnlyAs((1,))),
    **each("skip_rollout use_fire_sampling ignore_eos", DoneOnlyAs((False,))),
    **each("chat_template quantization", DoneOnlyAs()),
    "repetition_penalty": DoneOnlyAs((1,), "the trainer does not apply it"),
    "do_sample": DoneOnlyAs((True,)),
    "over_sample_rate": DoneOnlyAs((0,)),
    "n": BelongsTo("training.train_sample_num", inert=(1,), movable=False),
    "val_kwargs": {
        "n": BelongsTo("training.validate_sample_num", inert=(1,), movable=False),
        "temperature": BelongsTo(f"{VAL_CONFIG}.temperature", inert=(0,), movable=False),
        "top_p": BelongsTo(f"{VAL_CONFIG}.top_p", inert=(1,), movable=False),
        "top_k": BelongsTo(f"{VAL_CONFIG}.top_k", inert=(-1, 0), movable=False),
        "do_sample": NoEffect("temperature 0 is greedy"),
        "*": UNREAD,
    },
    "multi_turn": {
        "enable": DoneOnlyAs((False,), "who speaks when is multi_agent_interaction"),
        "*": NoEffect("who speaks when is multi_agent_interaction"),
    },
    "engine_kwargs": {
        "vllm": {"swap_space": SPEED, "*": DoneOnlyAs()},
        "sglang": NoEffect("there is no such engine"),
        "trtllm": NoEffect("there is no such engine"),
    },
}

TRAINER: Table = {
    **each("nnodes device total_epochs total_training_steps project_name experiment_name logger", RUN),
    **each("save_freq test_freq default_local_dir", RUN),
    **each("max_actor_ckpt_to_keep max_critic_ckpt_to_keep", NoEffect("training.keep_checkpoints says it")),
    **each("ray_wait_register_center_timeout esi_redundant_time", NO_RAY),
    **each("balance_batch use_legacy_worker_impl npu_profile default_hdfs_dir", UNREAD),
    **each("del_local_ckpt_after_load val_batch_size", UNREAD),
    **each("log_val_generations rollout_data_dir validation_data_dir", NoEffect("every episode is kept")),
    "val_before_train": NoEffect("validation runs before the first step and after the last"),
    "val_only": DoneOnlyAs((False,)),
    "resume_mode": DoneOnlyAs(("auto", "disable"), "each run starts in a folder of its own"),
    "resume_from_path": DoneOnlyAs((False,)),
    "rejection_sample": DoneOnlyAs((False,), 'filter_method = "dapo" leaves out tasks of equal rewards'),
    "rejection_sample_multiplier": NoEffect("read by rejection_sample only"),
}

ALGORITHM: Table = {
    **each("use_pf_ppo clip_advantages", DoneOnlyAs((False,))),
    "pf_ppo": NoEffect("read by use_pf_ppo only"),
    "filter_groups": {
        "enable": DoneOnlyAs((False,), 'filter_method = "dapo" does this'),
        **each("metric filter_function filter_kwargs", NoEffect('filter_method = "dapo" compares rewards')),
        "max_num_gen_batches": Unset((0, None), "the batches that a step plays always have a limit"),
    },
    "rollout_is_threshold": Unset(NULL, "rollout_is says whether there is one"),
    "rollout_is_veto_threshold": DoneOnlyAs(),
    "rollout_correction": {
        "rollout_is": BelongsTo("..rollout_is_level"),
        "rollout_is_threshold": BelongsTo("..rollout_is_threshold", inert=(2,)),
        "rollout_rs": DoneOnlyAs(
            (), 'algorithm.rollout_is_mode = "mask" leaves out what has a weight outside its bounds'
        ),
        **each("rollout_rs_threshold rollout_rs_threshold_lower", NoEffect("read by rollout_rs only")),
        "rollout_token_veto_threshold": DoneOnlyAs(),
        **each("rollout_is_batch_normalize use_pure_rollout_correction", DoneOnlyAs((False,))),
        **each("bypass_old_logprob_for_rollout bypass_mode", DoneOnlyAs((False,))),
        "loss_type": NoEffect("read by bypass_mode only"),
    },
}

CRITIC: Table = {
    "enable": NoEffect('there is a critic where algorithm.adv_estimator = "gae"'),
    **each("strategy ulysses_sequence_parallel_size nccl_timeout", SPEED),
    **each("forward_micro_batch_size forward_micro_batch_size_per_gpu forward_max_token_len_per_gpu", SPEED),
    **each("ppo_infer_micro_batch_size_per_gpu ppo_infer_max_token_len_per_gpu", SPEED),
    **each("use_dynamic_bsz ppo_max_token_len_per_gpu shuffle", AS_THE_POLICY),
    **each("ppo_micro_batch_size ppo_micro_batch_size_per_gpu", AS_THE_POLICY),
    **{key: ACTOR[key] for key in ("rollout_n", "data_loader_seed", "checkpoint", "profiler")},
    "optim": OPTIM,
    "model": {
        **MODEL,
        "enable_gradient_checkpointing": AS_THE_POLICY,
        "fsdp_config": {"model_dtype": AS_THE_POLICY, "*": SPEED},
    },
}

OVERLONG: Table = {
    "enable": DoneOnlyAs((False,), "algorithm.overlong_penalty is taken off samples that are cut off"),
    "*": NoEffect("read by overlong_buffer only"),
}
REWARD_MODEL: Table = {
    "enable": DoneOnlyAs((False,)),
    "overlong_buffer": OVERLONG,
    "reward_kwargs": {"overlong_buffer_cfg": OVERLONG, "*": NO_REWARD_MODEL},
    "*": NO_REWARD_MODEL,
}

PPO_TRAINER: Table = {
    "data": DATA,
    "actor_rollout_ref": {
        "hybrid_engine": UNREAD,
        "nccl_timeout": SPEED,
        "model": MODEL,
        "actor": ACTOR,
        "ref": {
            "model": DoneOnlyAs((), "the reference policy is what training starts from"),
            "*": REFERENCE,
        },
        "rollout": ROLLOUT,
        "trainer": {
            **TRAINER,
            **each("n_gpus_per_node n_training_gpus_per_node", Honoured()),
            "critic_warmup": BelongsTo("...trainer.critic_warmup", inert=(0,)),
        },
    },
    "actor": SectionBelongsTo(".actor_rollout_ref.actor"),
    "rollout": SectionBelongsTo(".actor_rollout_ref.rollout"),
    "model": SectionBelongsTo(".actor_rollout_ref.model"),
    "critic": CRITIC,
    "reward_model": REWARD_MODEL,
    "custom_reward_function": {"path": DoneOnlyAs(), "*": NO_REWARD_MODEL},
    "reward_manager": NO_REWARD_MODEL,
    "algorithm": ALGORITHM,
    "trainer": TRAINER,
    "global_profiler": NO_PROFILER,
    **each("ray_kwargs ray_init", NO_RAY),
    "checkpoint_dir": NoEffect("training.model_checkpoints_dir says it"),
}


def with_targets(table: Table) -> Table:
    """The table with `_target_`, by which Hydra makes objects, in it and in each of its sections."""
    below = {key: with_targets(row) if isinstance(row, dict) else row for key, row in table.items()}
    return {"_target_": NoEffect("no object is made from it"), **below}
