"""Plain LoRA: which settings of an adapter leave it W + scale * B A, with W the base weights as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MORE = (
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "fan_in_fan_out",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "velora_config",
    "monteclora_config",
    "kasa_config",
)
"""Settings of PEFT's LoraConfig that add to the two matrices or change what they mean, if they are set."""
PLAIN = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal", "mica"),
}
"""Settings with the values that leave the base weights as they are; the first is the default. Other ways to
begin (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change the base weights, which neither engine nor trainer does."""


def not_plain(settings: Mapping[str, Any]) -> list[str]:
    """Names of the settings in an `adapter_config.json` by which it is more than plain LoRA.

    `use_rslora` is none of them: it changes the scale only.
    """
    odd = [name for name in MORE if settings.get(name)]
    return odd + [name for name, plain in PLAIN.items() if settings.get(name, plain[0]) not in plain]
