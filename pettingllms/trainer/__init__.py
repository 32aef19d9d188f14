"""The documented entry points: thin doors to the command line."""
