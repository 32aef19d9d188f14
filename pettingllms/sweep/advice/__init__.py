"""What Optuna says about a study: values for cells, and which trials are hopeless."""
