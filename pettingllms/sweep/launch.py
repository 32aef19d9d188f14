"""From a trial to the command, settings and environment of `accelerate launch`; pure, started elsewhere.

Nothing that a user configured for other projects reaches a trial: the settings file replaces
`default_config.yaml`, every launch value is passed, and inherited launch variables are dropped.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import cpu_threads
from pettingllms.process import ENGINE_HOST

WORKER = "pettingllms.training.worker"
"""The module that accelerate starts, with the run folder as its only argument."""

_FOR_ALL = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    # Each step starts threads anew, and glibc gives a new thread an arena of its own, which is never given
    # back: two for all of them keep a long run as small as it was.
    "MALLOC_ARENA_MAX": "2",
}
# Variables by which accelerate, torchrun and MPI tell a process that it is one of many, or how to train, and
# by which another trial finds its engine.
_FOREIGN_PREFIXES = ("ACCELERATE_", "FSDP_", "DEEPSPEED_", "TORCHELASTIC_", "PMI_", "OMPI_COMM_", "MV2_COMM_")
_FOREIGN = {
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    ENGINE_HOST,
}


def accelerate_settings(config: ExperimentConfig) -> dict[str, Any]:
    """The launcher's settings file: one plain process, or several on one machine.

    Flags cannot say this alone: without `--cpu` the launcher takes the distributed type and the plug-ins
    from the user's own file, and no flag turns them off.
    """
    several = config.launch.num_processes > 1
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU" if several else "NO",
        "mixed_precision": "no",
        # Where this is true the launcher starts one process whatever it is asked for.
        "use_cpu": config.training.device == "cpu" and not several,
        "debug": False,
        "num_processes": config.launch.num_processes,
        "num_machines": 1,
        "machine_rank": 0,
        "enable_cpu_affinity": False,
    }


def launch_argv(config: ExperimentConfig, folder: Path, port: int, cores: int | None = None) -> list[str]:
    """The command that runs the trial in `folder`, which holds `trial.toml` and `accelerate.json`.

    `cores`: how many it may use; by default all that this process may.
    """
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(folder / "accelerate.json")),
        *("--num_processes", str(config.launch.num_processes)),
        *("--num_machines", "1"),
        *("--machine_rank", "0"),
        *("--mixed_precision", "no"),
        *("--dynamo_backend", "no"),
        *("--main_process_port", str(port)),
        *("--num_cpu_threads_per_process", str(cpu_threads(config, cores))),
        *_kind_of_launch(config),
        *("-m", WORKER, str(folder)),
    ]


def _kind_of_launch(config: ExperimentConfig) -> list[str]:
    """`--cpu` means one process; several start as if for GPUs, and a variable says that there are none."""
    if config.launch.num_processes > 1:
        return ["--multi_gpu"]
    return ["--cpu"] if config.training.device == "cpu" else []


def launch_environment(
    config: ExperimentConfig, inherited: Mapping[str, str], cores: int | None = None
) -> dict[str, str]:
    """The variables of the trial's process: `inherited` without foreign launch values, and our own.

    Which GPUs are visible is the user's choice and stays. `cores` as in `launch_argv`.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
    }
    own = _FOR_ALL | {"OMP_NUM_THREADS": str(cpu_threads(config, cores))}
    if config.launch.num_processes > 1 and config.training.device == "cpu":
        # Processes of one machine speak over the loopback interface.
        own |= {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo"}
    return kept | own


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
