"""Which weights each policy of an engine has, and whether the engine can serve them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pettingllms.errors import RolloutError
from pettingllms.rollout.adapters import check_adapter
from pettingllms.rollout.model_files import may_be_tied, shapes_in, ties_its_ends, weight_files


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest weights of a policy. `number`: how many were loaded before them, of any policy, ever.

    `whole`: all weights of a model, not an adapter.
    """

    version: int
    folder: Path
    number: int
    whole: bool


class LoadedWeights:
    """Which weights each policy has; a policy without any is the base model, version 0."""

    def __init__(self, model_folder: Path, serving: str, max_rank: int | None) -> None:
        """`max_rank`: the largest rank of an adapter that is served as one; None is no limit."""
        self._model_folder, self._merges = model_folder, serving == "merged"
        self._max_rank = None if self._merges else max_rank
        self._count = 0
        self.newest: dict[str, Loaded] = {}

    def load(self, policy: str, version: int, folder: Path) -> None:
        """Take the weights in `folder`.

        Raises RolloutError when they cannot be served, and changes nothing.
        """
        whole = not is_adapter(folder)
        if not whole:
            check_adapter(self._model_folder, folder, self._max_rank)
        elif self._merges:
            _check_full(self._model_folder, folder)
        else:
            raise RolloutError(f"{folder} holds full weights, and this engine serves adapters only")
        self.newest[policy] = Loaded(version, folder, self._count, whole)
        self._count += 1

    def forget(self) -> None:
        """Every policy is the base model again. Numbers go on: none is given twice."""
        self.newest.clear()

    def version(self, policy: str) -> int:
        """Updates behind the weights that `policy` has now."""
        return self.newest[policy].version if policy in self.newest else 0


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a LoRA adapter in PEFT's format, and not a whole model."""
    return (folder / "adapter_config.json").is_file()


def _check_full(model_folder: Path, folder: Path) -> None:
    """Raise RolloutError unless `folder` has every matrix of the base model, by name and shape.

    One end of a tied model may be missing: it is the other. So may what old files hold beside weights.
    """
    base, own = (
        {name: shape for file in weight_files(each) for name, shape in shapes_in(file).items()}
        for each in (model_folder, folder)
    )
    tied = ties_its_ends(model_folder)
    wrong = [name for name in own if own[name] != base.get(name)]
    wrong += [
        name
        for name in base.keys() - own.keys()
        if not (tied and may_be_tied(name)) and not name.endswith("inv_freq")
    ]
    if wrong:
        raise RolloutError(
            f"the weights in {folder} are not of the model in {model_folder}: "
            f"{wrong[0]} is {own.get(wrong[0], 'missing')}, and {base.get(wrong[0], 'missing')} there"
        )
