"""What `plan` and `sweep plan` do: check, estimate every run by finished ones, add up; nothing is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.sweep import SweepConfig
from pettingllms.errors import UsageError
from pettingllms.hiding import hidden
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.proof.plan import Plan, PlannedCell, plan_of
from pettingllms.sweep import report
from pettingllms.sweep.folders import trial_folder
from pettingllms.sweep.planning.budget import Cost, Total, total_of
from pettingllms.sweep.planning.estimate import Estimate, estimate
from pettingllms.sweep.planning.launch import Launch, launch_of, study_folder
from pettingllms.sweep.planning.measured import Calibration, named_runs, own_runs
from pettingllms.sweep.start import Asked


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan goes by: the finished runs of `named` folders, else those of the file below `output`;
    `jobs` trials at a time; the machine of `facts`, where that is asked for.
    """

    output: Path
    named: tuple[Path, ...] = ()
    jobs: int = 1
    facts: Facts | None = None

    def calibration(self, file: Path) -> Calibration:
        """The finished runs. Raises UsageError for a named folder without any."""
        return named_runs(self.named) if self.named else own_runs(file, self.output)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A plan with what its runs take. `total`: None where one of them is not known, as `why_not` says."""

    plan: Plan
    known: Calibration
    jobs: int
    estimates: Mapping[int, Estimate]
    launches: Mapping[int, Launch]
    total: Total | None
    why_not: str | None

    @property
    def runs(self) -> list[PlannedCell]:
        """The cells that run."""
        return [cell for cell in self.plan.cells if cell.number in self.estimates]


def outlook_of(plan: Plan, known: Calibration, basis: Basis) -> Outlook:
    """Estimate every cell of `plan` that runs."""
    estimates, launches = {}, {}
    for cell in plan.cells:
        if cell.config is not None:
            estimates[cell.number] = estimate(cell.config, known, basis.facts)
            folder = trial_folder(study_folder(cell.config, basis.output.absolute()), cell.number)
            launches[cell.number] = launch_of(cell.config, folder)
    total, why_not = _total(plan.sweep, list(estimates.values()), basis.jobs)
    return Outlook(plan, known, basis.jobs, estimates, launches, total, why_not)


def _total(sweep: SweepConfig, found: Sequence[Estimate], jobs: int) -> tuple[Total | None, str | None]:
    if not found:
        return None, "no cell runs"
    unknown = [one.why_not for one in found if one.seconds is None]
    if unknown:
        return None, f"time not known of {len(unknown)} of {len(found)} cells: {unknown[0]}"
    costs = [Cost(one.seconds or 0.0, one.gpus) for one in found]
    if sweep.sampler != "grid":
        # Which cells a sampler asks for is not known before: each counts as the mean of those shown.
        mean = sum(cost.seconds for cost in costs) / len(costs)
        costs = [Cost(mean, max(cost.gpus for cost in costs))] * sweep.trials
    return total_of(costs, jobs, sweep.budget), None


def show_sweep_plan(asked: Asked, basis: Basis, cell: int | None, *, as_json: bool) -> int:
    """Write the plan of a sweep, or all about one `cell`, to standard output; returns the exit status.

    Raises UsageError for a cell or a run that is not there.
    """
    from pettingllms.sweep.planning.printed import plan_json, show_cell, show_plan

    found = asked.checked(basis.facts)
    if found.draft is None or not found.draft.complete:
        return found.exit_code()
    plan = plan_of(found)
    outlook = outlook_of(plan, basis.calibration(found.draft.path), basis)
    if cell is not None:
        _require_cell(plan, cell)
    if as_json:
        report.write_json(plan_json(outlook, cell), sys.stdout)
    elif cell is not None:
        show_cell(outlook, cell, sys.stdout)
    else:
        show_plan(outlook, sys.stdout)
    return found.exit_code(Severity.ERROR)


def show_run_plan(asked: Asked, basis: Basis, *, as_json: bool) -> int:
    """Write how `train` would start the experiment, and what that takes; returns the exit status."""
    from pettingllms.sweep.planning.words import FORMULAS, explained, launch_in_words

    found = asked.checked(basis.facts)
    if found.refused or found.experiment is None:
        return max(found.exit_code(), 1)
    config = found.experiment.config
    known, output = basis.calibration(found.experiment.path), basis.output.absolute()
    own, launch = estimate(config, known, basis.facts), launch_of(config, output / "<date>" / "<time>")
    if as_json:
        data: dict[str, Any] = {"estimate": own.as_json(), "launch": launch.as_json()}
        report.write_json(hidden_in(data | {"formulas": dict(FORMULAS)}), sys.stdout)
    else:
        lines = [*explained(own), *launch_in_words(launch)]
        sys.stdout.write("".join(f"{hidden(line)}\n" for line in lines))
    return found.exit_code(Severity.ERROR)


def hidden_in(data: Any) -> Any:
    """`data` without secrets of this process in its texts."""
    if isinstance(data, dict):
        return {key: hidden_in(value) for key, value in data.items()}
    if isinstance(data, list):
        return [hidden_in(value) for value in data]
    return hidden(data) if isinstance(data, str) else data


def _require_cell(plan: Plan, number: int) -> None:
    if number not in {cell.number for cell in plan.cells}:
        numbers = [cell.number for cell in plan.cells]
        raise UsageError(
            f"--cell {number}: there is no such cell",
            help=f"cells are {numbers[0]} to {numbers[-1]}" if numbers else "the plan has none",
        )
