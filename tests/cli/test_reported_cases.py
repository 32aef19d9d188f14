"""Faults that users of configuration tools really met, each as a small input with its right behaviour."""

import re
from pathlib import Path

import pytest

from pettingllms.cli.app import run
from pettingllms.compose.untyped import read_untyped
from pettingllms.config.fields import ExperimentSchema

DATA = Path(__file__).parents[1] / "data"
TWO_AGENTS = str(Path(__file__).parents[1] / "cases" / "valid" / "two_agents.toml")


@pytest.fixture
def told(capsys):
    """Run a command; return its exit code and everything that it printed."""

    def call(*words):
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


@pytest.fixture
def write(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


def resolved(path, *overrides):
    return read_untyped(path, overrides, schema=ExperimentSchema()).resolution.data


def test_a_misspelt_key_on_the_command_line_is_answered_with_the_key_meant(told):
    code, text = told("lint", TWO_AGENTS, "-s", "training.resample_frq=3")
    assert code == 1
    assert "did you mean training.resample_freq?" in text
    assert told("lint", TWO_AGENTS, "-s", "training.resample_freq=3")[0] == 0


@pytest.mark.parametrize("value", ["a@b#c%d", "ck/epoch=9", "3B", "a,b", "x: y", "123", "=="])
def test_special_characters_in_a_value_are_taken_as_they_are(value):
    assert resolved(Path(TWO_AGENTS), f"training.project_name={value}")["training"]["project_name"] == value


def test_a_misspelt_section_is_never_added(told):
    code, text = told("lint", TWO_AGENTS, "-s", "trainning.val_freq=5")
    assert code == 1
    assert "did you mean training.val_freq?" in text
    assert "+trainning" not in text


def test_a_whole_section_is_merged_or_replaced_from_the_command_line():
    path = Path(TWO_AGENTS)
    merged = resolved(path, "resource={nnodes=1,trust_remote_code=true}")["resource"]
    assert merged == {"nnodes": 1, "n_gpus_per_node": 0, "trust_remote_code": True}
    assert resolved(path, "resource:={nnodes=1}")["resource"] == {"nnodes": 1}
    assert resolved(path, "resource={nnodes: 1, trust_remote_code: true}")["resource"] == merged


def test_the_null_default_of_an_environment_variable_is_a_null(write, monkeypatch):
    monkeypatch.delenv("NOPE", raising=False)
    path = write("e.yaml", "training: {epoch_size: '${oc.env:NOPE,null}'}\n")
    assert resolved(path)["training"]["epoch_size"] is None


def test_anchors_and_nested_merge_keys_are_expanded_and_said_so(write, told, tmp_path):
    text = """
base: &base {temperature: 1.0, top_p: 0.9}
more: &more
  <<: *base
  top_k: 20
agents:
  one:
    <<: *more
    top_p: 1
  two:
    <<: [*more, *base]
"""
    path = write("anchors.yaml", text)
    agents = resolved(path)["agents"]
    assert agents["one"] == {"temperature": 1.0, "top_p": 1, "top_k": 20}
    assert agents["two"] == {"temperature": 1.0, "top_p": 0.9, "top_k": 20}
    code, ledger = told("convert", "--check", path)
    assert code == 0
    assert re.search(r"anchors\.yaml:4: .*what &base marks", ledger)
    assert told("convert", path, tmp_path / "anchors.toml")[0] == 0
    assert resolved(tmp_path / "anchors.toml")["agents"] == agents


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.yaml", "training:\n  max_prompt_length: 1\n  val_freq: 2\n  max_prompt_length: 3\n"),
        ("e.toml", "[training]\nmax_prompt_length = 1\n\nmax_prompt_length = 3\n"),
        ("e.toml", "\ntraining.seed = 1\n\n[training]\nval_freq = 1\n"),
        ("e.toml", "\ntraining = { seed = 1 }\n\n[training.more]\nval_freq = 1\n"),
        ("e.toml", "\n[[training]]\nseed = 1\n[training]\nval_freq = 1\n"),
    ],
)
def test_a_key_set_twice_is_an_error_with_both_lines(write, told, name, text):
    code, said = told("lint", write(name, text))
    assert code == 1
    assert "first on line 2" in said
    assert f"{name}:4" in said


def test_a_number_with_an_exponent_is_a_number_and_stays_as_written(write, told, tmp_path):
    path = write("e.yaml", "optim:\n  lr: 5e-6\n  threshold: 1e5\n")
    assert told("convert", path, tmp_path / "e.toml")[0] == 0
    assert (tmp_path / "e.toml").read_text() == "[optim]\nlr = 5e-6\nthreshold = 1e5\n"
    assert resolved(path)["optim"] == {"lr": 5e-6, "threshold": 1e5}


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_a_trainer_fragment_is_called_one_instead_of_listing_its_keys(told, tmp_path, suffix):
    source = DATA / "upstream-configs" / "ppo_trainer" / "eval.yaml"
    path = tmp_path / f"eval.{suffix}"
    path.write_text(source.read_text())
    if suffix == "toml":
        path.unlink()
        assert told("convert", source, path)[0] == 0
    code, text = told("lint", path)
    assert code == 1
    assert text.count("error[") == 1
    assert "this looks like a trainer fragment" in text


def test_an_unknown_key_is_an_error_and_never_ignored(told):
    code, text = told("lint", TWO_AGENTS, "-s", "++training.quantizaton=4bit")
    assert code == 1
    assert "training.quantizaton" in text


def test_a_key_in_the_wrong_section_says_where_it_belongs(write, told):
    text = Path(TWO_AGENTS).read_text().replace("[resource]\n", "[resource]\nmax_turns = 5\n")
    code, said = told("lint", write("e.toml", text))
    assert code == 1
    assert "max_turns belongs in [env]" in said


def test_a_new_key_below_a_dotted_one_swallows_nothing(write, told):
    path = write("e.toml", "env.options.digits = 1\nlora_rank = 2 # rank\n")
    assert told("set", path, "+env.options.more.deep=1")[0] in (0, 1)
    assert resolved(path) == {"env": {"options": {"digits": 1, "more": {"deep": 1}}}, "lora_rank": 2}
    assert "lora_rank = 2 # rank" in path.read_text()


def test_a_date_where_text_is_meant(write, told):
    toml = Path(TWO_AGENTS).read_text().replace("[training]\n", "[training]\nexperiment_name = 2024-10-15\n")
    code, text = told("lint", write("e.toml", toml))
    assert code == 1
    assert 'quote it: "2024-10-15"' in text
    path = write("e.yaml", "training:\n  experiment_name: 2024-10-15\n")
    assert resolved(path)["training"]["experiment_name"] == "2024-10-15"


def test_a_comma_starts_no_sweep():
    assert resolved(Path(TWO_AGENTS), "training.experiment_name=a,b")["training"]["experiment_name"] == "a,b"
