"""The linter: rules over an experiment and every cell of its sweep."""
