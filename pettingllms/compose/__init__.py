"""From files and overrides to one tree: defaults lists and groups, overrides, special values, references."""
