"""What a script over OmegaConf finds wrong with the original's own files, and what the linter says."""

from collections import defaultdict
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pettingllms.lint.engine import check_experiment

DATA = Path(__file__).parents[1] / "data"
UPSTREAM, FORKS = DATA / "upstream-configs", DATA / "fork-configs"
PPO = "ppo_trainer_config"


def experiments(root):
    return sorted(path for path in root.rglob("*.yaml") if path.parent.name != "ppo_trainer")


def name_of(path, root=UPSTREAM):
    return path.relative_to(root).with_suffix("").as_posix()


# What a script finds that knows nothing of the linter.


class Upstream:
    """One file as OmegaConf reads it, and under the trainer files that it mounts."""

    def __init__(self, path):
        self.name, self.main = name_of(path), OmegaConf.load(path)
        self.mounts, tree = [], OmegaConf.create({})
        for entry in [entry for entry in self.main.get("defaults", []) if entry != "_self_"]:
            ((key, option),) = entry.items()
            group, package = key.split("@")
            self.mounts.append(package)
            fragment = path.parent / group / f"{option}.yaml"
            if fragment.is_file():
                OmegaConf.update(tree, package, OmegaConf.load(fragment), force_add=True)
        own = {key: value for key, value in self.raw(self.main).items() if key != "defaults"}
        self.tree = OmegaConf.merge(tree, own)

    @staticmethod
    def raw(node):
        return OmegaConf.to_container(node, resolve=False)

    def at(self, path, tree=None):
        """The value at a path, references resolved; None where that fails."""
        try:
            return OmegaConf.select(self.tree if tree is None else tree, path)
        except OmegaConfBaseException:
            return None

    def written(self, path):
        return self.at(path, self.main)

    def agents(self):
        return self.tree.agent_policy_configs.agent_configs.values()


def reference():
    """Each item of the list that we keep of the faults of these files: files, or files with a model."""
    found = defaultdict(set)
    for path in experiments(UPSTREAM):
        file = Upstream(path)
        if not file.main:
            found["empty file"].add(file.name)
            continue
        of_models(file, found)
        of_policies(file, found)
        rank = file.tree.get("lora_rank") or 0
        kind = file.tree.get("specialization")
        if kind in ("prompt", "full", "model") and rank > 0:
            found[f"{kind} with lora_rank > 0"].add(file.name)
        if kind == "lora" and not rank:
            found["lora without lora_rank"].add(file.name)
        if "training" not in file.tree:
            found["no training section"].add(file.name)
    return dict(found)


def of_models(file, found):
    own = file.main.get("models") or {}
    for key in file.tree.get("models") or {}:
        model, ppo = (file.name, key), f"models.{key}.{PPO}"
        if key not in own:
            found["mount for a model not defined"].add(model)
            continue
        if isinstance(file.at(f"{ppo}.actor_rollout_ref.trainer", file.main), DictConfig):
            found["actor_rollout_ref.trainer misplaced"].add(file.name)
        if isinstance(file.at(f"{ppo}.actor", file.main), DictConfig):
            found["ppo_trainer_config.actor misplaced"].add(file.name)
        size = file.at(f"{ppo}.actor_rollout_ref.rollout.tensor_model_parallel_size")
        # The pool of a model as the original code has it.
        if isinstance(size, int) and size > file.tree.resource.n_gpus_per_node // len(own):
            found["tensor parallel beyond the pool"].add(model)
        if ppo not in file.mounts:
            found["model without mounted defaults"].add(model)
        base = file.raw(own[key]).get("path")
        actor = file.raw(own[key]).get(PPO, {}).get("actor_rollout_ref", {}).get("model", {}).get("path")
        if actor not in (None, base, f"${{models.{key}.path}}"):
            found["actor path of another model"].add(model)


def of_policies(file, found):
    if "base_models" not in file.tree:
        found["no base_models"].add(file.name)
        return
    bases = file.tree.base_models.values()
    names, used = {base.name for base in bases}, {agent.policy_name for agent in file.agents()}
    if used - names:
        found["policy_name unknown"].add(file.name)
    if names - used:
        found["model unused"].add(file.name)
    if any("your" in base.path for base in bases):
        found["placeholder path"].add(file.name)


LISTED = {
    "actor_rollout_ref.trainer misplaced": 29,
    "ppo_trainer_config.actor misplaced": 3,
    "tensor parallel beyond the pool": 16,
    "prompt with lora_rank > 0": 9,
    "policy_name unknown": 2,
    "model unused": 1,
    "no base_models": 4,
    "no training section": 2,
    "lora without lora_rank": 1,
    "mount for a model not defined": 1,
    "model without mounted defaults": 1,
    "actor path of another model": 1,
    "empty file": 1,
    "placeholder path": 22,
}

# What the linter says.

CODES = {
    "actor_rollout_ref.trainer misplaced": ("PLM902", ""),
    "ppo_trainer_config.actor misplaced": ("PLM903", f"{PPO}.actor"),
    "tensor parallel beyond the pool": ("PLM301", ""),
    "policy_name unknown": ("PLM107", ""),
    "model unused": ("PLM114", ""),
    "no base_models": ("PLM004", "base_models"),
    "no training section": ("PLM318", ""),
    "lora without lora_rank": ("PLM319", ""),
    "mount for a model not defined": ("PLM208", ""),
    "model without mounted defaults": ("PLM216", ""),
    "actor path of another model": ("PLM207", ""),
    "empty file": ("PLM010", ""),
    "placeholder path": ("PLM204", ""),
}

