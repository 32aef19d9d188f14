"""What one policy trains: the protocol of its weights, and what all kinds of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pettingllms.errors import InvariantError, RefusedError
from pettingllms.models.images import ImageReader
from pettingllms.models.seeing import auto_class, sampled_as_text, shown
from pettingllms.rollout.model_files import shapes_in, weight_files
from pettingllms.training.batching import Batch, packs
from pettingllms.training.branches import use_branches

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Model settings that change logits after the output matrix; they are not applied here."""


class Weights(Protocol):
    """The weights of one policy, inside a model that it may share with others.

    The model is in evaluation mode at all times: scoring and training run the same path, with nothing
    random in it.
    """

    @property
    def packed(self) -> bool:
        """Whether tokens of several sequences may go through the model as one."""

    @property
    def width(self) -> int:
        """H: how many numbers a hidden state has."""

    def named_parameters(self) -> dict[str, Tensor]:
        """What is trained, by names that do not depend on other policies, always in the same order."""

    def forward(self, batch: Batch, *, reference: bool = False) -> tuple[Tensor, Tensor]:
        """Last hidden states [N, H] at `batch.scored_N`, and the output matrix [V, H] that they meet.

        Of the policy as it started if `reference`.
        """

    def export(self, folder: Path, parameters: Mapping[str, Tensor]) -> None:
        """Write the weights as engines and other libraries read them; nothing that training changes is read.

        `parameters`: `named_parameters`, or copies of them.
        """

    def load(self, folder: Path) -> None:
        """Read what `export` wrote, bit for bit. Raises CheckpointError when it does not fit."""


class Recomputation:
    """Gradient checkpointing of a model's layers: a layer keeps its input and is computed again for its
    gradient, inside the context that `again` gives when it is computed first.

    transformers' own needs training mode, which would also switch dropout on.
    Raises RefusedError when the model does not say what its layers are.
    """

    def __init__(self, model: Any, again: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        from transformers.modeling_layers import GradientCheckpointingLayer

        self.on = True
        self._again = again
        layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        if not layers:
            raise RefusedError(
                f"gradient checkpointing is not available for {type(model).__name__}",
                help="set enable_gradient_checkpointing = false",
            )
        for layer in layers:
            layer.forward = partial(self._call, layer.forward)

    def _call(self, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not (self.on and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        return checkpoint(
            forward,
            *args,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing is drawn: the model is in evaluation mode
            context_fn=lambda: (nullcontext(), self._again()),
            **kwargs,
        )


class Base(NamedTuple):
    """A causal language model, whether it packs, and what reads images for it, where it is to see some."""

    model: Any
    packed: bool
    reader: ImageReader | None


def load_model(folder: Path, dtype: torch.dtype, trust_remote_code: bool, *, images: bool = False) -> Base:
    """The causal language model in `folder`, in evaluation mode.

    Raises RefusedError where its logits are more than the product of hidden state and output matrix, and
    where it is to see `images` and takes none.
    """
    from transformers.utils.logging import disable_progress_bar

    # Models may be written at every step: the log is for other things.
    disable_progress_bar()
    reader = ImageReader(folder, trust_remote_code) if images else None
    model = auto_class(images=images).from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=trust_remote_code
    )
    if reader is not None:
        _refuse_renamed(model, folder)
    settings = model.config.get_text_config()
    scaled = [name for name in SCALED_HEADS if getattr(settings, name, None) not in (None, 1, 1.0)]
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        scaled.append("a bias of the output matrix")
    if scaled:
        raise RefusedError(
            f"the model in {folder} sets {', '.join(scaled)}, which is not available in this version",
            help="use a model whose logits are the plain product of hidden state and output matrix",
        )
    packed = packs(model)
    if packed:
        use_branches(model)
    return Base(model.eval(), packed, reader)


def _refuse_renamed(model: Any, folder: Path) -> None:
    """Raise RefusedError where the files in `folder` name weights otherwise than `model` does.

    Engines take weights, and what an adapter adds to them, by the names in the files.
    """
    known = {name for file in weight_files(folder) for name in shapes_in(file)}
    for name, _ in model.named_parameters():
        if name not in known:
            raise RefusedError(
                f"the files in {folder} name their weights otherwise than {type(model).__name__} does, as "
                f"{name}, which is not available in this version",
                help="name a model such as SmolVLM, Idefics3 or Qwen3-VL",
            )


def scored_hidden(model: Any, batch: Batch, reader: ImageReader | None = None) -> Tensor:
    """Last hidden states [N, H] of a causal language model where sampled tokens are predicted."""
    if batch.images:
        hidden_BTH = _seeing(model.base_model, batch, reader)
    else:
        hidden_BTH = model.base_model(
            input_ids=batch.input_BT,
            position_ids=batch.position_BT,
            use_cache=False,
            **batch.attention,
        ).last_hidden_state
    # Siblings share the position that predicts their first token; their gradients are added there.
    return hidden_BTH.flatten(0, 1).index_select(0, batch.scored_N)


def _seeing(model: Any, batch: Batch, reader: ImageReader | None) -> Tensor:
    """Last hidden states [B, T, H] of rows with images; the model itself says which positions they have."""
    if reader is None:
        raise InvariantError(f"{type(model).__name__} was loaded to read text, and is given images")
    place_T = torch.arange(batch.input_BT.shape[1], device=batch.input_BT.device)
    prompt_B1 = torch.tensor(batch.prompts, device=batch.input_BT.device)[:, None]
    with sampled_as_text(model, reader, batch.input_BT, place_T >= prompt_B1) as input_BT:
        hidden_BTH: Tensor = model(
            input_ids=input_BT,
            use_cache=False,
            **batch.attention,
            **shown(model, reader, batch.images, input_BT),
        ).last_hidden_state
    return hidden_BTH
