"""The `[sweep]` section: which trials a study runs and what it looks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel, Only


class ObjectiveConfig(ConfigModel):
    """What a study optimises."""

    metric: str = "val/success_rate"
    """Metric name; its last value in a trial counts."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more or less of it is better."""


class SweepConfig(ConfigModel):
    """A study over the swept values of the file."""

    sampler: Annotated[Literal["grid", "random", "tpe", "nsga2", "qmc", "cmaes"], Only("grid")] = "grid"
    """Who proposes trials; `grid` runs every combination once, in file order."""
    trials: Annotated[int, Only()] = Field(20, ge=1)
    """Number of trials of samplers other than `grid`."""
    seed: Annotated[int, Only()] = Field(0, ge=0)
    """Seed of samplers other than `grid`."""
    objectives: list[ObjectiveConfig] = Field(
        default_factory=lambda: [ObjectiveConfig()], min_length=1, max_length=1
    )
    """The objective."""
    pruner: Annotated[dict[str, Any], Only()] = Field(default_factory=dict)
    """When a hopeless trial is stopped."""
    constraints: Annotated[list[str], Only()] = Field(default_factory=list)
    """Expressions that every trial fulfils."""
    space: Annotated[dict[str, Any], Only()] = Field(default_factory=dict)
    """Axes by quoted dotted path, for overlays over a file that stays as it is."""


class ChoiceAxis(ConfigModel):
    """A swept value, written in place of a plain one."""

    sweep: Annotated[Literal["choice", "int", "float"], Only("choice")]
    """Kind of axis."""
    values: list[Any] = Field(min_length=1)
    """The values tried."""
    default: Any
    """The value that a plain `train` uses; one of `values`."""
    when: Annotated[str, Only()] = ""
    """Condition under which the axis exists."""
    zip: Annotated[str, Only()] = ""
    """Axes of one name move together."""
