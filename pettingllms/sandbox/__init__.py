"""Programs that a model wrote, kept within limits."""
