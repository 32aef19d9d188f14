"""Finding checkpoints and telling whole ones from damaged ones."""

import json

import pytest
from evaluated_run import SCRIPTED, empty_adapter, make_run, save, seal

from pettingllms.errors import CheckpointError, RefusedError, UsageError
from pettingllms.evaluation.checkpoints import checkpoint_root, newest_checkpoint, read_checkpoint
from pettingllms.evaluation.source import read_source


def read(named, step=None, *overrides):
    return read_source(named, step, overrides, here=False)


def test_the_newest_whole_one_is_taken_and_damaged_ones_are_named(tmp_path):
    for step in (9, 10, 11):
        save(tmp_path, step, SCRIPTED)
    (tmp_path / "step_000011" / "policies" / "1" / "adapter_config.json").write_text("{ }")
    said = []
    found = newest_checkpoint(tmp_path, said.append)
    assert (found.step, found.folder.name) == (10, "step_000010")
    assert {name: (one.version, one.folder.name) for name, one in found.policies.items()} == {
        "tool policy": (10, "0"),
        "reason/policy": (10, "1"),
    }
    assert all(one.is_adapter for one in found.policies.values())
    (text,) = said
    assert "step_000011" in text and "policies/1/adapter_config.json" in text


def test_files_that_are_not_read_are_not_hashed(tmp_path):
    folder = save(tmp_path, 1, SCRIPTED)
    (folder / "state.safetensors").write_bytes(b"moments")
    seal(folder)
    (folder / "state.safetensors").unlink()
    assert read_checkpoint(folder).step == 1


def without_weights(folder):
    (folder / "policies" / "0" / "adapter_model.safetensors").unlink()


def one_byte_more(folder):
    with (folder / "policies" / "0" / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")


def half_a_manifest(folder):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text[: len(text) // 2])


def empty_manifest(folder):
    (folder / "manifest.json").write_text('{"files": {}}')


def other_state(folder):
    (folder / "state.json").write_text('{"step": 1, "policies": []}')


def sealed_nonsense(folder):
    (folder / "state.json").write_text('{"step": 1}')
    seal(folder)


def a_policy_too_many(folder):
    state = json.loads((folder / "state.json").read_text())
    state["policies"].append({"name": "third", "version": 1})
    (folder / "state.json").write_text(json.dumps(state))
    seal(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_weights, "adapter_model.safetensors: No such file"),
        (one_byte_more, "adapter_model.safetensors is not what was written"),
        (half_a_manifest, "manifest.json cannot be read"),
        (empty_manifest, "lists no state.json"),
        (other_state, "state.json is not what was written"),
        (sealed_nonsense, "state.json has no 'policies'"),
        (a_policy_too_many, "no weights of policy 'third'"),
    ],
)
def test_damage_is_named(tmp_path, damage, words):
    folder = save(tmp_path, 1, SCRIPTED)
    damage(folder)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(folder)


def test_a_run_a_checkpoint_and_a_step_of_it_are_sources(run_folder, tmp_path):
    newest = read(run_folder)
    assert (newest.run, newest.checkpoint.step) == (run_folder, 2)
    assert newest.title == f"{run_folder}, step 2"
    older = run_folder / "checkpoints" / "step_000001"
    assert read(run_folder, 1).checkpoint == read(older).checkpoint
    assert read(older).run == run_folder
    file = run_folder / "experiment.toml"
    assert (read(file).run, read(file).checkpoint) == (None, None)
    assert read(run_folder, None, "training.seed=9").config.training.seed == 9


def test_checkpoints_outside_of_the_run_folder_are_found_by_the_run(tmp_path, tiny_model):
    big = tmp_path / "big"
    run = make_run(tmp_path / "study" / "trial_0003", tiny_model, f"training.model_checkpoints_dir={big}")
    assert checkpoint_root(run, str(big)) == big / "study-trial_0003"
    folder = save(big / "study-trial_0003", 4, SCRIPTED)
    assert read(run).checkpoint.folder == folder
    with pytest.raises(UsageError, match=r"no folder above it holds trial\.toml"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "step", "words"),
    [
        (".", None, "neither a run nor a checkpoint"),
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
    save(run / "checkpoints", 1, {"tool policy": empty_adapter})
    with pytest.raises(UsageError, match="holds no policy 'reason/policy'"):
        read(run)
