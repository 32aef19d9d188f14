import hashlib
import json

import pytest
import torch
from plans import model_of, plans_of

from pettingllms.errors import CheckpointError
from pettingllms.training.checkpoint import checkpoint_root, save_checkpoint
from pettingllms.training.policies import Policies


@pytest.fixture
def policies(tiny_model):
    plans = plans_of(("a/b", "b")).values()
    return Policies(plans, tiny_model, torch.device("cpu"), trust_remote_code=False, seed=0)


def test_manifest_lists_every_file_with_its_hash(policies, tmp_path):
    folder = save_checkpoint(policies, {"b": 0.25}, 3, tmp_path, keep=2)
    assert folder.name == "step_000003"
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert set(listed) == on_disk
    for name, entry in listed.items():
        content = (folder / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    state = json.loads((folder / "state.json").read_text())
    assert [(policy["name"], policy["kl_coef"]) for policy in state["policies"]] == [
        ("a/b", None),
        ("b", 0.25),
    ]


def test_only_the_newest_are_kept(policies, tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(policies, {}, step, tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_000002", "step_000003"]


def test_failed_write_leaves_the_old_checkpoint_and_nothing_half_done(policies, tmp_path, monkeypatch):
    save_checkpoint(policies, {}, 1, tmp_path, keep=2)

    def full(*_args, **_keys):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(policies, {}, 2, tmp_path, keep=2)
    assert [p.name for p in tmp_path.iterdir()] == ["step_000001"]


def test_same_step_again_replaces_it(policies, tmp_path):
    save_checkpoint(policies, {}, 1, tmp_path, keep=2)
    assert save_checkpoint(policies, {}, 1, tmp_path, keep=2).is_dir()


def test_adapters_load_in_peft(policies, tmp_path, tiny_model):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    generator = torch.Generator().manual_seed(1)
    for parameter in policies.parameters("b"):
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    folder = save_checkpoint(policies, {}, 1, tmp_path, keep=1)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    loaded = PeftModel.from_pretrained(base, folder / "adapters" / "1")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(loaded(ids).logits, model_of(policies, "b")(ids).logits, atol=1e-6)


def test_checkpoints_lie_in_the_run_folder_or_below_an_absolute_one(tmp_path):
    run = tmp_path / "study" / "trial_0001"
    assert checkpoint_root(run, "checkpoints") == run / "checkpoints"
    assert checkpoint_root(run, str(tmp_path / "big")) == tmp_path / "big" / "study-trial_0001"
