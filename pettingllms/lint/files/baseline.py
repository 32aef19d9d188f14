"""Known findings: a committed file that lists them, so that only new ones count.

A finding is known by its code, file, key path and the words of its line, wherever that line stands.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.documents.atomic import write_text
from pettingllms.errors import UsageError
from pettingllms.hiding import hidden
from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.fingerprint import fingerprint
from pettingllms.lint.formats.parts import is_file, one_line, posix

VERSION = 1
_TEXTS = ("fingerprint", "code", "file", "path", "message")
_HELP = "write it anew, or take it from version control"


@dataclass(frozen=True, slots=True)
class Known:
    """Equal findings. `file`: relative to the folder of the baseline. `message`: the first one's."""

    fingerprint: str
    code: str
    file: str
    path: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that `file` lists."""

    file: Path
    known: tuple[Known, ...]


def write_baseline(diagnostics: Sequence[Diagnostic], path: Path, root: Path | None = None) -> None:
    """Write all `diagnostics` as known to `path`. Raises UsageError where it cannot be written.

    `root`: the folder that file names in diagnostics start from, by default the current one.
    """
    first: dict[str, Diagnostic] = {}
    counts: Counter[str] = Counter()
    for diagnostic in diagnostics:
        mark = fingerprint(diagnostic, _name(diagnostic, path, root))
        first.setdefault(mark, diagnostic)
        counts[mark] += 1
    rows = [
        {
            "file": _name(diagnostic, path, root),
            "path": diagnostic.path,
            "code": diagnostic.code,
            "message": one_line(diagnostic.message),
            "count": counts[mark],
            "fingerprint": mark,
        }
        for mark, diagnostic in first.items()
    ]
    rows.sort(key=lambda row: tuple(str(row[key]) for key in ("file", "path", "code", "fingerprint")))
    content = {"version": VERSION, "findings": rows}
    # File names may hold bytes that are no UTF-8.
    text = json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape")
    write_text(path, hidden(text.decode("utf-8", "replace")) + "\n", force=True)


def read_baseline(path: Path) -> Baseline:
    """Read the baseline at `path`. Raises UsageError with the reason where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise UsageError(f"the baseline {path} cannot be read: {reason}", help="check its name") from None
    except RecursionError:
        raise _unusable(path, "it is nested too deep") from None
    except ValueError as cause:
        # JSON that is none, and bytes that are no UTF-8.
        raise _unusable(path, str(cause)) from None
    if not isinstance(content, dict) or not isinstance(content.get("findings"), list):
        raise _unusable(path, "it has no list of findings")
    if content.get("version") != VERSION:
        raise _unusable(path, f"its version is {content.get('version')!r}, not {VERSION}")
    return Baseline(path, tuple(_known(row, number, path) for number, row in enumerate(content["findings"])))


def without_known(
    diagnostics: Sequence[Diagnostic],
    baseline: Baseline,
    root: Path | None = None,
    files: Collection[str] | None = None,
) -> tuple[list[Diagnostic], int, int]:
    """The diagnostics that `baseline` does not list, how many it lists, and how many of its own are gone.

    Of equal findings the first are the known ones. `root` is as in `write_baseline`. `files`: the
    files that were checked, under the names that diagnostics use; what the baseline lists for others is
    not gone, as nobody looked. Without it, all of the baseline was looked at.
    """
    # A merge of two branches may have left a finding there twice.
    entries = {known.fingerprint: known for known in baseline.known}
    left = {mark: known.count for mark, known in entries.items()}
    remaining = []
    for diagnostic in diagnostics:
        mark = fingerprint(diagnostic, _name(diagnostic, baseline.file, root))
        if left.get(mark, 0) > 0:
            left[mark] -= 1
        else:
            remaining.append(diagnostic)
    looked_at = None if files is None else {_relative(name, baseline.file, root) for name in files}
    gone = sum(left[mark] for mark, known in entries.items() if looked_at is None or known.file in looked_at)
    return remaining, len(diagnostics) - len(remaining), gone


def _name(diagnostic: Diagnostic, path: Path, root: Path | None) -> str:
    return _relative(diagnostic.file, path, root)


def _relative(name: str, path: Path, root: Path | None) -> str:
    """The file `name` as seen from the folder of the baseline at `path`, with slashes."""
    if not is_file(name):
        return name
    start = Path.cwd() if root is None else root
    return posix(os.path.relpath(start / name, path.absolute().parent))


def _known(row: Any, number: int, path: Path) -> Known:
    fields: dict[str, Any] = {k: row.get(k) for k in (*_TEXTS, "count")} if isinstance(row, dict) else {}
    count = fields.get("count")
    if not all(isinstance(fields.get(key), str) for key in _TEXTS) or type(count) is not int or count < 1:
        wanted = ", ".join(_TEXTS)
        raise _unusable(path, f"its finding {number + 1} has not the texts {wanted} and a positive count")
    return Known(**fields)


def _unusable(path: Path, reason: str) -> UsageError:
    return UsageError(f"{path} is no baseline: {reason}", help=_HELP)
