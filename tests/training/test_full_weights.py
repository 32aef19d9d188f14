"""Full weights: tied ends, number formats, the frozen start, and what is written is what is read."""

import json
import shutil

import pytest
import torch
from plans import model_of, plans_of, ragged_groups
from safetensors.torch import load_file

from pettingllms.errors import CheckpointError, InvariantError
from pettingllms.training.batching import build_batch, rows
from pettingllms.training.policies import Policies

CPU = torch.device("cpu")


def policies_of(folder, names=("a.b", "b"), specialization="full", model=None, **settings):
    plans = plans_of(names, model={"specialization": specialization, **(model or {})}, **settings)
    made = Policies(plans.values(), folder, CPU, trust_remote_code=False, seed=0)
    for policy in made.plans:
        disturb(made, policy)
    return made


def disturb(policies, policy):
    """Weights that are nobody else's."""
    generator = torch.Generator().manual_seed(list(policies.plans).index(policy))
    for parameter in policies.parameters(policy):
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))


def untied_model(tiny_model, folder):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_model)
    config.tie_word_embeddings = False
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def batch():
    samples = [member for group in ragged_groups(3) for member in group.members]
    return build_batch(rows(samples, range(len(samples)), shared=True), CPU, packed=True)


def step(policies, policy, batch):
    policies.optimizers[policy].zero_grad()
    policies.score(policy, batch)[0].mean().backward()
    policies.optimizers[policy].step()
    policies.versions[policy] += 1


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("entropy", [False, True], ids=["values", "entropies"])
def test_the_gradient_of_every_weight_is_that_of_plain_autograd(tiny_model, tmp_path, batch, tied, entropy):
    policies = policies_of(tiny_model if tied else untied_model(tiny_model, tmp_path))
    model = model_of(policies, "b")
    values, entropies = policies.score("b", batch, entropy=entropy)
    (values.sum() + (entropies.sum() if entropy else 0)).backward()
    got = {name: one.grad.clone() for name, one in policies.named_parameters("b").items()}
    model.zero_grad()
    logits = policies.hidden("b", batch) @ model.get_output_embeddings().weight.T
    shares = torch.log_softmax(logits, dim=1)
    wanted = shares.gather(1, batch.chosen_N[:, None]).sum()
    if entropy:
        wanted = wanted + torch.special.entr(shares.exp()).sum()
    wanted.backward()
    for name, own in model.named_parameters():
        assert own.grad.abs().max() > 0
        assert (got[name] - own.grad).abs().max() < 1e-5 * max(own.grad.abs().max(), 1), name
    assert ("lm_head.weight" in got) != tied


def test_c28_tied_ends_stay_one_weight_through_training_export_and_load(tiny_model, batch, tmp_path):
    from transformers import AutoModelForCausalLM

    policies = policies_of(tiny_model)
    step(policies, "a.b", batch)
    model = model_of(policies, "a.b")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    policies.export("a.b", tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert saved.keys() == policies.named_parameters("a.b").keys()
    assert not any("lm_head" in name for name in saved)
    other = policies_of(tiny_model)
    other.load("b", tmp_path / "saved")
    again = model_of(other, "b")
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("specialization", ["full", "lora"])
def test_what_is_loaded_is_what_was_exported_bit_for_bit(tiny_model, batch, tmp_path, specialization):
    policies = policies_of(tiny_model, specialization=specialization)
    step(policies, "a.b", batch)
    policies.export("a.b", tmp_path)
    other = policies_of(tiny_model, ("b", "c"), specialization)
    held = list(map(id, other.parameters("c")))
    untouched = [one.detach().clone() for one in other.parameters("b")]
    other.load("c", tmp_path)
    assert list(other.named_parameters("c")) == list(policies.named_parameters("a.b"))
    for own, wanted in zip(other.parameters("c"), policies.parameters("a.b"), strict=True):
        assert torch.equal(own, wanted)
    assert list(map(id, other.parameters("c"))) == held, "the optimizer's parameters"
    assert all(map(torch.equal, other.parameters("b"), untouched))


@pytest.mark.parametrize("specialization", ["full", "lora"])
@pytest.mark.parametrize("what", ["nothing", "another model"])
def test_weights_that_do_not_fit_are_refused_and_change_nothing(tiny_model, tmp_path, specialization, what):
    from transformers import AutoConfig, AutoModelForCausalLM

    policies = policies_of(tiny_model, specialization=specialization)
    before = [one.detach().clone() for one in policies.parameters("b")]
    tmp_path.joinpath("saved").mkdir()
    if what == "another model":
        config = AutoConfig.from_pretrained(tiny_model)
        config.intermediate_size = 80
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "other")
        other = policies_of(tmp_path / "other", specialization=specialization)
        other.export("b", tmp_path / "saved")
    with pytest.raises(CheckpointError, match="cannot be loaded") as caught:
        policies.load("b", tmp_path / "saved")
    assert str(tmp_path / "saved") in str(caught.value) and caught.value.help
    assert all(map(torch.equal, policies.parameters("b"), before))


