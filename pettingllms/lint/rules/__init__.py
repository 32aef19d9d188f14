"""All rules, one module per section; importing this package fills `lint.rule.RULES`."""

from pettingllms.lint.rules import (
    accepted,
    conversion,
    datasets,
    environment,
    graph,
    memory,
    prompts,
    references,
    resources,
    retrieval,
    schedule,
    serving,
    shape,
    sweep,
    training,
    undone,
)

__all__ = [
    "accepted",
    "conversion",
    "datasets",
    "environment",
    "graph",
    "memory",
    "prompts",
    "references",
    "resources",
    "retrieval",
    "schedule",
    "serving",
    "shape",
    "sweep",
    "training",
    "undone",
]
