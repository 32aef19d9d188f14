"""Policies: starting adapters, snapshots, recomputed layers, and what is refused."""

import json
import re
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from plans import PLAIN, model_of, plans_of, ragged_groups, scored

from pettingllms.errors import RefusedError, RolloutError
from pettingllms.rollout.adapters import read_deltas
from pettingllms.rollout.plain_lora import MORE
from pettingllms.training.batching import build_batch, rows
from pettingllms.training.branches import use_branches
from pettingllms.training.policies import Policies

CPU = torch.device("cpu")


def built(folder, plans):
    return Policies(plans, folder, CPU, trust_remote_code=False, seed=0)


def speaking(policies):
    """Fresh adapters are the identity; something to say lets errors show."""
    generator = torch.Generator().manual_seed(1)
    for name in policies.plans:
        for parameter in policies.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return policies


def policies_of(folder, /, names=("a.b", "b"), **settings):
    return speaking(built(folder, plans_of(names, **settings).values()))


@pytest.fixture
def batch():
    samples = [member for group in ragged_groups(3) for member in group.members]
    return build_batch(rows(samples, range(len(samples)), shared=True), CPU, packed=True)


@pytest.fixture
def adapter(tiny_model, tmp_path):
    """A trained adapter of rank 4 and alpha 8."""
    policies_of(tiny_model).export("b", tmp_path / "adapter")
    return tmp_path / "adapter"


def step(policies, policy, batch):
    policies.optimizers[policy].zero_grad()
    policies.score(policy, batch)[0].mean().backward()
    policies.optimizers[policy].step()
    policies.versions[policy] += 1


def everything(policies):
    return {
        name: (
            [one.detach().clone() for one in policies.parameters(name)],
            deepcopy(policies.optimizers[name].state_dict()),
            policies.versions[name],
        )
        for name in policies.plans
    }


