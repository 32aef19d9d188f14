"""PLM4, sweep: the shape of axes, and the grid that they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pettingllms.config.axes import Axis
from pettingllms.config.shape import written
from pettingllms.documents.source import Finding, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import loading_rule
from pettingllms.space.cells import cell_count, duplicates, label

MAX_CELLS = 4096


@loading_rule("PLM401", "malformed-axis", Severity.ERROR)
def malformed_axis() -> None:
    """A swept value is not written as it should be.

    It is an inline table whose first key is `sweep`:
    `lr = { sweep = "choice", values = [1e-6, 1e-5], default = 1e-6 }`.
    Nothing inside `[sweep]`, and nothing inside another swept value, can be swept.
    """


@loading_rule("PLM402", "duplicate-choice", Severity.ERROR)
def duplicate_choice() -> None:
    """An axis has a value twice, so that two trials would be the same.

    Optuna compares choices by equality: `true` and `1`, or `1` and `1.0`, are one choice.
    """


@loading_rule("PLM403", "default-not-a-choice", Severity.ERROR)
def default_not_a_choice() -> None:
    """The default of an axis is none of its values.

    The default is what a plain `train` uses; in a grid it must be one of the cells.
    """


@loading_rule("PLM404", "grid-too-large", Severity.ERROR)
def grid_too_large() -> None:
    """The axes make more than 4096 cells.

    Every cell is proved valid before the first trial starts, and each is a training run.
    """


def axis_findings(axes: Sequence[Axis]) -> Iterator[Finding]:
    """What is wrong with axes whose shape is right."""
    for axis in axes:
        for earlier, later in duplicates(axis.values):
            first, second = written(axis.values[earlier]), written(axis.values[later])
            same = f"{second} stands twice" if first == second else f"{second} equals {first}"
            path = (*axis.path, "values", later)
            yield Finding(path, f"{dotted(axis.path)}: {same} in values", "remove one", code="PLM402")
        if label(axis.default) not in [label(value) for value in axis.values]:
            message = f"{dotted(axis.path)}: the default {written(axis.default)} is none of the values"
            yield Finding((*axis.path, "default"), message, "add it to values", code="PLM403")
    count = cell_count(axes)
    if count > MAX_CELLS:
        message = f"the axes make {count} cells, more than {MAX_CELLS}"
        yield Finding(axes[-1].path, message, "sweep fewer values", code="PLM404")
