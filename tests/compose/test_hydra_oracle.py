"""Real files: our resolved tree, from YAML and from TOML, is what Hydra composes and OmegaConf resolves."""

import shutil
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException
from hydra_reference import BROKEN, AnyKey, differences, hydra_tree, leaves, our_tree
from yaml.constructor import ConstructorError

from pettingllms.cli.app import run
from pettingllms.config.fields import ExperimentSchema
from pettingllms.documents.source import DocumentError

DATA = Path(__file__).resolve().parents[1] / "data"
SHIPPED = Path(__file__).resolve().parents[2] / "pettingllms/config/ppo_trainer"
FILES = [path.relative_to(DATA) for path in sorted(DATA.glob("*-configs/**/*.yaml"))]
# Hydra finds no such fragment: `ppo_trainer@…` without `../`, and a tree that has no such folder.
MISSING = {
    Path("upstream-configs/math/math_aggretion.yaml"): "math/ppo_trainer",
    Path("fork-configs/fork-a/math/math_aggretion.yaml"): "math/ppo_trainer",
    Path("fork-configs/fork-b/math/math_L3_model.yaml"): "ppo_trainer",
}
# Both refuse these: a key is written twice. With the lines of both.
TWICE = {
    Path("fork-configs/fork-a/code/code_L0_prompt.yaml"): ("models", 26, 79),
    Path("fork-configs/fork-a/code/code_L1_lora.yaml"): ("project_name", 79, 83),
}
COMPOSED = [path for path in FILES if path not in MISSING and path not in TWICE]
FORMATS = ("yaml", "toml", "toml over yaml", "yaml over toml")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The folder of the data in each form; in the mixed ones the trainer fragments have the other format."""
    folder = tmp_path_factory.mktemp("trees")
    as_toml, toml_yaml, yaml_toml = folder / "toml", folder / "toml_yaml", folder / "yaml_toml"
    for name, refused in (("upstream-configs", False), ("fork-configs", True)):
        assert run(["convert", str(DATA / name), str(as_toml / name)]) == int(refused)
        shutil.copytree(DATA / name, yaml_toml / name)
    shutil.copytree(as_toml, toml_yaml)
    for fragments in DATA.glob("*-configs/**/ppo_trainer"):
        place = fragments.relative_to(DATA)
        shutil.rmtree(toml_yaml / place)
        shutil.copytree(fragments, toml_yaml / place)
        shutil.rmtree(yaml_toml / place)
        shutil.copytree(as_toml / place, yaml_toml / place)
    return dict(zip(FORMATS, (DATA, as_toml, toml_yaml, yaml_toml), strict=True))


def written_as(trees, form, path):
    found = [trees[form] / path.with_suffix(suffix) for suffix in (".yaml", ".toml")]
    return next(file for file in found if file.is_file())


def hydra_of(path):
    return hydra_tree(DATA / path.parent, path.stem)


def broken(tree):
    return {path for path, value in leaves(tree) if value == BROKEN}


def faults(findings):
    """Findings but those about how a YAML file is written."""
    return [finding for finding in findings if not finding.code.startswith(("PLM6", "PLM215"))]


def test_all_files_are_here():
    upstream = [path for path in FILES if path.parts[0] == "upstream-configs"]
    assert (len(upstream), len(FILES)) == (33, 51)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("path", COMPOSED, ids=str)
def test_every_leaf_is_what_hydra_gives(path, form, trees):
    theirs = hydra_of(path)
    ours, findings = our_tree(written_as(trees, form, path))
    assert differences(ours, theirs) == []
    # Each reference that fails in OmegaConf is one finding, at its place, and there is no other.
    assert {finding.path for finding in faults(findings)} == broken(theirs)


def test_how_many_files_resolve_in_full():
    upstream = [path for path in COMPOSED if path.parts[0] == "upstream-configs"]
    counts = [len(broken(hydra_of(path))) for path in upstream]
    assert (counts.count(0), len(counts)) == (24, 32)


@pytest.mark.parametrize("form", ["yaml", "toml"])
@pytest.mark.parametrize("path", MISSING, ids=str)
def test_a_fragment_that_hydra_does_not_find_is_the_shipped_one(path, form, trees, tmp_path):
    """A name is also looked up in the shipped presets; Hydra agrees once they stand where it looks."""
    with pytest.raises(MissingConfigException):
        hydra_of(path)
    ours, findings = our_tree(written_as(trees, form, path))
    (tmp_path / "math").mkdir()
    shutil.copy(DATA / path, tmp_path / "math")
    assert run(["convert", str(SHIPPED), str(tmp_path / MISSING[path]), "--to", "yaml"]) == 0
    theirs = hydra_tree(tmp_path / "math", path.stem)
    assert differences(ours, theirs) == []
    assert {finding.path for finding in faults(findings)} == broken(theirs)


@pytest.mark.parametrize("path", TWICE, ids=str)
def test_a_key_that_is_written_twice_is_refused_by_both(path):
    key, first, second = TWICE[path]
    with pytest.raises(ConstructorError):
        hydra_of(path)
    with pytest.raises(DocumentError) as refused:
        our_tree(DATA / path)
    finding = refused.value.finding
    assert finding.message == f"{key} is set twice, first on line {first}"
    assert finding.place.span.line == second


def test_a_missing_fragment_that_is_not_shipped_either_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("defaults:\n- nowhere@models.model_0: eval\n- _self_\na: 1\n")
    with pytest.raises(MissingConfigException):
        hydra_tree(tmp_path, "x")
    _, (finding,) = our_tree(path)
    assert finding.code == "PLM211"
    assert "nowhere/eval" in finding.message
    assert (finding.place.span.line, finding.place.source.name) == (2, str(path))


TRAINER = "models.model_0.ppo_trainer_config"
GOLDEN = {
    "filter_method": "dapo",
    "filter_ratio": 0,
    "data.max_prompt_length": 4096,
    "data.train_batch_size": 128,
    "actor_rollout_ref.model.path": "Qwen/Qwen3-1.7B",
    "actor_rollout_ref.rollout.temperature": 0.7,
    "actor_rollout_ref.rollout.prompt_length": 4096,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 4,
    "actor_rollout_ref.rollout.n": 1,
    "actor_rollout_ref.actor.optim.lr": 5e-06,
    "actor_rollout_ref.actor.grad_norm_threshold": 100000.0,
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 49152,
    "actor_rollout_ref.trainer.n_gpus_per_node": 4,
    "trainer.n_gpus_per_node": 1,
    "critic.model.tokenizer_path": "~/models/deepseek-llm-7b-chat",
    "critic.forward_micro_batch_size": None,
    "critic.model.trust_remote_code": False,
}


def how_many(value):
    """Leaves of a tree where a list is one, and an empty section is none."""
    return sum(map(how_many, value.values())) if isinstance(value, dict) else 1


@pytest.mark.parametrize("schema", [AnyKey(), ExperimentSchema()], ids=("any key", "our schema"))
@pytest.mark.parametrize("form", FORMATS)
def test_golden_facts_of_a_composed_file_with_overrides(form, schema, trees):
    overrides = (
        "training.sample_temperature=0.7",
        "resource.n_gpus_per_node=4",
        "base_models.policy_0.path=Qwen/Qwen3-1.7B",
    )
    path = Path("upstream-configs/math/math_L1_prompt.yaml")
    ours, findings = our_tree(written_as(trees, form, path), overrides, schema)
    assert faults(findings) == []
    assert how_many(ours) == 327
    found = {".".join(map(str, leaf)): value for leaf, value in leaves(ours)}
    golden = {f"{TRAINER}.{key}": value for key, value in GOLDEN.items()}
    assert {key: found[key] for key in golden} == golden
    assert {key: type(found[key]) for key in golden} == {key: type(value) for key, value in golden.items()}
    assert differences(ours, hydra_tree(DATA / path.parent, path.stem, overrides)) == []


def test_numbers_are_read_as_omegaconf_reads_them(trees):
    path = Path("upstream-configs/autoevol/math_L1_iterated_br.yaml")
    for form in FORMATS:
        ours, _ = our_tree(written_as(trees, form, path))
        (rate,) = [value for leaf, value in leaves(ours) if leaf[-1] == "designer_lr"]
        assert rate == 5e-06
        assert type(rate) is float
