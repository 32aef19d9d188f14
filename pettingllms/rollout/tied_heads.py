"""Tied heads in vLLM on the CPU, which are packed anew when the embeddings have changed."""

from __future__ import annotations

from typing import Any


def pack_heads(model: Any) -> None:
    """Let the heads of `model` take over their weights.

    On the CPU vLLM multiplies with a packed copy of each matrix. Reloading makes it anew for each matrix that
    comes with a name; that of a tied head comes as the embeddings, and its copy would stay the old one.
    """
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in model.modules():
        if isinstance(module, ParallelLMHead):
            module.quant_method.process_weights_after_loading(module)
