"""Where weights come from: the embedded model, local folders and Hugging Face ids."""

BUILTIN_MODELS = {"builtin:smollm2-135m-instruct": 8192}
"""Embedded models and the length of their context in tokens."""
