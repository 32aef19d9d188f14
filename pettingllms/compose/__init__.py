"""From a document and its overrides to one plain tree: overrides, special values, references."""
