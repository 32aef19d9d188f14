"""Every setting of PEFT's LoRA is judged, and what is called plain leaves the base weights as they are."""

from dataclasses import fields

import pytest

from pettingllms.rollout.plain_lora import MORE, PLAIN, not_plain

torch = pytest.importorskip("torch")

HARMLESS = {
    # About the model and the program that made it.
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("megatron_config", "megatron_core", "runtime_config", "ensure_weight_tying"),
    # Which layers have matrices, as the names in the weights' file say again.
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    # Size, scale and training.
    *("r", "lora_alpha", "use_rslora", "lora_dropout"),
    # Read by the `init_lora_weights` or the variant that they belong to.
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size"),
}


def test_every_setting_of_peft_is_known():
    from peft import LoraConfig

    known = [*MORE, *PLAIN, *HARMLESS]
    assert len(known) == len(set(known))
    assert set(known) == {field.name for field in fields(LoraConfig)}
    variants = {field.name for field in fields(LoraConfig) if field.metadata.get("is_lora_variant")}
    assert variants and variants <= set(MORE)


def test_an_adapter_as_peft_writes_it_is_plain():
    from peft import LoraConfig

    assert not_plain(LoraConfig(r=4, use_rslora=True, lora_dropout=0.1).to_dict()) == []
    assert not_plain({}) == []


@pytest.mark.parametrize("name", MORE)
def test_what_is_more_is_named(name):
    assert not_plain({name: {"some": "thing"}, "r": 8}) == [name]
    assert not_plain({name: None}) == not_plain({name: False}) == not_plain({name: {}}) == []


@pytest.mark.parametrize(("name", "value"), [("bias", "all"), ("peft_type", "IA3")])
def test_other_kinds_of_adapter_are_named(name, value):
    assert not_plain({name: value}) == [name]


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal", "mica", "pissa", "olora"])
def test_a_start_is_plain_where_it_leaves_the_base_weights_alone(start):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5))
    before = model[0].weight.detach().clone()
    get_peft_model(model, LoraConfig(r=2, target_modules=["0"], init_lora_weights=start))
    plain = not_plain({"init_lora_weights": start}) == []
    assert torch.equal(model[0].base_layer.weight, before) == plain