ONLY_HERE = {
    # It sets no specialization either, and `lora` is the default.
    "lora without lora_rank": {"math/math_aggretion"},
    # The model's own name is the name of no base model: its numbers belong to nobody.
    "mount for a model not defined": {("code/code_L0_single_agent", "model_0")},
    # It writes no path of its own, so that the trainer file's, Qwen/Qwen3-8B, is the actor's.
    "actor path of another model": {("math/math_aggretion_sample", "model_0")},
}
ONLY_THERE = {
    # Both base models have the same placeholder for a path; see the test with real paths below.
    "actor path of another model": {("math/math_L3_model", "model_1")},
}


@pytest.fixture(scope="module")
def wanted():
    return reference()


@pytest.fixture(scope="module")
def reports():
    return {name_of(path): check_experiment(path).diagnostics for path in experiments(UPSTREAM)}


def test_all_experiments_are_there(reports):
    assert len(reports) == 31


@pytest.mark.parametrize("item", LISTED)
def test_the_script_finds_what_is_listed(item, wanted):
    assert len(wanted[item]) == LISTED[item]


@pytest.mark.parametrize("item", CODES)
def test_the_linter_finds_the_same_or_the_difference_is_explained(item, wanted, reports):
    code, ending = CODES[item]
    found = {
        (name, diagnostic.path.split(".")[1]) if isinstance(next(iter(wanted[item])), tuple) else name
        for name, diagnostics in reports.items()
        for diagnostic in diagnostics
        if diagnostic.code == code and diagnostic.path.endswith(ending)
    }
    assert found - wanted[item] == ONLY_HERE.get(item, set())
    assert wanted[item] - found == ONLY_THERE.get(item, set())


def test_ranks_without_effect_are_found_under_prompts_and_full_weights(wanted, reports):
    kinds = ("prompt", "full", "model")
    expected = set().union(*(wanted[f"{kind} with lora_rank > 0"] for kind in kinds))
    found = {
        name
        for name, diagnostics in reports.items()
        for diagnostic in diagnostics
        if diagnostic.code == "PLM905" and diagnostic.path == "lora_rank"
    }
    assert found == expected


def test_an_actor_path_of_another_model_is_found_once_the_paths_are_filled_in():
    paths = ["base_models.policy_0.path=org/one", "base_models.policy_1.path=org/two"]
    found = check_experiment(UPSTREAM / "math" / "math_L3_model.yaml", paths).diagnostics
    path = f"models.model_1.{PPO}.actor_rollout_ref.model.path"
    assert [diagnostic.path for diagnostic in found if diagnostic.code == "PLM207"] == [path]


def test_no_key_of_a_real_file_is_unknown(reports):
    forks = {name_of(path, FORKS): check_experiment(path).diagnostics for path in experiments(FORKS)}
    assert len(forks) == 16
    unknown = {
        (name, diagnostic.path)
        for name, diagnostics in {**reports, **forks}.items()
        for diagnostic in diagnostics
        if diagnostic.code == "PLM003"
    }
    assert unknown == set()
    unreadable = {name for name, found in forks.items() if any(one.code == "PLM001" for one in found)}
    # Two files that are no YAML: what they hold below the fault is not known.
    assert unreadable == {"fork-a/code/code_L0_prompt", "fork-a/code/code_L1_lora"}


def test_a_mounted_trainer_file_costs_a_few_lines_for_each_model(reports):
    counts = {name: sum(d.code == "PLM901" for d in found) for name, found in reports.items()}
    assert max(counts.values()) <= 2 * 13 + 5


@pytest.mark.parametrize(
    ("option", "said"),
    [
        # Micro-batches are cut by tokens there; 256 tasks are more than the batch of 32.
        ("eval", [("PLM906", "actor.ppo_micro_batch_size_per_gpu")]),
        ("base", [("PLM312", "actor.ppo_mini_batch_size")]),
    ],
)
def test_the_trainer_files_ask_for_nothing_that_this_version_lacks(option, said, tmp_path):
    source = UPSTREAM / "math" / "math_L2_lora.yaml"
    file = tmp_path / "math" / source.name
    file.parent.mkdir()
    file.write_text(source.read_text().replace(": eval", f": {option}"))
    (tmp_path / "ppo_trainer").symlink_to(UPSTREAM / "ppo_trainer")
    below = f"models.model_0.{PPO}.actor_rollout_ref."
    found = [d for d in check_experiment(file).diagnostics if d.path.startswith(below)]
    kept = [(d.code, d.path.removeprefix(below)) for d in found if d.code not in ("PLM901", "PLM902")]
    assert kept == said
    assert len(found) > len(kept)


def test_nothing_is_said_of_what_stands_for_a_missing_value(reports):
    texts = [text for found in reports.values() for one in found for text in (one.message, one.help or "")]
    assert not [text for text in texts if "'?'" in text or '"?"' in text]
