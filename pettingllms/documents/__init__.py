"""Text to data with positions; knows no experiment key."""
