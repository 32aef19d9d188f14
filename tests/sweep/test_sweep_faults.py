"""What goes wrong in studies is said in words: whole studies of `start_sweep`, whose trials are formulas."""

import contextlib
import json
import math
import warnings
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from pettingllms.errors import RefusedError, UsageError
from pettingllms.sweep import worker
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.start import Asked
from pettingllms.sweep.start_sweep import SweepOptions, start_sweep

SHARED = Path(__file__).parents[1] / "cases" / "shared" / "one_policy.toml"
RANK = 'lora_rank = { sweep = "choice", values = [4, 8, 16], default = 8 }'
ORDERS = """
[multi_agent_interaction.turn_order]
sweep = "choice"
values = [["tool_generator", "reasoning_generator"], ["reasoning_generator", "tool_generator"]]
default = ["tool_generator", "reasoning_generator"]
"""


class Formula:
    """A launcher whose trials have ended when they are looked at first."""

    silent_seconds = 0.0

    def __init__(self, score):
        self.score, self.cells = score, []

    def start(self, cell, folder, *_):
        self.cells.append(cell)
        metrics = {"val/success_rate": self.score(cell)}
        return Ended(TrialResult("complete", 0, metrics, None, folder / "log.txt", None, 0.0))

    def close(self):
        pass


class Ended:
    silent_seconds = 0.0

    def __init__(self, result):
        self.result = result

    def poll(self):
        return self.result

    def stop(self, number, within=None):
        pass

    def kill(self):
        pass


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run the study of a file; returns the exit status, the result and the launcher."""
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(worker, "CLAIM_SECONDS", 0.0)

    def run(body, score=lambda cell: 0.5, name="study.toml", **options):
        file = tmp_path / name
        (tmp_path / "base.toml").write_text(SHARED.read_text())
        file.write_text(f'defaults = ["base", "_self_"]\ntraining.experiment_name = "mine"\n{body}\n')
        launcher = Formula(score)
        wanted = SweepOptions(output=tmp_path / "outputs", **options)
        status = start_sweep(
            Asked(file), wanted, as_json=True, launcher=lambda *_: contextlib.nullcontext(launcher)
        )
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else None, launcher, printed.err

    return run


def test_one_objective_that_is_no_number_fails_its_trial_and_the_study_goes_on(sweep):
    status, found, _, said = sweep(RANK, lambda cell: math.nan if cell.config.lora_rank == 8 else 0.5)
    assert status == 3
    assert [trial["status"] for trial in found["trials"]] == ["complete", "failed", "complete"]
    assert found["trials"][1]["reason"] == "the objective val/success_rate is nan"
    assert "trial 1 failed: the objective val/success_rate is nan" in said


def test_lists_are_swept_without_a_warning_and_reach_the_trials(sweep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, found, launcher, said = sweep(ORDERS)
    assert status == 0
    orders = [list(cell.config.multi_agent_interaction.turn_order) for cell in launcher.cells]
    assert orders == [
        ["tool_generator", "reasoning_generator"],
        ["reasoning_generator", "tool_generator"],
    ]
    assert [trial["values"]["multi_agent_interaction.turn_order"] for trial in found["trials"]] == orders
    assert "warning" not in said.lower()


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_changed_choice_is_refused_and_can_be_carried_over(sweep, sampler):
    rest = '\n[sweep]\nsampler = "tpe"\ntrials = 4' if sampler == "tpe" else ""
    sweep(RANK + rest)
    more = RANK.replace("16]", "16, 32]") + rest.replace("4", "9")
    with pytest.raises(RefusedError, match="lora_rank") as caught:
        sweep(more)
    assert "--new-study" in caught.value.help
    assert "--extend" in caught.value.help
    status, found, launcher, _ = sweep(more, extend=True)
    assert status == 0
    assert len(found["trials"]) == (4 if sampler == "grid" else 9)
    # What had run did not run again.
    assert len(launcher.cells) == (1 if sampler == "grid" else 5)


def test_two_sweeps_of_one_name_in_one_folder_do_not_mix(sweep):
    _, first, _, _ = sweep(RANK, name="one.toml")
    other = RANK.replace("lora_rank", "lora_alpha")
    with pytest.raises(RefusedError, match="lora_alpha"):
        sweep(other, name="two.toml")
    _, second, launcher, _ = sweep(other, name="two.toml", new_study=True)
    assert Path(second["folder"]) == Path(first["folder"] + "-2")
    assert len(launcher.cells) == 3


def test_sqlite_takes_one_job(sweep, tmp_path):
    with pytest.raises(UsageError, match="--jobs 2 on SQLite") as caught:
        sweep(RANK, storage=f"sqlite:///{tmp_path}/study.db", jobs=2)
    assert "PostgreSQL" in caught.value.help


def test_sqlite_with_one_job_works(sweep, tmp_path):
    status, found, _, _ = sweep(RANK, storage=f"sqlite:///{tmp_path}/study.db")
    assert status == 0
    assert len(found["trials"]) == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('[sweep]\nobjectives = [{ metric = "val/success_rate", direction = "max" }]', "PLM006"),
        ('[sweep]\nsampler = "random"\ntrials = 2\ntpe.startup_trials = 5', "PLM417"),
        ('[sweep.space]\n"lora_alpha" = { sweep = "int", low = 8, high = 16, default = 32 }', "PLM408"),
        (
            '[sweep]\npruner.kind = "median"\nobjectives = [{ metric = "time/step" }, { metric = "epoch" }]',
            "PLM418",
        ),
    ],
)
def test_nothing_runs_where_the_study_is_wrong(sweep, body, code):
    status, found, launcher, said = sweep(f"{RANK}\n{body}")
    assert status == 1
    assert found is None
    assert launcher.cells == []
    assert f"error[{code}]" in said
    assert "study.toml:" in said


def test_a_finished_study_is_shown_and_not_run_again(sweep):
    sweep(RANK + '\n[sweep]\nsampler = "random"\ntrials = 3')
    status, found, launcher, said = sweep(RANK + '\n[sweep]\nsampler = "random"\ntrials = 3')
    assert (status, launcher.cells, len(found["trials"])) == (0, [], 3)
    assert "has ended" in said
