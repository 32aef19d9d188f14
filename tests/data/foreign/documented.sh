#!/bin/bash
# Run from the root of the repository.
python -m pettingllms.trainer.train \
    --config-name math_L3_model \
    base_models.policy_0.path="/path/to/new/model" \
    training.total_training_steps=500 \
    training.train_batch_size=16 \
    resource.n_gpus_per_node=4 \
    multi_agent_interaction.turn_order="[agent2,agent1]"
