"""LoRA adapters of one base model: which layers may carry one, starting from a trained one, switching."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import RefusedError
from pettingllms.rollout.plain_lora import not_plain

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


class Switch:
    """Says which adapter of a PEFT model takes part; None: none of them, so that the base model speaks.

    PEFT marks the adapters that do not take part as frozen, and a backward pass passes over frozen
    parameters in silence. So every switch marks `trained`, the parameters of all policies, as trained again.
    """

    def __init__(self, model: Any, trained: list[Tensor]) -> None:
        self._model = model
        self._trained = trained
        self.current: str | None = model.active_adapter
        self._set(self.current)

    def to(self, adapter: str | None) -> None:
        """Let `adapter` take part, and no other."""
        # PEFT walks through all layers for a switch.
        if adapter != self.current:
            self._set(adapter)

    def _set(self, adapter: str | None) -> None:
        tuner = self._model.base_model
        if adapter is None:
            tuner.disable_adapter_layers()
        else:
            if self.current is None:
                tuner.enable_adapter_layers()
            self._model.set_adapter(adapter, inference_mode=True)
        self.current = adapter
        for parameter in self._trained:
            parameter.requires_grad_(True)

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[None]:
        """Let `adapter` take part inside the block; afterwards, also after an exception, all is as before."""
        before = self.current
        if adapter == before:
            yield
            return
        try:
            self.to(adapter)
            yield
        finally:
            self._set(before)


def refuse_embedding_targets(base: Any, plan: PolicyPlan) -> None:
    """Raise RefusedError where `plan` puts an adapter on the embedding or on the output matrix.

    The output matrix is multiplied by chunks, outside of its module; where it is tied to the embedding, an
    adapter would untie them.
    """
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    wanted = plan.target_modules
    for name, module in base.named_modules():
        if isinstance(wanted, str):
            hit = re.fullmatch(wanted, name) is not None
        else:
            hit = any(name == target or name.endswith(f".{target}") for target in wanted)
        if hit and any(module is end for end in ends):
            tied = ends[0].weight is ends[1].weight
            what = "is tied to the other end of the model" if tied else "stays as it is"
            raise RefusedError(
                f"policy {plan.name!r}: target_modules names {name}, which {what} and takes no adapter",
                help='take it out of target_modules; "all-linear" leaves it out',
            )


def outside_language(base: Any) -> str:
    """A pattern of the names of all modules but those of the language part of `base`.

    What sees stays as it is: engines serve adapters of the language part only.
    """
    part = base.get_decoder()
    name = next(name for name, module in base.named_modules() if module is part)
    return rf"(?!{re.escape(name)}\.).*"


def load_adapter(model: Any, adapter: str, plan: PolicyPlan) -> None:
    """Put the weights of `plan.adapter_path` into `adapter`, which was made as `plan` says.

    Raises RefusedError when the folder holds no such adapter, or one of other rank, alpha or layers.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(plan.adapter_path or "").expanduser()
    about = f"policy {plan.name!r}: lora_adapter_path {plan.adapter_path!r}"
    _check_settings(folder / CONFIG, about, plan)
    try:
        found = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as cause:
        raise _unreadable(WEIGHTS, about, cause) from cause
    state = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    expected = {name: tensor.shape for name, tensor in state.items()}
    shapes = {name: tensor.shape for name, tensor in found.items()}
    if expected.keys() != shapes.keys():
        raise RefusedError(
            f"{about} has adapters on {_layers(shapes)}, where target_modules asks for {_layers(expected)}",
            help="set target_modules to the layers that the adapter was trained on, or name another adapter",
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise RefusedError(
                f"{about} was trained for another model: {name} is {list(shapes[name])}, "
                f"where this one needs {list(shape)}",
                help="name an adapter of the same base model",
            )
    set_peft_model_state_dict(model, found, adapter_name=adapter)


def _unreadable(name: str, about: str, cause: Exception) -> RefusedError:
    return RefusedError(
        f"{about}: {name} cannot be read: {type(cause).__name__}: {cause}",
        help="name the folder of a LoRA adapter in PEFT's format",
    )


def _check_settings(file: Path, about: str, plan: PolicyPlan) -> None:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        rank, alpha = float(settings["r"]), float(settings["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise _unreadable(file.name, about, cause) from cause
    for said, found, asked in (("lora_rank", rank, plan.lora_rank), ("lora_alpha", alpha, plan.lora_alpha)):
        if found != asked:
            raise RefusedError(
                f"{about} was trained with {said} {found:g}, where the experiment says {asked:g}",
                help=f"set {said} = {found:g} for this policy, or name another adapter",
            )
    unusual = not_plain(settings)
    if settings.get("use_rslora"):
        # Engines serve its scale, alpha / sqrt(rank); policies are trained at alpha / rank.
        unusual.insert(0, "use_rslora")
    if unusual:
        raise RefusedError(
            f"{about} sets {', '.join(unusual)}, which is not available in this version",
            help="name an adapter that is nothing but its two matrices per layer",
        )


def _layers(names: Any) -> str:
    """The kinds of layers in names of adapter tensors, `….self_attn.q_proj.lora_A.weight`."""
    return ", ".join(sorted({name.split(".lora_")[0].rpartition(".")[2] for name in names})) or "no layer"
