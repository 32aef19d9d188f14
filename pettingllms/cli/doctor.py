"""`pettingllms doctor`: what is installed, what this machine has, and what a trial could use."""

from __future__ import annotations

import os
import platform
from typing import Annotated, Any

import typer


def doctor(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show what is installed, what this machine has, and what a trial could use here."""
    from json import dumps

    findings = examine()
    typer.echo(dumps(findings, indent=2) if json else "\n".join(as_text(findings)))


def examine() -> dict[str, Any]:
    """Look at this machine; imports none of the trainer's packages."""
    from pettingllms.lint.facts import Facts
    from pettingllms.models.embedded import NAME, cache_folder, is_converted
    from pettingllms.process import usable_cores
    from pettingllms.sandbox.probes import probed
    from pettingllms.sweep.packages import EMBEDDED_MODEL_MODULES, installed_versions, missing

    gpus = Facts.here().gpus
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": installed_versions(),
        "cores": {"usable": usable_cores(), "all": os.cpu_count()},
        "memory_gib": memory_gib(),
        "gpus": gpus,
        "embedded_model": {
            "name": NAME,
            "missing_packages": missing(EMBEDDED_MODEL_MODULES),
            "converted": is_converted(),
            "cache": str(cache_folder()),
        },
        "sandbox": probed().data(),
        "entry_points": overshadowed(),
        "trials": {"cpu": obstacles("cpu", 0), "cuda": obstacles("cuda", gpus or 0)},
    }


def overshadowed() -> list[str]:
    """What is wrong with names that installed packages add."""
    from pettingllms.agents import AGENTS
    from pettingllms.envs import DATASETS, ENVS

    return [text for registry in (ENVS, AGENTS, DATASETS) for text in registry.overshadowed()]


def memory_gib() -> float | None:
    """Main memory in GiB; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def obstacles(device: str, gpus: int) -> list[str]:
    """What keeps a trial with `training.device = device` from running here; empty when nothing does."""
    from pettingllms.sweep.packages import TRAINER_MODULES, missing

    found = []
    if device == "cuda" and not gpus:
        found.append("no NVIDIA GPU is visible")
    if absent := missing([*TRAINER_MODULES, "vllm", "optuna"]):
        found.append(f"{', '.join(absent)} not installed; install with: uv sync --extra {device}")
    return found


def as_text(findings: dict[str, Any]) -> list[str]:
    """The lines that people read."""
    from pettingllms.sandbox.probes import as_lines

    cores, memory, model = findings["cores"], findings["memory_gib"], findings["embedded_model"]
    absent = ", ".join(model["missing_packages"])
    state = (
        "converted" if model["converted"] else f"not installed ({absent} missing)" if absent else "installed"
    )
    if state == "installed":
        state += ", converted at its first use (about 20 s)"
    lines = [f"python      {findings['python']} on {findings['platform']}"]
    lines += [f"  {name:<14}{version or 'not installed'}" for name, version in findings["packages"].items()]
    lines += [
        f"cores       {cores['usable']} usable of {cores['all']}",
        f"memory      {f'{memory} GiB' if memory else 'unknown'}",
        f"gpus        {findings['gpus']}",
        f"model       {model['name']}: {state}",
        f"            {model['cache']}",
    ]
    lines += [
        f"{'' if number else 'sandbox':12}{line}" for number, line in enumerate(as_lines(findings["sandbox"]))
    ]
    lines += [
        f"{'' if number else 'plug-ins':12}{text}" for number, text in enumerate(findings["entry_points"])
    ]
    for device, reasons in findings["trials"].items():
        lines.append(f'device = "{device}"'.ljust(18) + ("; ".join(reasons) or "a trial can run here"))
    return lines
