HYDRA_FULL_ERROR=1 python pettingllms/trainer/train.py --config-dir=configs --config-name=experiment.yaml --multirun \
    training.seed=0,1,2 \
    'specialization=choice(lora,full)' \
    training.experiment_name="'a, b'" \
    'agent_policy_configs.agent_configs.agent_0.train_llm_config={temperature: 0.7, top_p: 1}' \
    training.model_checkpoints_dir=null \
    env=code
