"""Run folders with a checkpoint, as training leaves them, but made in a moment."""

import json
from functools import partial

from scripted_experiment import write_experiment

from pettingllms.config.trial_file import trial_toml
from pettingllms.lint.engine import check_experiment
from pettingllms.runs.checkpoints import FORMAT, seal, step_folder


def make_run(folder, model, *overrides):
    """A run folder of the scripted experiment, without a checkpoint."""
    folder.mkdir(parents=True)
    experiment = check_experiment(write_experiment(folder, model, "experiment.toml"), overrides).experiment
    (folder / "trial.toml").write_text(trial_toml(experiment.stored))
    return folder


def save(run, step, policies, root=None):
    """A checkpoint of `step`; `policies`: by name, a function that writes the policy's folder."""
    folder = step_folder(root or run / "checkpoints", step)
    for number, write in enumerate(policies.values()):
        write(folder / "policies" / str(number))
    told = [{"name": name, "version": step} for name in policies]
    (folder / "state.json").write_text(json.dumps({"format": FORMAT, "step": step, "policies": told}))
    (folder / "trial.toml").write_text((run / "trial.toml").read_text())
    seal(folder)
    return folder


def seal_again(folder):
    """Make a changed checkpoint whole."""
    (folder / "manifest.json").unlink()
    seal(folder)


def empty_adapter(folder):
    """What the scripted engine takes for an adapter."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")


SCRIPTED = {"tool policy": empty_adapter, "reason/policy": empty_adapter}

save_scripted = partial(save, policies=SCRIPTED)
