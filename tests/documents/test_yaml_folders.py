"""Which files of a folder are taken for experiments, in both formats."""

import logging
from pathlib import Path

import pytest

from pettingllms.cli.experiment_files import experiments_in, is_experiment

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("# yaml-language-server: $schema=../schemas/experiment.schema.json\n", True),
        ("# yaml-language-server: $schema=https://example.org/other.json\ntraining: {}\n", False),
        ("#:schema ../schemas/experiment.schema.json\n", True),
        ("format: 1\n", True),
        ("---\nmodels:\n  model_0: [\n", True),
        ("\ufefftraining:\r\n  seed: 1\r\n", True),
        ("training :\n", True),
        ("defaults:\n  - env: code\n  - _self_\n", True),
        ("defaults: [env]\n", True),
        ("defaults:\n  run: {}\n", False),
        ("# @package _global_\ntraining:\n  seed: 1\n", False),
        ("actor_rollout_ref:\n  model: {}\n", False),
        ("tool:\n  training: 1\n", False),
        ("training_steps: 1\n", False),
        ("training:1\n", False),
        ("", False),
    ],
)
def test_a_yaml_experiment_is_known_by_its_root_keys(tmp_path, text, answer):
    (tmp_path / "x.yaml").write_bytes(text.encode())
    assert is_experiment(tmp_path / "x.yaml") is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('defaults = [\n  "env",\n]\n', True),
        ("# @package _global_\n[training]\nseed = 1\n", False),
        ("\ufeff[training]\r\nseed = 1\r\n", True),
    ],
)
def test_a_toml_experiment_may_only_include_and_a_fragment_is_none(tmp_path, text, answer):
    (tmp_path / "x.toml").write_bytes(text.encode())
    assert is_experiment(tmp_path / "x.toml") is answer


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "3 experiments"),
        (["o.toml"], "3 experiments, 1 other TOML file skipped"),
        (["o.yaml", "o.yml"], "3 experiments, 2 other YAML files skipped"),
        (["o.toml", "o.yaml"], "3 experiments, 1 other TOML file and 1 other YAML file skipped"),
    ],
)
def test_both_formats_are_taken_in_order_of_name_and_the_rest_is_counted(tmp_path, caplog, others, words):
    for name, text in [("b.YML", "training:\n"), ("a.yaml", "format: 1\n"), ("c.toml", "format = 1\n")]:
        (tmp_path / name).write_text(text)
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "training.json").write_text("training: 1\n")
    with caplog.at_level(logging.INFO):
        assert [file.name for file in experiments_in(tmp_path)] == ["a.yaml", "b.YML", "c.toml"]
    assert caplog.messages == ([f"{tmp_path}: {words}"] if others else [])


def test_a_folder_without_experiments_says_so(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert experiments_in(tmp_path) == []
    assert caplog.messages == [f"{tmp_path}: 0 experiments, no other TOML or YAML file skipped"]


def test_real_experiments_are_found_and_trainer_fragments_are_not():
    found = {str(file.relative_to(DATA)) for file in experiments_in(DATA / "upstream-configs")}
    assert "upstream-configs/math/math_L2_lora.yaml" in found
    assert not [name for name in found if "ppo_trainer" in name]
