"""The worker of a trial: rollout, update, weight sync, validation, checkpoint, step by step."""
