"""All rules, one module per section; importing this package fills `lint.rule.RULES`."""

from pettingllms.lint.rules import environment, graph, references, resources, shape, sweep

__all__ = ["environment", "graph", "references", "resources", "shape", "sweep"]
