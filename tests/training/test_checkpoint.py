"""Checkpoints written and read: bit for bit, whole or not at all, and saying what a full disk lacks."""

import json
import os
import resource
import shutil

import pytest
import torch
from plans import model_of, plans_of, ragged_groups

from pettingllms.config.ppo import KlControlConfig
from pettingllms.errors import CheckpointError
from pettingllms.runs.checkpoints import fault
from pettingllms.training.checkpoint import Checkpoint, load_checkpoint, write_checkpoint
from pettingllms.training.memory import Room
from pettingllms.training.penalties import KlControl
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.records import EpochMeans
from pettingllms.training.state import RANDOM, ROOM, RandomNumbers, RunState
from pettingllms.training.update import Update

NAMES = ("a/b", "b")
KL = "KL weight of b"


class Run:
    """Policies and parts as a loop has them."""

    def __init__(self, folder, seed=0, names=NAMES, **more):
        plans = plans_of(names, **more).values()
        self.policies = Policies(plans, folder, torch.device("cpu"), trust_remote_code=False, seed=seed)
        self.epoch, self.control = EpochMeans(), KlControl(KlControlConfig())
        self.parts = {RANDOM: RandomNumbers(seed), "epoch means": self.epoch, KL: self.control}

    def train(self, seed=0):
        """Move everything that a step moves."""
        Update(self.policies, "b", ragged_groups(2, "b"), Ranks(), seed=seed, check=lambda: None).run()
        self.epoch.add({"train/success_rate": 0.1 + seed, "train/reward/x": 1 / 3})
        self.control.coef *= 1.1
        torch.rand(3)

    def state(self, step=3):
        return RunState(
            step, self.policies.snapshot(), {name: part.state() for name, part in self.parts.items()}
        )

    def checkpoint(self, step=3, **metrics):
        state = self.state(step)
        return Checkpoint(state, [state.of_process()], metrics)

    def write(self, root, step=3):
        return write_checkpoint(self.checkpoint(step), self.policies, root, "seed = 0\n")


@pytest.fixture
def trained(tiny_model):
    run = Run(tiny_model)
    run.train()
    return run


def assert_same(left, right):
    """Two states, bit for bit."""
    assert left.policies.versions == right.policies.versions
    for name in NAMES:
        pairs = zip(left.policies.parameters[name], right.policies.parameters[name], strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        one, other = (side.policies.optimizers[name]["state"] for side in (left, right))
        assert one.keys() == other.keys()
        for number, own in one.items():
            assert own.keys() == other[number].keys()
            assert all(torch.equal(value, other[number][key]) for key, value in own.items())
            assert all(value.dtype == other[number][key].dtype for key, value in own.items())
    assert left.parts.keys() == right.parts.keys()
    for name, (tensors, values) in left.parts.items():
        others, other_values = right.parts[name]
        assert values == json.loads(json.dumps(values)) == other_values
        assert tensors.keys() == others.keys()
        assert all(torch.equal(tensor, others[key]) for key, tensor in tensors.items())


def test_everything_comes_back_bit_for_bit(trained, tiny_model, tmp_path):
    folder = trained.write(tmp_path)
    wanted = trained.state()
    assert folder.name == "step_000003" and fault(folder) is None
    other = Run(tiny_model, seed=7)
    other.train()
    assert load_checkpoint(folder, other.policies, other.parts, rank=0) == 3
    drawn = torch.rand(4)
    torch.set_rng_state(wanted.parts[RANDOM][0]["cpu"])
    assert torch.equal(drawn, torch.rand(4))
    other.parts[RANDOM].load_state(*wanted.parts[RANDOM])
    assert_same(wanted, other.state())
    # And what follows is the same.
    for run in (trained, other):
        trained.parts[RANDOM].load_state(*wanted.parts[RANDOM])
        run.train(seed=1)
    assert_same(trained.state(), other.state())
    assert trained.policies.versions == {"a/b": 0, "b": 2}


def test_the_layout_is_the_documented_one(trained, tmp_path):
    folder = trained.write(tmp_path)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    adapters = [
        f"policies/{n}/{name}"
        for n in (0, 1)
        for name in ("adapter_config.json", "adapter_model.safetensors")
    ]
    assert files == ["manifest.json", *adapters, "state.json", "state.safetensors", "trial.toml"]
    state = json.loads((folder / "state.json").read_text())
    assert (state["format"], state["step"]) == (2, 3)
    assert state["policies"] == [{"name": "a/b", "version": 0}, {"name": "b", "version": 1}]
    names = ["epoch means", KL, "random numbers of process 0"]
    assert [part["name"] for part in state["parts"]] == names


def test_what_training_changes_later_is_not_written(trained, tiny_model, tmp_path):
    checkpoint, wanted = trained.checkpoint(), trained.state()
    trained.train(seed=1)
    folder = write_checkpoint(checkpoint, trained.policies, tmp_path, "")
    other = Run(tiny_model)
    load_checkpoint(folder, other.policies, other.parts, rank=0)
    other.parts[RANDOM].load_state(*wanted.parts[RANDOM])
    assert_same(wanted, other.state())


def test_each_process_gets_its_own_random_numbers(trained, tiny_model, tmp_path):
    torch.manual_seed(5)
    second = RandomNumbers.state(trained.parts[RANDOM])
    checkpoint = trained.checkpoint()
    both = Checkpoint(checkpoint.state, [*checkpoint.own, {RANDOM: second}], {})
    folder = write_checkpoint(both, trained.policies, tmp_path, "")
    other = Run(tiny_model)
    load_checkpoint(folder, other.policies, other.parts, rank=1)
    assert torch.equal(torch.get_rng_state(), second[0]["cpu"])


def test_each_process_knows_again_what_fits_into_its_memory(trained, tiny_model, tmp_path):
    first, second = ({"a/b": [64, 2]}, {"a/b": [32, 1]})
    checkpoint = trained.checkpoint()
    processes = (*checkpoint.own, trained.state().of_process())
    own = [one | {ROOM: ({}, values)} for one, values in zip(processes, (first, second), strict=True)]
    folder = write_checkpoint(Checkpoint(checkpoint.state, own, {}), trained.policies, tmp_path, "")
    for rank, tokens in enumerate((64, 32)):
        other = Run(tiny_model)
        other.parts[ROOM] = Room(print)
        load_checkpoint(folder, other.policies, other.parts, rank=rank)
        assert other.parts[ROOM].tokens("a/b", 2048) == tokens


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a/b", "c")}, "holds a/b, b, .* and the experiment has a/b, c"),
        (
            {"model": {"lora_rank": 2}},
            r"lora_A.weight is .4, 64. there, and .2, 64. here",
        ),
        ({"model": {"target_modules": ["q_proj"]}}, "cannot be loaded: "),
    ],
)
def test_another_experiment_s_checkpoint_is_refused(trained, tiny_model, tmp_path, change, message):
    folder = trained.write(tmp_path)
    other = Run(tiny_model, **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder, other.policies, other.parts, rank=0)


