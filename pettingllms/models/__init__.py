"""Where weights come from: the embedded model, local folders and Hugging Face ids."""