def test_full_and_lora_policies_train_side_by_side(tiny_model, batch):
    lora, full = plans_of(("lora",)), plans_of(("full",), model={"specialization": "full"})
    both = [*lora.values(), *full.values()]
    made = Policies(both, tiny_model, CPU, trust_remote_code=False, seed=0)
    base = {name: one.detach().clone() for name, one in model_of(made, "lora").named_parameters()}
    assert torch.equal(made.score("lora", batch)[0], made.score("full", batch)[0]) or torch.allclose(
        made.score("lora", batch)[0], made.score("full", batch)[0], atol=1e-5
    )
    frozen = {name for name in base if ".lora_" not in name}
    step(made, "full", batch)
    step(made, "lora", batch)
    now = dict(model_of(made, "lora").named_parameters())
    assert frozen and all(torch.equal(now[name], base[name]) for name in frozen), "bit for bit"
    assert not torch.equal(made.parameters("full")[0], base["model.embed_tokens.weight"])
    assert made.packed and made.versions == {"lora": 1, "full": 1}


def test_policies_of_several_base_models_have_each_its_own(tiny_model, tmp_path, batch):
    untied = untied_model(tiny_model, tmp_path)
    plans = {**plans_of(("a", "b")), **plans_of(("c",), path="other", model={"specialization": "full"})}
    folders = {"tiny": tiny_model, "other": untied}
    made = Policies(plans.values(), folders, CPU, trust_remote_code=False, seed=0)
    assert made.weights["a"].model is made.weights["b"].model
    assert "lm_head.weight" in made.named_parameters("c")
    assert not torch.allclose(made.score("a", batch)[0], made.score("c", batch)[0], atol=1e-3)


def test_the_reference_is_the_start_and_is_kept_only_where_it_is_asked(tiny_model, batch):
    plans = plans_of(("a", "b"), model={"specialization": "full"}, actor={"use_kl_loss": True})
    made = Policies(plans.values(), tiny_model, CPU, trust_remote_code=False, seed=0)
    start, _ = made.score("a", batch)
    assert torch.equal(made.score("a", batch, reference=True)[0], start)
    step(made, "a", batch)
    own, reference = made.score("a", batch)[0], made.score("a", batch, reference=True)[0]
    assert torch.equal(reference, start) and not torch.allclose(own, start, atol=1e-3)
    assert own.requires_grad and not reference.requires_grad
    assert made.weights["a"].start is made.weights["b"].start, "one copy serves both"
    plain = policies_of(tiny_model)
    assert plain.weights["b"].start is None
    with pytest.raises(InvariantError):
        plain.score("b", batch, reference=True)


def test_bf16_is_the_format_of_products_and_masters_stay_fp32(tiny_model, batch):
    precise = policies_of(tiny_model)
    rough = policies_of(tiny_model, actor={"fsdp_config": {"model_dtype": "bf16"}})
    assert {one.dtype for one in rough.parameters("b")} == {torch.float32}
    for policies in (precise, rough):
        # Fresh weights are sure of nothing: larger logits let errors weigh as in a real model.
        model_of(policies, "b").model.norm.weight.data.mul_(16)
    wanted, got = precise.score("b", batch)[0], rough.score("b", batch)[0]
    assert got.dtype == torch.float32 and wanted.std() > 1
    assert 0 < (got - wanted).square().mean().sqrt() < 0.1
    got.sum().backward()
    assert {one.grad.dtype for one in rough.parameters("b")} == {torch.float32}
    rough.optimizers["b"].step()


def test_settings_of_generation_are_kept_as_they_were_however_odd(tiny_model, tmp_path):
    """transformers reads these and refuses to write them: they ask for a temperature and for no sampling."""
    folder = tmp_path / "odd"
    shutil.copytree(tiny_model, folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 2], "temperature": 0.3}')
    policies_of(folder).export("b", tmp_path / "saved")
    assert (tmp_path / "saved" / "generation_config.json").read_text() == (
        folder / "generation_config.json"
    ).read_text()


def test_an_exported_folder_says_its_format_and_nothing_of_how_it_was_trained(tiny_model, tmp_path):
    policies_of(tiny_model, actor={"fsdp_config": {"model_dtype": "bf16"}}).export("b", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["dtype"] == "float32" and "packed_branches" not in json.dumps(config)


def test_recomputed_layers_give_the_same_bits(tiny_model, batch):
    found = []
    for recomputed in (False, True):
        policies = policies_of(tiny_model, model={"enable_gradient_checkpointing": recomputed})
        policies.score("a.b", batch)[0].sum().backward()
        found.append([one.grad.clone() for one in policies.parameters("a.b")])
    assert all(map(torch.equal, *found))


def test_a_snapshot_brings_full_weights_and_moments_back(tiny_model, batch):
    policies = policies_of(tiny_model)
    step(policies, "b", batch)
    kept = policies.snapshot()
    before = [one.detach().clone() for one in policies.parameters("b")]
    step(policies, "b", batch)
    ahead = [one.detach().clone() for one in policies.parameters("b")]
    assert not any(map(torch.equal, before, ahead))
    policies.restore(kept)
    assert all(map(torch.equal, policies.parameters("b"), before)) and policies.versions["b"] == 1
    step(policies, "b", batch)
    assert all(map(torch.equal, policies.parameters("b"), ahead))
