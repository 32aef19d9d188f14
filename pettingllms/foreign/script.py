"""A launch script, or the text of one command line, as a draft."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path, PurePosixPath

from pettingllms.compose.names import AmbiguousNameError, NameNotFoundError, find_file
from pettingllms.documents.source import KeyPath
from pettingllms.foreign import verl
from pettingllms.foreign.draft import Draft
from pettingllms.foreign.hydra import Hydra
from pettingllms.foreign.launch import Launch, find_launch

_SUFFIX = re.compile(r"\.(ya?ml|toml)$")
_SHIPPED = re.compile(r"(?:^|/)config(?:/\w+)?/?$")


def import_script(
    text: str, name: str, draft: Draft, *, folder: Path | None = None, line: int | None = None
) -> None:
    """Fill `draft` from the command of `text` that starts training. Raises ScriptError, RefusedError."""
    launch = find_launch(text, name, line)
    where = f"{name}, line {launch.line}" if name.endswith(".sh") else name
    draft.head.append(f"Imported from {where}: {launch.program}")
    import_launch(launch, draft, folder).finish()


def import_launch(launch: Launch, draft: Draft, folder: Path | None) -> Hydra:
    """Fill `draft` from `launch`; the sweep is not finished."""
    hydra = Hydra(draft, folder, multirun=launch.multirun)
    if launch.program.rpartition(".")[2] == "main_ppo" or launch.program.endswith("main_ppo.py"):
        hydra.place = verl.home
        draft.say("The keys of a verl trainer stand where one policy has them", launch.line, comment=True)
    _config(launch, draft)
    _find_groups(draft, hydra)
    for message, line in launch.facts:
        draft.say(message, line, comment=not line)
    hydra.apply([(one.text, one.line or launch.line) for one in launch.overrides])
    for one in launch.unknown:
        if one.unknown is None:
            why = "it is neither an override nor an option of Hydra"
            if re.fullmatch(r"\$\{oc\.env:.*\}", one.text):
                why = "the script does not assign it; overrides in it are not known"
            draft.leave_out(one.text[:80] or '""', why, one.line or launch.line)
        elif one.text == "…" and one.unknown.why.startswith(("$@", "$*")):
            draft.say("overrides given to the script when it is started are not known", one.line)
        else:
            draft.leave_out(one.text[:80], one.unknown.why, one.unknown.line or launch.line)
    _machine(launch, draft)
    return hydra


def _config(launch: Launch, draft: Draft) -> None:
    """The entry of `defaults` that the configuration's name becomes."""
    name = _SUFFIX.sub("", launch.config_name or "")
    if not name:
        message = "No configuration is named; write in defaults what the experiment builds on"
        draft.say(message, launch.line, comment=True)
        for option in (launch.config_path, launch.config_dir):
            if option:
                draft.leave_out(f"configuration folder {option}", "no --config-name is given", launch.line)
        return
    folder = launch.config_dir or launch.config_path or ""
    if folder and (launch.config_dir or folder.startswith(("/", "${"))):
        name = str(PurePosixPath(folder) / name)
    elif folder:
        found = "this file, in the current folder and among the shipped presets"
        where = "" if _SHIPPED.search(folder) else "; move one of the two, or write its path"
        draft.say(f"{name} lies in {folder} there; here it is looked for beside {found}{where}", launch.line)
    draft.defaults.insert(0, name)


def _find_groups(draft: Draft, hydra: Hydra) -> None:
    """Where the configuration itself is at hand, so are the groups beside it."""
    if draft.defaults:
        with contextlib.suppress(NameNotFoundError, AmbiguousNameError, OSError, ValueError):
            hydra.folder = find_file(draft.defaults[0], hydra.folder).parent
            hydra.complete = True


def _machine(launch: Launch, draft: Draft) -> None:
    """GPUs and nodes: what the launcher says, unless an override says it."""
    for key, value in (("n_gpus_per_node", launch.processes), ("nnodes", launch.nodes)):
        path: KeyPath = ("resource", key)
        set_already = draft.tree.get("resource", {})
        if value is not None and not (isinstance(set_already, dict) and key in set_already):
            count = value // (launch.nodes or 1) if key == "n_gpus_per_node" and launch.total else value
            draft.put(path, count, launch.line)
            draft.say(f"resource.{key} = {count} is what the launcher is told", launch.line)
    if launch.visible is not None:
        devices = [device for device in launch.visible.split(",") if device.strip()]
        known = "${" not in launch.visible
        count_shown = f" ({len(devices)} GPU{'s' if len(devices) != 1 else ''})" if known else ""
        message = f"Started with CUDA_VISIBLE_DEVICES={launch.visible}{count_shown}"
        wanted = draft.tree.get("resource", {})
        asked = wanted.get("n_gpus_per_node") if isinstance(wanted, dict) else None
        draft.say(message, launch.line, comment=True)
        if known and type(asked) is int and asked != len(devices):
            draft.say(
                f"resource.n_gpus_per_node is {asked}, but {len(devices)} devices are visible", launch.line
            )
