"""Where plug-in files are: from a path as it was written to one that means the same in every process."""

from __future__ import annotations

import os
from pathlib import Path

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.stored import escaped
from pettingllms.compose.tree import Tree, get
from pettingllms.plugins import is_file

PLUGINS = "plugins"


def place_plugins(tree: Tree, resolution: Resolution) -> None:
    """Make the paths in `plugins` absolute: they start at the folder of the file that names them.

    Those of the command line start at the current folder. Names of modules stay as they are.
    """
    named = resolution.data.get(PLUGINS)
    if not isinstance(named, list):
        return
    found = list(named)
    for index, text in enumerate(named):
        path = (PLUGINS, index)
        if isinstance(text, str) and is_file(text) and path not in resolution.broken:
            folder = _folder(tree, index)
            found[index] = os.path.normpath(folder.absolute() / Path(text).expanduser())
            written = resolution.from_environment.get(path)
            if written is not None and not Path(text).expanduser().is_absolute():
                resolution.from_environment[path] = f"{escaped(str(folder.absolute()))}/{written}"
    if found != named:
        resolution.data = {**resolution.data, PLUGINS: found}


def _folder(tree: Tree, index: int) -> Path:
    """The folder at which an item starts: of the lowest file that has it, as overrides may add to a list."""
    text = get(tree.data, (PLUGINS, index))
    for write in tree.history.get((PLUGINS,), ()):
        if write.layer.kind == "file" and isinstance(write.value, list) and text in write.value:
            return Path(write.layer.name).parent
    return Path()
