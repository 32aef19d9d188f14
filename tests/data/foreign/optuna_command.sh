accelerate launch --config_file acc.yaml --num_processes=4 --num_machines 1 --multi_gpu -m pettingllms.trainer.train -m -cn experiment env=code model=qwen2_7b +data@training.x=small \
  'training.seed=range(0,3)' training.train_batch_size=16,32 lr=choice(1e-6, 5e-6) \
  'training.sample_temperature=tag(log,interval(0.1,1))' 'lora_rank=sort(choice(32,8,16))' 'env=glob(*)' 'training.logger=[console],[console,wandb]' \
  hydra/sweeper=optuna hydra.sweeper.n_trials=30 hydra.sweeper.direction=maximize hydra/sweeper/sampler=random hydra.sweeper.sampler.seed=3 hydra.sweeper.study_name=abc hydra.run.dir=x/y
