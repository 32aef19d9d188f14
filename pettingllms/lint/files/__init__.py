"""Linting many files: what each needs, in parallel and from a cache, and which findings count."""
