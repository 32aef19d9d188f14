"""Which files a command line of the linter names: files, folders, standard input."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pettingllms.cli.experiment_files import experiments_in, is_experiment
from pettingllms.cli.lint_request import LintRequest
from pettingllms.lint.files.checked import Named
from pettingllms.lint.files.settings import LintSettings

STDIN = Path("<stdin>")
_YAML = re.compile(r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n|---[ \t]*\r?\n)*[\w\"'-]+[ \t]*:(?:\s|\Z)")
"""What standard input begins with where it is YAML: a first key that is followed by a colon."""


@dataclass(slots=True)
class NamedFiles:
    """The files to check. `others`: how many named files are none. `faults`: folders not to be listed."""

    files: list[Named] = field(default_factory=list)
    others: int = 0
    faults: list[str] = field(default_factory=list)


def named_files(request: LintRequest, settings: LintSettings) -> NamedFiles:
    """The files that `request` names, those in folders in order of name."""
    found = NamedFiles()
    for path in request.paths:
        if str(path) == "-":
            if not any(file.text is not None for file in found.files):
                found.files.append(_from_stdin(request.stdin_name))
        elif _is_folder(path):
            listed = experiments_in(
                path, settings.excludes, lambda error: found.faults.append(_unlisted(error))
            )
            found.files += [Named(file) for file in listed]
        elif request.skip_others and _is_other(path, settings):
            found.others += 1
        else:
            found.files.append(Named(path))
    return found


def _from_stdin(name: Path | None) -> Named:
    text = _stdin(name or STDIN)
    if name is None:
        name = STDIN.with_suffix(".yaml") if _YAML.search(text) else STDIN
    return Named(name, text)


def _stdin(name: Path) -> str:
    from pettingllms.documents.files import decode, read_stdin
    from pettingllms.documents.source import DocumentError
    from pettingllms.errors import RefusedError

    try:
        return decode(read_stdin(name), name)
    except DocumentError as error:
        raise RefusedError(f"{name}: {error}", help=error.help) from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        # A folder on the way that may not be entered; the check says so.
        return False


def _is_other(path: Path, settings: LintSettings) -> bool:
    """True for a file that is there and is no experiment of the project; what is not there is a fault."""
    try:
        return path.is_file() and (settings.excludes(path) or not is_experiment(path))
    except (OSError, ValueError):
        return False


def _unlisted(error: OSError) -> str:
    return f"{error.filename}: this folder cannot be listed: {error.strerror}"
