"""Random adapters of a model's linear layers, as PEFT writes them, made without loading the model."""

import json
import re

RANK, ALPHA = 16, 32
ADAPTED = re.compile(r".*layers\.\d+\..*_proj\.weight")


def write_adapter(model, folder, *, seed, size=0.01):
    """An adapter on all linear layers of the model in the folder `model`; returns `folder`."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    tensors, targets = {}, set()
    with safe_open(model / "model.safetensors", "pt") as weights:
        for name in filter(ADAPTED.fullmatch, weights.keys()):
            up, down = weights.get_slice(name).get_shape()
            module = "base_model.model." + name.removesuffix(".weight")
            targets.add(module.rpartition(".")[2])
            for factor, shape in (("lora_A", (RANK, down)), ("lora_B", (up, RANK))):
                tensors[f"{module}.{factor}.weight"] = size * torch.randn(shape, generator=generator)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": sorted(targets)}
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"task_type": "CAUSAL_LM"}))
    return folder
