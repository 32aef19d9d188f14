"""The files of tests/cases that are named after a rule, and what linting one of them finds."""

from pathlib import Path

from pettingllms import loggers
from pettingllms.lint.facts import Facts
from pettingllms.lint.files.batch import check_or_raise
from pettingllms.lint.files.checked import CheckOptions, Named

CASES = Path(__file__).parents[1] / "cases"
FACTS = {
    "PLM303": Facts(gpus=1),
    "PLM304": Facts(gpus=0),
    "PLM315": Facts.assumed("gpus=1,gpu_memory=8GiB"),
    "PLM316": Facts.assumed("disk=200MiB"),
    "PLM321": Facts(local=True),
    "PLM323": Facts(local=True),
    "PLM508": Facts(local=True),
    "PLM511": Facts(local=True),
}
"""The machine that a rule needs to say anything, or to have something to say about."""
PACKAGES = {"tensorboard": "json", "wandb": "not_installed_anywhere"}
"""What loggers need: one is installed for these files and the other is not, wherever the tests run."""


def cases_in(folder):
    return sorted([*CASES.glob(f"{folder}/PLM*.toml"), *CASES.glob(f"{folder}/PLM*.yaml")])


def code_of(path):
    return path.stem.split("-")[0]


def overrides_of(path):
    listed = path.with_suffix(".overrides")
    return listed.read_text().splitlines() if listed.is_file() else []


def report_of(path, monkeypatch, *overrides):
    """What is found in the file, linted from its own folder, with `overrides` after those beside it."""
    monkeypatch.chdir(path.parent)
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    for name, package in PACKAGES.items():
        monkeypatch.setitem(loggers.PACKAGES, name, package)
    listed = (*overrides_of(path), *overrides)
    options = CheckOptions(overrides=listed, facts=FACTS.get(code_of(path)))
    return check_or_raise(Named(Path(path.name)), options)
