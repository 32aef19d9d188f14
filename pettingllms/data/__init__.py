"""Tasks from datasets: rows of local files and of the Hugging Face hub, checked, counted and hashed."""