def test_parts_must_be_those_of_the_checkpoint(trained, tmp_path):
    folder = trained.write(tmp_path)
    fewer = {name: part for name, part in trained.parts.items() if name != KL}
    with pytest.raises(CheckpointError, match="KL weight of b"):
        load_checkpoint(folder, trained.policies, fewer, rank=0)
    with pytest.raises(CheckpointError, match="process 1"):
        load_checkpoint(folder, trained.policies, trained.parts, rank=1)


def test_a_limit_of_the_system_leaves_the_old_checkpoint(trained, tmp_path):
    kept = trained.write(tmp_path, step=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointError) as full:
            trained.write(tmp_path, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in str(full.value)
    needed = sum(
        tensor.nbytes for tensor in [*trained.policies.parameters("a/b"), *trained.policies.parameters("b")]
    )
    assert int(str(full.value).split("it needs ")[1].split()[0]) > needed
    assert f"free in {tmp_path}" in str(full.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000001"]
    assert fault(kept) is None


def test_a_full_disk_is_left_as_it_is(trained, tmp_path, monkeypatch):
    trained.write(tmp_path, step=1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    monkeypatch.setattr(Policies, "export", pytest.fail)
    with pytest.raises(CheckpointError) as full:
        trained.write(tmp_path, step=2)
    message = str(full.value)
    needed = int(message.split("it needs ")[1].split(maxsplit=1)[0])
    assert f"1000 are free in {tmp_path}, {needed - 1000} are missing" in message
    assert "on_save_failure" in full.value.help
    assert [path.name for path in tmp_path.iterdir()] == ["step_000001"]


def test_a_folder_that_cannot_be_written_is_named(trained, tmp_path):
    blocked = tmp_path / "checkpoints"
    blocked.write_text("a file")
    with pytest.raises(CheckpointError, match=f"checkpoint {blocked / 'step_000003'} could not be written"):
        trained.write(blocked)
    if os.geteuid() != 0:
        folder = tmp_path / "read-only"
        folder.mkdir(mode=0o500)
        with pytest.raises(CheckpointError, match="Permission denied"):
            trained.write(folder)


def test_the_same_step_again_replaces_it(trained, tmp_path):
    folder = trained.write(tmp_path)
    (folder / "state.json").write_text("damaged")
    assert fault(trained.write(tmp_path)) is None


def test_adapters_load_in_peft(trained, tmp_path, tiny_model):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = trained.write(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    loaded = PeftModel.from_pretrained(base, folder / "policies" / "1")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(loaded(ids).logits, model_of(trained.policies, "b")(ids).logits, atol=1e-6)
