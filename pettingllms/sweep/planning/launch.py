"""How a planned run would be started: its command, its variables, and which GPU each of its parts has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import engine_groups, gpus_per_node, plan_policies
from pettingllms.sweep.launch import launch_argv, launch_environment

PORT = "<free port>"
"""Chosen when the trial starts."""
PORT_OPTION = "--main_process_port"


@dataclass(frozen=True, slots=True)
class Seat:
    """What one process of a run has. `gpus`: among the visible ones; `engines`: the policies of each."""

    rank: int
    gpus: tuple[int, ...]
    engines: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        where = f"GPU {', '.join(map(str, self.gpus))}" if self.gpus else "CPU"
        engines = "; ".join(f"engine of {', '.join(policies)}" for policies in self.engines)
        return f"process {self.rank}: trainer and {engines} on {where}"


@dataclass(frozen=True, slots=True)
class Launch:
    """`argv` and the variables that are set for it, beside those that it inherits."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    seats: tuple[Seat, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        seats = [
            {"rank": seat.rank, "gpus": list(seat.gpus), "engines": [list(one) for one in seat.engines]}
            for seat in self.seats
        ]
        return {"argv": list(self.argv), "environment": dict(self.environment), "gpu_map": seats}


def study_folder(config: ExperimentConfig, output: Path) -> Path:
    """Where the study of an experiment lies below `output`."""
    return output / re.sub(r"[^\w.-]+", "_", config.training.experiment_name)


def launch_of(config: ExperimentConfig, folder: Path) -> Launch:
    """How the run in `folder` would be started."""
    argv = launch_argv(config, folder, 0)
    argv[argv.index(PORT_OPTION) + 1] = PORT
    processes, gpus = config.launch.num_processes, config.resource.nnodes * gpus_per_node(config)
    engines = tuple(
        tuple(plan.name for plan in group) for group in engine_groups(config, plan_policies(config))
    )
    each = gpus // processes
    seats = tuple(
        Seat(rank, tuple(range(rank * each, (rank + 1) * each)), engines) for rank in range(processes)
    )
    return Launch(tuple(argv), launch_environment(config, {}), seats)
