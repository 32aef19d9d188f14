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
    SectionBelongsTo,
    Table,
    Unset,
    each,
)

SPEED = NoEffect("memory and speed, not results, depend on it")
UNREAD = NoEffect()
NO_KL = NoEffect("no KL term is computed")
NO_CRITIC = NoEffect("no critic is trained")
NO_REWARD_MODEL = NoEffect("rewards come from the environment")
NO_RAY = NoEffect("no Ray cluster is started")
NO_PROFILER = NoEffect("there is no profiler")
NO_DATASET = NoEffect("tasks come from env.dataset")
BUDGET = NoEffect("micro-batches are cut by actor.ppo_max_token_len_per_gpu")
RUN = NoEffect("the numbers of a run stand in [training] and [resource]")
COSINE = NoEffect("read by a cosine schedule only")
OWN_AGENTS = NoEffect("agents are those of agent_policy_configs")
SIZED = NoEffect("the engine is sized by the ranks of the policies")
LOGPROBS = NoEffect("log-probabilities are the engine's")

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
    **each("use_shm enable_gradient_checkpointing enable_activation_offload use_remove_padding", SPEED),
    **each("use_liger use_fused_kernels fused_kernel_options", SPEED),
    **each("tokenizer_path hf_config_path", NoEffect("both are read from the model's folder")),
    "trust_remote_code": NoEffect("resource.trust_remote_code says it"),
    "external_lib": DoneOnlyAs(),
    "override_config": DoneOnlyAs(({},)),
    "custom_chat_template": DoneOnlyAs(),
    "exclude_modules": DoneOnlyAs(([],), "name the layers in target_modules"),
    "lora_adapter_path": DoneOnlyAs(),
}

OPTIM: Table = {
    "lr_warmup_steps": DoneOnlyAs((), "the learning rate is constant", at_most=0),
    "lr_warmup_steps_ratio": DoneOnlyAs((), "the learning rate is constant", at_most=0),
    **each("warmup_style lr_scheduler_type", DoneOnlyAs(("constant",), "the learning rate is constant")),
    **each("min_lr_ratio num_cycles zero_indexed_step", COSINE),
    "total_training_steps": NoEffect("training.total_training_steps says it"),
    "optimizer": DoneOnlyAs(("AdamW", "adamw")),
    "optimizer_impl": SPEED,
    "betas": DoneOnlyAs(([0.9, 0.999],)),
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
    **each("ppo_micro_batch_size ppo_micro_batch_size_per_gpu use_dynamic_bsz", BUDGET),
    **each("ppo_infer_micro_batch_size_per_gpu ppo_infer_max_token_len_per_gpu", BUDGET),
    **each("kl_loss_coef kl_loss_type", NO_KL),
    **each("rollout_n data_loader_seed", UNREAD),
    "checkpoint": NoEffect("a checkpoint holds everything that a run needs"),
    "profiler": NO_PROFILER,
    "shuffle": NoEffect("a batch is trained in one step"),
    "use_dynamic_mini_batch": NoEffect("a batch is trained in one step"),
    "clip_ratio_c": DoneOnlyAs((), "the ratio of tokens with a negative advantage has no second bound"),
    "entropy_coeff": DoneOnlyAs((0,)),
    "calculate_entropy": NoEffect("an estimate of the entropy is always logged"),
    "use_kl_loss": DoneOnlyAs((False,)),
    "loss_agg_mode": DoneOnlyAs(("token-mean",)),
    "loss_scale_factor": DoneOnlyAs(),
    "ppo_epochs": DoneOnlyAs((1,)),
    "grad_norm_threshold": DoneOnlyAs((1e5,), "gradients are clipped by grad_clip, and no step is left out"),
    "tis_imp_ratio_cap": DoneOnlyAs((), at_most=0),
    "policy_loss": {"loss_mode": DoneOnlyAs(("vanilla",)), "*": UNREAD},
    "optim": OPTIM,
    "fsdp_config": FSDP,
}

VAL_CONFIG = "agent_policy_configs.agent_configs.*.val_llm_config"
ROLLOUT: Table = {
    **each("mode load_format layered_summon enforce_eager free_cache_engine use_torch_compile", SPEED),
    **each("cudagraph_capture_sizes multi_stage_wake_up update_weights_bucket_megabytes", SPEED),
    **each("enable_prefix_caching entropy_from_logits_with_chunking enable_sleep_mode", SPEED),
    **each("log_prob_micro_batch_size log_prob_micro_batch_size_per_gpu log_prob_use_dynamic_bsz", LOGPROBS),
    **each("log_prob_max_token_len_per_gpu calculate_log_probs logprobs_mode", LOGPROBS),
    **each("enable_lora max_loras lora_rank", SIZED),
    "max_lora_rank": Unset((0,), SIZED.why),
    **each("disable_log_stats disable_logging trace skip_dump_dir prometheus", UNREAD),
    **each("agent chat_scheduler custom", OWN_AGENTS),
    "profiler": NO_PROFILER,
    **each("data_parallel_size expert_parallel_size pipeline_model_parallel_size", DoneOnlyAs((1,))),
    **each("skip_rollout use_fire_sampling ignore_eos", DoneOnlyAs((False,))),
    **each("chat_template quantization", DoneOnlyAs()),
    "top_p": DoneOnlyAs((1,), "training samples are drawn from the whole distribution"),
    "top_k": DoneOnlyAs((-1, 0), "training samples are drawn from the whole distribution"),
    "min_p": DoneOnlyAs((0,)),
    "repetition_penalty": DoneOnlyAs((1,)),
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
    "critic_warmup": NO_CRITIC,
    "val_before_train": NoEffect("validation runs before the first step and after the last"),
    "val_only": DoneOnlyAs((False,)),
    "resume_mode": DoneOnlyAs(("auto", "disable"), "each run starts in a folder of its own"),
    "resume_from_path": DoneOnlyAs((False,)),
    "rejection_sample": DoneOnlyAs((False,)),
    "rejection_sample_multiplier": NoEffect("read by rejection_sample only"),
}

ALGORITHM: Table = {
    **each("gamma lam", NoEffect("read by adv_estimator = gae only")),
    **each("kl_penalty kl_ctrl", NO_KL),
    "norm_adv_by_std_in_grpo": DoneOnlyAs((True,)),
    **each("use_kl_in_reward use_pf_ppo mask_truncated_samples clip_advantages", DoneOnlyAs((False,))),
    "pf_ppo": NoEffect("read by use_pf_ppo only"),
    "filter_groups": {"enable": DoneOnlyAs((False,), "filter_method drops samples"), "*": UNREAD},
    **each("rollout_is rollout_is_threshold", DoneOnlyAs((False,))),
}

PPO_TRAINER: Table = {
    "data": DATA,
    "actor_rollout_ref": {
        "hybrid_engine": UNREAD,
        "nccl_timeout": SPEED,
        "model": MODEL,
        "actor": ACTOR,
        "ref": NoEffect("no reference policy is kept"),
        "rollout": ROLLOUT,
        "trainer": {**TRAINER, **each("n_gpus_per_node n_training_gpus_per_node", Honoured())},
    },
    "actor": SectionBelongsTo(".actor_rollout_ref.actor"),
    "rollout": SectionBelongsTo(".actor_rollout_ref.rollout"),
    "model": SectionBelongsTo(".actor_rollout_ref.model"),
    "critic": {"enable": DoneOnlyAs((False,)), "*": NO_CRITIC},
    "reward_model": {"enable": DoneOnlyAs((False,)), "*": NO_REWARD_MODEL},
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
