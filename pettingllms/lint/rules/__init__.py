"""All rules, one module per section; importing this package fills `lint.rule.RULES`."""

from pettingllms.lint.rules import conversion, environment, graph, references, resources, shape, sweep

__all__ = ["conversion", "environment", "graph", "references", "resources", "shape", "sweep"]