def same(first, second):
    """Equality bit for bit of nested values."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def test_a_fresh_policy_is_the_base_model_and_depends_on_the_seed_and_its_name_only(tiny_model, batch):
    both = built(tiny_model, plans_of(("a.b", "b")).values())
    alone = built(tiny_model, plans_of(("b",)).values())
    assert same([*both.parameters("b")], [*alone.parameters("b")])
    assert not torch.equal(both.parameters("a.b")[0], both.parameters("b")[0])
    assert torch.equal(both.score("b", batch)[0], both.score("b", batch, reference=True)[0])
    assert both.versions == {"a.b": 0, "b": 0}


def test_the_optimizer_has_the_numbers_of_the_plan(tiny_model):
    optim = {"lr": 0.25, "weight_decay": 0.5, "betas": [0.7, 0.8]}
    policies = policies_of(tiny_model, actor={"optim": optim})
    [group] = policies.optimizers["b"].param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.25, 0.5, (0.7, 0.8))


def test_scores_follow_the_sampling_of_the_batch(tiny_model):
    policies = policies_of(tiny_model)
    for sampling in (replace(PLAIN, temperature=0.5), replace(PLAIN, top_k=3)):
        one = build_batch(
            rows([scored([5, 6], [7, 8], sampling=sampling)], [0], shared=True), CPU, packed=True
        )
        found, entropies = policies.score("b", one, entropy=True)
        logits = policies.hidden("b", one) @ model_of(policies).lm_head.weight.T
        if sampling.top_k == 3:
            # The trainer's set always has the chosen token: the three best, and that one.
            best = logits.topk(3, dim=1).values[:, -1:]
            kept = (logits >= best).scatter(1, one.chosen_N[:, None], value=True)
            logits = logits.masked_fill(~kept, -torch.inf)
        wanted = torch.log_softmax(logits / sampling.temperature, dim=1)
        assert torch.allclose(found, wanted.gather(1, one.chosen_N[:, None])[:, 0], atol=1e-5)
        assert torch.allclose(entropies, torch.special.entr(wanted.exp()).sum(1), atol=1e-5)


def test_without_gradient_nothing_is_kept_for_one(tiny_model, batch):
    policies = policies_of(tiny_model)
    with torch.no_grad():
        assert not policies.score("b", batch)[0].requires_grad
    assert policies.score("b", batch)[0].requires_grad
    assert policies.score("b", batch)[1] is None


def test_restoring_a_snapshot_is_exact_and_can_be_done_again(tiny_model, batch):
    policies = policies_of(tiny_model)
    step(policies, "a.b", batch)
    kept = policies.snapshot()
    before = everything(policies)
    step(policies, "a.b", batch)
    step(policies, "b", batch)
    policies.optimizers["b"].param_groups[0]["lr"] = 7.0
    ahead = everything(policies)
    for _ in range(2):
        policies.restore(kept)
        assert same(everything(policies), before)
        assert all(one.grad is None for name in policies.plans for one in policies.parameters(name))
        step(policies, "a.b", batch)
        step(policies, "b", batch)
        again = everything(policies)
        assert same(again["a.b"], ahead["a.b"]), "the same steps lead to the same place"
    assert again["b"][2] == 1


def test_a_run_may_start_from_a_trained_adapter(tiny_model, adapter, batch, tmp_path):
    wanted, _ = policies_of(tiny_model).score("b", batch)
    made = built(tiny_model, plans_of(("x",), model={"lora_adapter_path": str(adapter)}).values())
    assert torch.equal(made.score("x", batch)[0], wanted)
    # The starting copy is no part of what is trained, exported or kept.
    assert len(made.parameters("x")) == len(made.snapshot().parameters["x"]) == 28
    made.export("x", tmp_path / "again")
    again = built(tiny_model, plans_of(("y",), model={"lora_adapter_path": str(tmp_path / "again")}).values())
    assert torch.equal(again.score("y", batch)[0], wanted)


def test_only_policies_that_start_from_an_adapter_carry_a_copy_of_it(tiny_model, adapter):
    assert set(policies_of(tiny_model).weights["b"].model.peft_config) == {"policy0", "policy1"}
    started = plans_of(("x",), model={"lora_adapter_path": str(adapter)})
    assert len(built(tiny_model, started.values()).weights["x"].model.peft_config) == 2


def test_dropout_of_the_model_or_the_starting_adapter_is_not_applied(tiny_model, adapter, batch):
    wanted, _ = policies_of(tiny_model).score("b", batch)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"lora_dropout": 0.5}))
    model = {"lora_adapter_path": str(adapter), "enable_gradient_checkpointing": True}
    made = built(tiny_model, plans_of(("x",), model=model).values())
    model_of(made).config.attention_dropout = 0.5
    assert torch.equal(made.score("x", batch)[0], wanted)
    assert not any(module.training for module in model_of(made).modules())


def refused(folder, plans):
    with pytest.raises(RefusedError) as caught:
        built(folder, plans)
    assert caught.value.help
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"lora_rank": 8}, "was trained with lora_rank 4, where the experiment says 8"),
        ({"lora_alpha": 16.0}, "was trained with lora_alpha 8, where the experiment says 16"),
        (
            {"target_modules": ["q_proj"]},
            "o_proj, q_proj, up_proj, v_proj, where target_modules asks for q_proj",
        ),
    ],
)
def test_a_starting_adapter_that_disagrees_with_the_experiment_is_refused(
    tiny_model, adapter, model, message
):
    path = {"lora_adapter_path": str(adapter)}
    assert message in refused(
        tiny_model, plans_of(("x",), model={"lora_rank": 4, "lora_alpha": 8.0} | path | model).values()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modules_to_save": ["lm_head"]}, "sets modules_to_save, which is not available"),
        ({"use_rslora": True, "bias": "all"}, "sets use_rslora, bias, which is not available"),
        ({"rank_pattern": {"q_proj": 8}}, "sets rank_pattern"),
        ({"init_lora_weights": "pissa"}, "sets init_lora_weights, which is not available"),
    ],
)
def test_a_starting_adapter_with_more_than_two_matrices_per_layer_is_refused(
    tiny_model, adapter, changes, message
):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    assert message in refused(
        tiny_model, plans_of(("x",), model={"lora_adapter_path": str(adapter)}).values()
    )


@pytest.mark.parametrize(
    "changes",
    [
        *({name: {"some": "thing"}} for name in MORE),
        *({"init_lora_weights": start} for start in ("pissa", "pissa_niter_4", "olora", "corda", "loftq")),
        {"init_lora_weights": "lora_ga"},
        {"bias": "lora_only"},
    ],
    ids=lambda changes: " ".join(map(str, next(iter(changes.items())))),
)
def test_what_the_engine_cannot_serve_is_no_start_either(tiny_model, adapter, changes):
    file = adapter / "adapter_config.json"
    read_deltas(adapter)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    [name] = changes
    with pytest.raises(RolloutError, match=f"sets {name} = "):
        read_deltas(adapter)
    started = plans_of(("x",), model={"lora_adapter_path": str(adapter)})
    assert f"sets {name}, which is not available" in refused(tiny_model, started.values())


def test_a_rank_stabilised_adapter_is_served_and_is_no_start_as_its_scale_is_another(tiny_model, adapter):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_rslora": True}))
    # Rank 4, alpha 8: 8 / sqrt(4), where a policy is trained at 8 / 4.
    assert {delta.scale for delta in read_deltas(adapter).values()} == {4.0}
    started = plans_of(("x",), model={"lora_adapter_path": str(adapter)})
    assert "sets use_rslora, which is not available" in refused(tiny_model, started.values())


@pytest.mark.parametrize("text", [None, "{", "[]", '{"peft_type": "IA3"}', '{"r": null, "lora_alpha": 8}'])
def test_a_folder_without_a_readable_adapter_is_refused(tiny_model, adapter, text):
    file = adapter / "adapter_config.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    message = refused(tiny_model, plans_of(("x",), model={"lora_adapter_path": str(adapter)}).values())
    assert "adapter_config.json cannot be read" in message and "policy 'x'" in message


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1"])
def test_a_folder_without_readable_weights_is_refused(tiny_model, adapter, content):
    file = adapter / "adapter_model.safetensors"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    message = refused(tiny_model, plans_of(("x",), model={"lora_adapter_path": str(adapter)}).values())
    assert "adapter_model.safetensors cannot be read" in message and "policy 'x'" in message


def model_like(tiny_model, folder, kind=None, **changes):
    """A model as small as the tiny one, with other settings."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = kind or AutoConfig.from_pretrained(tiny_model)
    for name, value in changes.items():
        setattr(config, name, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_an_adapter_of_another_model_is_refused(tiny_model, adapter, tmp_path):
    other = model_like(tiny_model, tmp_path / "other", intermediate_size=80)
    message = refused(other, plans_of(("x",), model={"lora_adapter_path": str(adapter)}).values())
    assert re.search(
        r"trained for another model: .*(gate|up|down)_proj.* is \[.*96.*\], .* needs \[.*80", message
    )


def test_policies_of_one_base_have_one_number_format(tiny_model):
    first, second = plans_of(("a", "b")).values()
    message = refused(tiny_model, [first, replace(second, model_dtype="bf16")])
    assert "'a' (fp32) and 'b' (bf16)" in message


def test_layers_that_the_model_has_not_are_refused(tiny_model):
    message = refused(tiny_model, plans_of(("a",), model={"target_modules": ["c_attn"]}).values())
    assert "policy 'a'" in message and "c_attn" in message


def test_an_adapter_on_an_untied_head_is_refused_too(tiny_model, tmp_path):
    untied = model_like(tiny_model, tmp_path / "untied", tie_word_embeddings=False)
    message = refused(untied, plans_of(("a",), model={"target_modules": ["lm_head"]}).values())
    assert "lm_head, which stays as it is and takes no adapter" in message


def test_models_whose_head_does_more_than_a_product_are_refused(tiny_model, tmp_path):
    from transformers import CohereConfig, PhiConfig

    sizes = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    scaled = model_like(tiny_model, tmp_path / "scaled", CohereConfig(**sizes, logit_scale=0.5))
    assert "sets logit_scale" in refused(scaled, plans_of(("a",)).values())
    biased = model_like(tiny_model, tmp_path / "biased", PhiConfig(**sizes))
    assert "a bias of the output matrix" in refused(biased, plans_of(("a",)).values())


SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "initializer_range": 0.3,  # what is seen makes a difference
}
WINDOW = 4
MODELS = {
    "llama": ("LlamaConfig", {}),
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {}),
    "mistral with a window": ("MistralConfig", {"sliding_window": WINDOW}),
    "qwen2 with a window": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3 with a window": (
        "Qwen3Config",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_rows_are_packed_where_that_gives_what_each_sequence_gives_alone(tiny_model, tmp_path, kind):
    import transformers

    torch.manual_seed(0)
    settings, changes = MODELS[kind]
    folder = model_like(tiny_model, tmp_path, getattr(transformers, settings)(**SIZES, **changes))
    policies = built(folder, plans_of(("a",)).values())
    samples = [scored(range(1, 12), ids) for ids in ([12, 13, 14], [15], [5] * 9)] + [scored([3, 4], [6] * 5)]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def furthest(*, packed):
        """Largest distance to the log-probabilities of each sequence alone in the plain model."""
        batch = build_batch(rows(samples, range(4), shared=packed), CPU, packed=packed)
        gaps = []
        for index, found in zip(
            batch.samples, policies.score("a", batch)[0].split(batch.length_S.tolist()), strict=True
        ):
            ids = torch.tensor([[*samples[index].prompt_ids, *samples[index].sample.completion.token_ids]])
            alone = torch.log_softmax(model(ids).logits[0], dim=-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
            gaps.append((found - alone[-len(found) :]).abs().max().item())
        return max(gaps)

    assert furthest(packed=False) < 1e-4
    if "window" in kind:
        assert not policies.packed and not policies.shared_prompt
        # Packed all the same, one response would see the other, or too much of the prompt.
        use_branches(model_of(policies))
        assert furthest(packed=True) > 0.1
    else:
        assert policies.packed and policies.shared_prompt and furthest(packed=True) < 1e-4


def loss_and_gradients(policies, batch):
    """Loss, gradients, and the numbers that were kept for the backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        values, _ = policies.score("a.b", batch)
    loss = (values * batch.advantage_N).sum()
    policies.optimizers["a.b"].zero_grad()
    loss.backward()
    return loss.detach(), [one.grad.clone() for one in policies.parameters("a.b")], sum(kept.values())


def test_recomputed_layers_give_the_same_bits_and_keep_less(tiny_model, batch):
    plain = loss_and_gradients(policies_of(tiny_model), batch)
    recomputing = policies_of(tiny_model, model={"enable_gradient_checkpointing": True})
    again = loss_and_gradients(recomputing, batch)
    assert torch.equal(plain[0], again[0])
    assert same(plain[1], again[1])
    assert again[2] < plain[2] / 2
    assert not any(module.training for module in model_of(recomputing).modules())


def test_each_policy_says_for_itself_whether_layers_are_recomputed(tiny_model, batch):
    first, second = plans_of(("a.b", "b")).values()
    mixed = speaking(built(tiny_model, [first, replace(second, gradient_checkpointing=True)]))
    plain = loss_and_gradients(policies_of(tiny_model), batch)
    mixed.score("b", batch)
    assert loss_and_gradients(mixed, batch)[2] == plain[2]


def test_a_model_that_does_not_show_its_layers_cannot_recompute_them(tiny_model, monkeypatch):
    class Other(torch.nn.Module):
        pass

    monkeypatch.setattr("transformers.modeling_layers.GradientCheckpointingLayer", Other)
    plans = plans_of(("a",), model={"enable_gradient_checkpointing": True})
    assert "gradient checkpointing is not available for LlamaForCausalLM" in refused(
        tiny_model, plans.values()
    )
