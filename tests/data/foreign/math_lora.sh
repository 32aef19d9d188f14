set -x
# Two GPUs of a shared machine.
export CUDA_VISIBLE_DEVICES=4,5
export VLLM_USE_V1=1
export HYDRA_FULL_ERROR=1
export LD_LIBRARY_PATH=$CUDA_HOME/lib64:${LD_LIBRARY_PATH}

GPUS=2
STEPS=$((100 * GPUS))
BATCH=${BATCH:-32}
MODEL=${MODEL:-"Qwen/Qwen3-1.7B"}
trainer="models.model_0.ppo_trainer_config"
resource="resource.n_gpus_per_node=$GPUS  $trainer.trainer.n_gpus_per_node=$GPUS $trainer.actor_rollout_ref.rollout.tensor_model_parallel_size=$GPUS"

python3 -m pettingllms.trainer.train --config-path ../config/math --config-name math_L2_lora \
    $resource \
    base_models.policy_0.path="$MODEL"\
    training.experiment_name=math_1.7B_lora_$(date +%m%d)\
    training.project_name=3e4\
    env.max_turns=3\
    training.total_training_steps=$STEPS\
    training.train_batch_size=$BATCH \
    +training.sample_temperature=1 \
    ++lora_rank=32 \
    ~training.resample_freq \
    multi_agent_interaction.turn_order="[reasoning_generator,tool_generator]" \
    '+models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr=5e-6' \
    env.dataset=polaris \
    "$@" 2>&1 | tee train.log
