"""What a person may name to be evaluated, and what is said of everything else."""

import json
import shutil

import pytest
from evaluated_run import empty_adapter, make_run, save, save_scripted, seal_again

from pettingllms.errors import CheckpointError, RefusedError, UsageError
from pettingllms.evaluation.source import read_source
from pettingllms.runs.checkpoints import checkpoint_root


def read(named, step=None, *overrides):
    return read_source(named, step, overrides, here=False)


def test_a_run_a_checkpoint_and_a_step_of_it_are_sources(run_folder):
    newest = read(run_folder)
    assert (newest.run, newest.checkpoint.step) == (run_folder, 2)
    assert newest.title == f"{run_folder}, step 2"
    assert {name: (one.version, one.folder.name) for name, one in newest.checkpoint.policies.items()} == {
        "tool policy": (2, "0"),
        "reason/policy": (2, "1"),
    }
    assert all(one.is_adapter for one in newest.checkpoint.policies.values())
    older = run_folder / "checkpoints" / "step_000001"
    assert read(run_folder, 1).checkpoint == read(older).checkpoint
    assert read(older).run == run_folder
    file = run_folder / "experiment.toml"
    assert (read(file).run, read(file).checkpoint, read(file).title) == (
        None,
        None,
        f"{file}, before training",
    )
    assert read(run_folder, None, "training.seed=9").config.training.seed == 9


def test_damaged_checkpoints_are_passed_over_and_named(run_folder, capsys):
    folder = run_folder / "checkpoints" / "step_000002"
    (folder / "policies" / "1" / "adapter_config.json").write_text("{ }")
    assert read(run_folder).checkpoint.step == 1
    said = capsys.readouterr().err
    assert "step_000002" in said and "policies/1/adapter_config.json" in said
    with pytest.raises(CheckpointError, match=r"adapter_config\.json has 3 bytes"):
        read(folder)
    with pytest.raises(CheckpointError, match="is damaged"):
        read(run_folder, 2)


def test_a_checkpoint_without_the_weights_of_a_policy_is_damaged(run_folder):
    folder = run_folder / "checkpoints" / "step_000002"
    state = json.loads((folder / "state.json").read_text())
    state["policies"].append({"name": "third", "version": 1})
    (folder / "state.json").write_text(json.dumps(state))
    seal_again(folder)
    with pytest.raises(CheckpointError, match="no weights of policy 'third'"):
        read(folder)


def test_a_checkpoint_brings_the_experiment_under_which_it_was_written(run_folder):
    trial = run_folder / "trial.toml"
    trial.write_text(trial.read_text().replace("total_training_steps = 2", "total_training_steps = 4"))
    assert read(run_folder).config.training.total_training_steps == 2


def test_checkpoints_may_lie_outside_of_their_run(tmp_path, tiny_model):
    big = tmp_path / "big"
    run = make_run(tmp_path / "study" / "trial_0003", tiny_model, f"training.model_checkpoints_dir={big}")
    root = checkpoint_root(run, str(big))
    folder = save_scripted(run, 4, root=root)
    assert (read(run).checkpoint.folder, read(run).run) == (folder, run)
    assert (read(folder).checkpoint.step, read(folder).run) == (4, None)


@pytest.mark.parametrize(
    ("name", "step", "words"),
    [
        ("nothing", None, "neither a run nor a checkpoint"),
        (".", None, "holds runs, and is none"),
        ("run/checkpoints", None, "holds the checkpoints of a run"),
        ("torn", None, "torn is a run without its trial.toml"),
        ("run", 7, "no checkpoint of step 7"),
        ("run/checkpoints/step_000001", 1, "is a checkpoint already"),
        ("run/experiment.toml", 1, "is an experiment file"),
        ("study", None, "is a study"),
        ("untrained", None, "holds no checkpoint"),
    ],
)
def test_what_is_no_source_is_said(run_folder, tmp_path, tiny_model, name, step, words):
    make_run(tmp_path / "study" / "trial_0000", tiny_model)
    make_run(tmp_path / "untrained", tiny_model)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "torn" / "checkpoints" / "step_000001").mkdir(parents=True)
    with pytest.raises(UsageError, match=words) as caught:
        read(tmp_path / name, step)
    assert caught.value.help


def test_a_missing_file_is_unreadable_and_a_faulty_one_refused(tmp_path, run_folder, capsys):
    with pytest.raises(UsageError):
        read(tmp_path / "nowhere.toml")
    assert "PLM002" in capsys.readouterr().err
    with pytest.raises(RefusedError):
        read(run_folder, None, "env.max_turns=0")
    assert "PLM006" in capsys.readouterr().err


def test_a_checkpoint_of_other_policies_is_no_source(tmp_path, tiny_model):
    run = make_run(tmp_path / "run", tiny_model)
    save(run, 1, {"tool policy": empty_adapter})
    with pytest.raises(UsageError, match="holds no policy 'reason/policy'"):
        read(run)


def test_half_a_copy_of_a_run_is_told_as_what_it_is(run_folder):
    trial = run_folder / "trial.toml"
    whole = trial.read_text()
    trial.write_text(whole[:100])
    with pytest.raises(UsageError, match=r"trial\.toml cannot be read: ") as caught:
        read(run_folder)
    assert "one of the run's checkpoints" in caught.value.help
    trial.write_text(whole)
    newest = run_folder / "checkpoints" / "step_000002"
    for name in ("manifest.json", "state.json", "trial.toml"):
        (newest / name).unlink()
    shutil.rmtree(newest / "policies")
    with pytest.raises(CheckpointError, match=r"step_000002 is damaged: manifest\.json is missing"):
        read(newest)
    (run_folder / "checkpoints" / "step_000001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="holds no whole checkpoint"):
        read(run_folder)
