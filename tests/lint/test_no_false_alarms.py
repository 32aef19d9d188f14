"""What is right is not complained of: shipped files, and the complete examples of the documented guide."""

from pathlib import Path

import pytest

from pettingllms.cli.experiment_files import experiments_in
from pettingllms.config.presets import config_root, preset_files
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.engine import check_experiment

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "tests/data/guide"
PRESETS = preset_files()
EXPERIMENTS = sorted((ROOT / "experiments").glob("**/*.toml"))
LACKING = {"PLM007", "PLM501", "PLM504"}
"""What this version cannot do."""
COMPLETE = ["complete/code_generation", "complete/single_agent", "lead/math/math_L3_whole"]
WORTH_KNOWING = {"PLM105", "PLM114", "PLM216"}
"""The lead example lets the first agent speak last, has a policy without an agent, and one without `eval`."""


def of(report, severity):
    return {found.code for found in report.diagnostics if found.severity is severity}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_shipped_experiments_are_clean(path):
    assert check_experiment(path).diagnostics == ()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_get_only_what_this_version_lacks(name):
    report = check_experiment(PRESETS[name])
    assert of(report, Severity.ERROR) == of(report, Severity.INFO) == set()
    assert of(report, Severity.WARNING) <= LACKING


@pytest.mark.parametrize("form", ["toml", "yaml"])
@pytest.mark.parametrize("name", COMPLETE)
def test_complete_examples_of_the_guide_are_right_once_they_have_their_models(name, form):
    path = GUIDE / form / f"{name}.{form}"
    report = check_experiment(path)
    # The lead example leaves the models to the reader.
    assert of(report, Severity.ERROR) <= {"PLM204"}
    models = [f"base_models.policy_{number}.path=Qwen/Qwen3-1.7B" for number in range(2)]
    count = len(report.draft.tree.data["base_models"])
    report = check_experiment(path, models[:count])
    assert of(report, Severity.ERROR) == set()
    assert of(report, Severity.WARNING) <= LACKING | WORTH_KNOWING
    assert of(report, Severity.INFO) <= {"PLM215", "PLM318", "PLM319", "PLM902", "PLM906"}


def test_folders_of_shipped_files_hold_no_errors():
    shipped = experiments_in(ROOT / "experiments") + experiments_in(config_root())
    assert set(shipped) == {*EXPERIMENTS, *PRESETS.values()}
    assert {code for path in shipped for code in of(check_experiment(path), Severity.ERROR)} == set()
