"""`pettingllms new env`: an environment of your own, as a plug-in file with its experiment and its test."""

from __future__ import annotations

import logging
import re
from pathlib import Path

_log = logging.getLogger(__name__)
SCAFFOLD = Path(__file__).with_name("scaffold")
"""A whole environment, with what belongs to it; its name is put in the place of `reverse`."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_environment(target: Path, *, force: bool) -> None:
    """Write `NAME_env.py`, `NAME.toml` and `test_NAME_env.py` beside `target`, whose own name is NAME.

    Raises UsageError where that cannot be the name of an environment, RefusedError where the name is taken or
    a file is there and `force` is not given; nothing is written then.
    """
    from pettingllms.documents.atomic import write_text
    from pettingllms.errors import RefusedError, UsageError

    name = target.name.removesuffix("_env")
    if not _NAME.fullmatch(name):
        help_text = "lower-case letters, digits and single underscores, as in my_game; no suffix"
        raise UsageError(f"{target.name!r} cannot be the name of an environment", help=help_text)
    _refuse_taken(f"{name}_env")
    files = {target.with_name(file): text for file, text in scaffold(name).items()}
    standing = [path for path in files if path.exists()]
    if standing and not force:
        raise RefusedError(f"{standing[0]} exists already", help="write --force to replace it")
    for path, text in files.items():
        write_text(path, text, force=force)
        _log.info("%s", path)
    plugin, experiment, test = files
    _log.info("next: pytest %s, then pettingllms lint %s; your task goes into %s", test, experiment, plugin)


def scaffold(name: str) -> dict[str, str]:
    """The files of an environment called `name`: plug-in, experiment and test; from file name to text."""
    words = "".join(word.capitalize() for word in name.split("_"))
    found = {}
    for source, file in (
        ("environment.py.txt", f"{name}_env.py"),
        ("experiment.toml.txt", f"{name}.toml"),
        ("test.py.txt", f"test_{name}_env.py"),
    ):
        text = (SCAFFOLD / source).read_text(encoding="utf-8")
        found[file] = text.replace("reverse", name).replace("Reverse", words)
    return found


def _refuse_taken(env: str) -> None:
    from pettingllms.envs import ENVS
    from pettingllms.errors import RefusedError

    if env in ENVS or env in ENVS.announced:
        raise RefusedError(f"there is an environment {env!r} already", help="choose another name")
