"""The search for better prompts: gepa over the rollout of a run, its weights as they are."""
