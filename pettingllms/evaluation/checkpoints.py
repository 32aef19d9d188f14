"""The policies of a checkpoint: which there are, where their weights lie, and that all of it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pettingllms.errors import CheckpointError, UsageError
from pettingllms.runs.checkpoints import POLICIES, checkpoints, fault, newest_whole, read_state, step_folder

ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """What a checkpoint holds of a policy. `folder`: a PEFT adapter, or a Hugging Face folder of all weights.

    `version`: number of updates behind it.
    """

    folder: Path
    version: int

    @property
    def is_adapter(self) -> bool:
        """Whether it is added to a base model, instead of standing alone."""
        return (self.folder / ADAPTER).is_file()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint. `step`: after which it was written."""

    folder: Path
    step: int
    policies: dict[str, SavedPolicy]


def newest_checkpoint(root: Path, say: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint in `root` that is whole; `say` is told of newer ones that are not.

    Raises UsageError where there is none, and CheckpointError where none is whole.
    """
    folder = newest_whole(root, lambda text: say(f"warning: {text}"))
    if folder is None and checkpoints(root):
        raise CheckpointError(
            f"{root} holds no whole checkpoint", help="put back what is missing, from where it was copied"
        )
    if folder is None:
        raise UsageError(
            f"{root} holds no checkpoint",
            help="a run writes them after `training.save_freq` steps and after its last one; "
            "wait until the run has saved one; its base models are evaluated by the experiment file",
        )
    return _whole(folder)


def checkpoint_of_step(root: Path, step: int) -> Checkpoint:
    """The checkpoint of `step` in `root`. Raises as `read_checkpoint`, and UsageError for none."""
    there = checkpoints(root)
    if step not in there:
        raise UsageError(
            f"{root} holds no checkpoint of step {step}",
            help=f"steps with one: {', '.join(map(str, there)) or 'none'}",
        )
    return read_checkpoint(step_folder(root, step))


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`. Raises CheckpointError where it is not whole."""
    if found := fault(folder):
        raise _damaged(folder, found)
    return _whole(folder)


def _whole(folder: Path) -> Checkpoint:
    state = read_state(folder)
    policies = {
        policy["name"]: SavedPolicy(folder / POLICIES / str(number), policy["version"])
        for number, policy in enumerate(state["policies"])
    }
    for name, saved in policies.items():
        if not saved.folder.is_dir():
            raise _damaged(folder, f"it holds no weights of policy {name!r}")
    return Checkpoint(folder, state["step"], policies)


def _damaged(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {folder} is damaged: {why}", help="name another one, or the run's folder for its newest"
    )
