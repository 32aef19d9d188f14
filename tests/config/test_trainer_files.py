"""Every key of the original's two trainer files, one by one: read, told of, or refused with what helps."""

from pathlib import Path

import pytest

from pettingllms.compose.references import resolve_references
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.edits import edited
from pettingllms.config.fields import annotation_at
from pettingllms.config.presets import fragment_files
from pettingllms.config.typed import type_cell
from pettingllms.documents.read import read_document

TESTS = Path(__file__).parents[1]
ONE_POLICY = read_document(TESTS / "cases/shared/one_policy.toml").data
PPO = ("models", "model_0", "ppo_trainer_config")
OURS = "actor_rollout_ref"


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def keys_of(file):
    """Path and value of every key; references to the file's own lengths are followed."""
    data = read_document(file).data
    for path, value in leaves(data):
        of_lengths = isinstance(value, str) and value.startswith(("${data.", "${...data."))
        yield path, data["data"][value.rpartition(".")[2][:-1]] if of_lengths else value


FILES = {name: TESTS / f"data/upstream-configs/ppo_trainer/{name}.yaml" for name in ("base", "eval")}
KEYS = {f"{name}:{'.'.join(path)}": (path, value) for name in FILES for path, value in keys_of(FILES[name])}


def cell_with(keys):
    """The clean experiment with keys of a trainer file."""
    put = {(*PPO, *path): value for path, value in keys}
    return type_cell(resolve_references(edited(ONE_POLICY, [], put), {}))


def read(cell, path):
    """The typed value at a path below the trainer."""
    assert cell.config is not None
    return get(cell.config.model_dump(), (*PPO, *path))


@pytest.mark.parametrize("key", KEYS)
def test_no_key_of_a_trainer_file_is_passed_over_in_silence(key):
    path, value = KEYS[key]
    cell = cell_with([(path, value)])
    if annotation_at((*PPO, *path)) is not None and not cell.findings:
        assert read(cell, path) == value
        return
    (finding,) = cell.findings
    assert (*PPO, *path)[: len(finding.path)] == finding.path
    assert finding.code in ("PLM007", "PLM901", "PLM903")
    assert finding.code != "PLM007" or finding.help
    assert get(cell.data, (*PPO, *path)) is MISSING


@pytest.mark.parametrize("name", FILES)
def test_what_becomes_of_each_key_of_a_trainer_file(name, golden):
    rows = []
    for path, value in keys_of(FILES[name]):
        found = [f"{one.code} {one.help or ''}".strip() for one in cell_with([(path, value)]).findings]
        rows.append(f"{'.'.join(path)}: {', '.join(found) or 'read'}\n")
    golden(Path(__file__).with_name("trainer_files") / f"{name}.txt", "".join(rows))


LEFT_TO_THE_EXPERIMENT = {
    *(f"{OURS}.model.{key}" for key in ("path", "lora_alpha")),
    "critic.model.path",
    *(f"{OURS}.rollout.{key}" for key in ("temperature", "tensor_model_parallel_size")),
    *(f"trainer.{key}" for key in ("n_gpus_per_node", "n_training_gpus_per_node")),
    # In the original a mini-batch counts samples of one policy, here it counts tasks.
    f"{OURS}.actor.ppo_mini_batch_size",
}
# The rollout follows the device; the engine follows it and the lengths, and sleeps while the trainer updates.
FOLLOWING = {
    *(f"{OURS}.rollout.{key}" for key in ("mode", "max_model_len", "max_num_batched_tokens", "dtype")),
    *(f"{OURS}.rollout.{key}" for key in ("enable_chunked_prefill", "free_cache_engine", "enforce_eager")),
    f"{OURS}.actor.fsdp_config.model_dtype",
    # Tokens cut micro-batches, in the original too.
    f"{OURS}.actor.ppo_micro_batch_size_per_gpu",
}


@pytest.mark.parametrize("name", FILES)
def test_shipped_fragments_hold_the_documented_numbers(name):
    shipped, documented = list(keys_of(fragment_files()[name])), list(keys_of(FILES[name]))
    references = {"${.clip_ratio}": 0.2}
    shipped = [(path, references.get(value, value)) for path, value in shipped]
    assert [path for path, _ in shipped if annotation_at((*PPO, *path)) is None] == []
    ours, theirs = cell_with(shipped), cell_with(documented)
    assert ours.findings == []
    different = {".".join(path) for path, value in leaves(read(ours, ())) if value != read(theirs, path)}
    assert different <= LEFT_TO_THE_EXPERIMENT | FOLLOWING
