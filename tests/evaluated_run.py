"""Run folders with a checkpoint, as training leaves them, but made in a moment."""

import hashlib
import json

from scripted_experiment import write_experiment

from pettingllms.config.trial_file import trial_toml
from pettingllms.lint.engine import check_experiment


def make_run(folder, model, *overrides):
    """A run folder of the scripted experiment, without a checkpoint."""
    folder.mkdir(parents=True)
    experiment = check_experiment(write_experiment(folder, model, "experiment.toml"), overrides).experiment
    (folder / "trial.toml").write_text(trial_toml(experiment.stored))
    return folder


def seal(folder):
    """Write the manifest of a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    listed = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))


def save(root, step, policies, version=None):
    """A checkpoint of `step` below `root`; `policies`: a function that writes each named policy's folder."""
    folder = root / f"step_{step:06d}"
    for number, write in enumerate(policies.values()):
        write(folder / "policies" / str(number))
    told = [{"name": name, "version": step if version is None else version} for name in policies]
    (folder / "state.json").write_text(json.dumps({"format": 2, "step": step, "policies": told}))
    seal(folder)
    return folder


def empty_adapter(folder):
    """What the scripted engine takes for an adapter."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")


SCRIPTED = {"tool policy": empty_adapter, "reason/policy": empty_adapter}
