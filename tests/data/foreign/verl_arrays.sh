#!/usr/bin/env bash
set -xeuo pipefail

project_name='GRPO'
MODEL_PATH=${MODEL_PATH:-"${HOME}/models/Qwen2.5-7B"}
NNODES=${NNODES:-1}
max_response_length=$((1024 * 8))
use_kl=False
offload=True

DATA=(
    # where the parquet files lie
    data.train_files="$HOME/data/gsm8k/train.parquet"
    data.train_batch_size=1024
    data.max_prompt_length=512
    data.max_response_length=${max_response_length}
    data.filter_overlong_prompts=True
)
ACTOR=(
    actor_rollout_ref.model.path="$MODEL_PATH"
    actor_rollout_ref.actor.optim.lr=1e-6
    actor_rollout_ref.actor.clip_ratio_high=0.28
    actor_rollout_ref.actor.use_kl_loss=${use_kl}
    actor_rollout_ref.rollout.n=5
    actor_rollout_ref.rollout.gpu_memory_utilization=0.6
)

CUDA_VISIBLE_DEVICES=0,1,2,3 nohup python3 -u -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo \
    "${DATA[@]}" "${ACTOR[@]}" \
    trainer.logger='["console","wandb"]' \
    trainer.project_name="${project_name}" \
    trainer.n_gpus_per_node=8 \
    trainer.nnodes="${NNODES}" \
    trainer.test_freq=5 \
    trainer.total_epochs=15 $EXTRA "$@" > log 2>&1 &
