"""Log-probabilities and losses as pure tensor functions."""
