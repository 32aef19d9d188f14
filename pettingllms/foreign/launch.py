"""The command of a script that starts training: its program, Hydra's options, its overrides, and its GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pettingllms.errors import RefusedError
from pettingllms.foreign.expand import Field, Variables
from pettingllms.foreign.shell import Command, read_commands

_PYTHON = re.compile(r"(?:.*/)?python(?:\d+(?:\.\d+)*)?(?:\.exe)?")
_LAUNCHERS = {"torchrun", "accelerate", "deepspeed"}
_LAUNCHER_MODULES = {"torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch"}
_TRAINING = re.compile(r"(?:^|[./_-])(?:train\w*|main_ppo|main)(?:\.py)?$")
_HYDRA_VALUES = {
    "--config-name": "config_name", "-cn": "config_name", "--config-path": "config_path",
    "-cp": "config_path", "--config-dir": "config_dir", "-cd": "config_dir",
}  # fmt: skip
_MULTIRUN = ("--multirun", "-m")
_PROCESSES = ("--num_processes", "--num-processes", "--nproc_per_node", "--nproc-per-node", "--num_gpus")
_NODES = ("--num_machines", "--num-machines", "--nnodes", "--num_nodes")


@dataclass(slots=True)
class Launch:
    """One command that starts training. `facts`: what is said around it, by line.

    `processes` counts those of one node, or of all nodes where `total` holds.
    """

    line: int
    program: str = ""
    config_name: str | None = None
    config_path: str | None = None
    config_dir: str | None = None
    multirun: bool = False
    overrides: list[Field] = field(default_factory=list)
    unknown: list[Field] = field(default_factory=list)
    visible: str | None = None
    processes: int | None = None
    nodes: int | None = None
    total: bool = False
    facts: list[tuple[str, int]] = field(default_factory=list)
    sure: bool = True


def find_launch(text: str, name: str, line: int | None = None) -> Launch:
    """Return the command of `text` that starts training; the one at `line` where there are several.

    Raises ScriptError where `text` is no shell script, RefusedError where there is no such command,
    or more than one, or where it stands in a loop or function.
    """
    variables = Variables()
    found: list[tuple[Launch, Command]] = []
    for command in read_commands(text):
        words = [one for word in command.words for one in variables.fields(word)]
        launch = read_words(words, command.line)
        if launch is None:
            variables.execute(command)
            continue
        for made in command.assignments:
            if made.name == "CUDA_VISIBLE_DEVICES":
                value = variables.text(made.words[0])
                launch.visible = value if isinstance(value, str) else None
        exported = variables.values.get("CUDA_VISIBLE_DEVICES", [None])[0]
        if launch.visible is None and isinstance(exported, str):
            launch.visible = exported
        launch.facts += variables.remarks.items()
        names = sorted(set(variables.exported) - {"CUDA_VISIBLE_DEVICES"})
        if names:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            launch.facts.append((f"Environment of the script, not part of an experiment: {shown}", 0))
        found.append((launch, command))
    return _chosen(found, name, line)


def _chosen(found: list[tuple[Launch, Command]], name: str, line: int | None) -> Launch:
    sure = [pair for pair in found if pair[0].sure] or found
    if line is not None:
        sure = [pair for pair in found if pair[0].line == line]
    if not sure:
        what = f"no command at line {line} starts training" if line else "no command starts training"
        help_text = "it is looked for as python -m MODULE, python FILE.py, accelerate launch or torchrun"
        raise RefusedError(f"{name}: {what}", help=help_text)
    if len(sure) > 1:
        lines = ", ".join(str(launch.line) for launch, _ in sure[:8]) + (", …" if len(sure) > 8 else "")
        message = f"{name}: several commands start training, at the lines {lines}"
        raise RefusedError(message, help=f"choose one with --line, such as --line {sure[0][0].line}")
    launch, command = sure[0]
    block = next((kind for kind in command.inside if kind in ("loop", "function")), None)
    if block:
        message = f"{name}:{launch.line}: the command stands in a {block}, which is not run"
        raise RefusedError(message, help="write it once, with the values as a sweep: --multirun key=a,b")
    if any(kind in ("if", "case") for kind in command.inside):
        launch.facts.append(("the command stands under a condition, which is taken to hold", launch.line))
    if command.cut_by_comment:
        message = "a comment ends the command here; lines below it do not belong to it"
        launch.facts.append((message, command.cut_by_comment))
    return launch


def read_words(words: list[Field], line: int) -> Launch | None:
    """The launch that the words of one command are, or None."""
    starts = (index for index, word in enumerate(words) if _starts(words, index, word.text))
    start = next(starts, None)
    if start is None:
        return None
    launch = Launch(line)
    for word in words[:start]:
        if word.text.startswith("CUDA_VISIBLE_DEVICES=") and word.unknown is None:
            launch.visible = word.text.partition("=")[2]
    launcher = words[start].text.rpartition("/")[2]
    position = start + 1
    if launcher in _LAUNCHERS:
        position += launcher == "accelerate"
        position = _launcher_options(words, position, launch)
    position = _program(words, position, launch)
    if launch.program in _LAUNCHER_MODULES:
        position = _program(words, _launcher_options(words, position, launch), launch)
    if not launch.program:
        return None
    _arguments(words[position:], launch)
    named = launch.config_name or launch.config_path or launch.config_dir
    dotted = any(re.match(r"(?:\+\+?|~)?[\w$]+[.@/][^=]*=", one.text) for one in launch.overrides)
    launch.sure = _TRAINING.search(launch.program) is not None
    return launch if launch.sure or named or dotted else None


def _starts(words: list[Field], index: int, text: str) -> bool:
    launcher = text.rpartition("/")[2]
    if launcher == "accelerate":
        return index + 1 < len(words) and words[index + 1].text == "launch"
    # An interpreter that only the environment knows, as in `$PYTHON -m …`.
    following = words[index + 1].text if index + 1 < len(words) else ""
    named = re.fullmatch(r"\$\{oc\.env:\w*PY\w*(,.*)?\}|…", text) is not None and following[:1] == "-"
    return launcher in _LAUNCHERS or named or _PYTHON.fullmatch(text) is not None


def _launcher_options(words: list[Field], position: int, launch: Launch) -> int:
    """Read the options of a launcher up to its program."""
    while position < len(words) and words[position].text.startswith("-"):
        name, equals, value = words[position].text.partition("=")
        if name in ("-m", "--module"):
            return position
        following = words[position + 1].text if position + 1 < len(words) else ""
        if not equals and following and not following.startswith("-") and not following.endswith(".py"):
            value, position = following, position + 1
        if name in _PROCESSES and value.isdecimal():
            launch.processes, launch.total = int(value), "num_processes" in name.replace("-", "_")
        elif name in _NODES and value.isdecimal():
            launch.nodes = int(value)
        position += 1
    return position


def _program(words: list[Field], position: int, launch: Launch) -> int:
    """Read the interpreter's options and the program; return where its arguments begin."""
    while position < len(words):
        text = words[position].text
        if text in ("-m", "--module"):
            launch.program = words[position + 1].text if position + 1 < len(words) else ""
            return position + 2
        if not text.startswith("-"):
            launch.program = text if text.endswith(".py") else ""
            return position + 1
        position += 2 if text in ("-X", "-W") else 1
    return position


def _arguments(words: list[Field], launch: Launch) -> None:
    """Sort the program's arguments into Hydra's options, overrides, and what is neither."""
    position = 0
    while position < len(words):
        one = words[position]
        name, equals, value = one.text.partition("=")
        position += 1
        if name in _HYDRA_VALUES and one.unknown is None:
            if not equals:
                value = words[position].text if position < len(words) else ""
                position += 1
            setattr(launch, _HYDRA_VALUES[name], value)
        elif one.text in _MULTIRUN:
            launch.multirun = True
        elif one.unknown is None and re.match(r"~[A-Za-z_]|[^-=][^=]*=", one.text):
            launch.overrides.append(one)
        else:
            launch.unknown.append(one)
