"""How the engines of these tests are set, and what is known of one while tests share it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.rollout.engine import EngineSettings

POLICIES = ("plain", "a", "b", "c", "d")
"""No adapter is ever loaded for `plain`."""


@dataclass
class Served:
    """An engine and what it serves. `versions`: how often each policy was loaded, by any test."""

    engine: Any
    kind: str
    model: Path
    folder: Path
    versions: dict
    loads: int = 0

    def load(self, policy, seed, **adapter):
        """Make a random adapter the policy's next version; returns its number and the adapter's folder."""
        from engine_models import make_adapter

        version = self.versions[policy] = self.versions.get(policy, 0) + 1
        self.loads += 1
        target = self.folder / f"load-{self.loads}"
        make_adapter(self.model, target, seed=seed, **adapter)
        self.engine.load_policy(policy, version, target)
        return version, target

    def restore(self):
        """Make the engine as it was when it started."""
        self.engine.restore()
        self.versions.clear()


def engine_settings(model, name, serving, **changes):
    values = {"max_model_len": 512, "max_num_seqs": 16, "threads": 2, "policies": POLICIES} | changes
    return settings(model, name=name, serving=serving, **values)


def settings(model, **changes):
    values = {
        "name": "scripted",
        "model_folder": model,
        "device": "cpu",
        "dtype": "float32",
        "serving": "merged",
        "policies": ("p",),
        "max_lora_rank": 8,
        "max_model_len": 128,
        "max_num_seqs": 8,
        "tensor_parallel_size": 1,
        "gpu_memory_utilization": 0.5,
        "trust_remote_code": False,
        "threads": 1,
        "seed": 0,
        "replies": ("{1} + {0}", "no"),
    }
    return EngineSettings(**values | changes)
