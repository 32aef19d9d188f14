"""Results of former runs, kept by content: found again only where nothing that they depend on changed.

What a result depends on is written beside it: the contents of the files that were read, the names at
which included files would have been found first, and the paths at which a rule may have looked. A
result whose dependencies are not all known is not kept: a stale result is worse than a slow one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.documents.files import MAX_BYTES
from pettingllms.lint.files.checked import CheckOptions, FileResult
from pettingllms.lint.files.stored_result import as_plain, from_plain

if TYPE_CHECKING:
    from pettingllms.config.load import Draft

FORM = 1
"""Raised when entries are written in another way."""
State = str | list[int] | None
MAX_ENTRIES = 4000
MAX_ENTRY_BYTES = 2**20
MAX_TOTAL_BYTES = 64 * 2**20
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Cache:
    """The entries of one folder that were made by this build with the same options.

    `version`: a digest of the build, the options and the current folder.
    """

    folder: Path
    version: str

    def find(self, path: Path) -> FileResult | None:
        """The result for the file at `path`; None where there is none that still holds."""
        try:
            raw = self._entry(path).read_bytes()
            checksum, _, body = raw.partition(b"\n")
            if checksum.decode("ascii") != digest(body):
                return None
            entry = json.loads(body)
            if any(state(Path(name)) != said for name, said in entry["depends"]):
                return None
            return from_plain(path, entry["result"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def store(self, path: Path, result: FileResult, draft: Draft | None) -> None:
        """Keep the result for the file at `path`, if all that it depends on is known."""
        if draft is None or not draft.complete or result.crash is not None:
            return
        from pettingllms.lint.files.dependencies import dependencies, gives_away

        depends, plain = dependencies(path, draft), as_plain(result)
        if depends is None or plain is None:
            return
        known = sorted((str(file), state) for file, state in depends.items())
        entry = {"depends": known, "result": plain}
        body = json.dumps(entry, separators=(",", ":")).encode("ascii")
        if len(body) <= MAX_ENTRY_BYTES and not gives_away(json.dumps(entry, ensure_ascii=False), draft):
            self._write(self._entry(path), digest(body).encode("ascii") + b"\n" + body)

    def prune(self) -> None:
        """Remove the oldest entries where there are too many, or they are too large."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as found:
            sizes = [(entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in found]
            count, total = len(sizes), sum(size for _, size, _ in sizes)
            if count <= MAX_ENTRIES and total <= MAX_TOTAL_BYTES:
                return
            # Some more than must go, so that the next run need not do it again.
            for _, size, path in sorted(sizes):
                if count <= MAX_ENTRIES * 3 // 4 and total <= MAX_TOTAL_BYTES * 3 // 4:
                    break
                count, total = count - 1, total - size
                with contextlib.suppress(OSError):
                    Path(path).unlink()

    def _entry(self, path: Path) -> Path:
        name = f"{self.version}\0{path}".encode("utf-8", errors="surrogateescape")
        return self.folder / f"{digest(name)}.json"

    def _write(self, entry: Path, raw: bytes) -> None:
        """Put the entry in place in one move; one that is lost in a power cut fails its checksum."""
        part = entry.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(OSError):
            try:
                part.write_bytes(raw)
                part.replace(entry)
            finally:
                part.unlink(missing_ok=True)


def open_cache(options: CheckOptions) -> Cache | None:
    """The cache of results with `options`; None where none can be, or where they depend on too much.

    That is so for the machine that asks, whose disks fill up, and for overlays without their suffix,
    which are looked for in several places.
    """
    try:
        local = options.facts is not None and options.facts.local
        if local or not all(overlay.is_file() for overlay in options.overlays):
            return None
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return None
        return Cache(folder, _version(options))
    except (OSError, RuntimeError, ValueError):
        return None


def cache_folder() -> Path:
    """Where entries lie: below `PETTINGLLMS_CACHE_DIR`, else in the user's folder for caches."""
    chosen = os.environ.get("PETTINGLLMS_CACHE_DIR")
    if chosen:
        return Path(chosen) / "lint"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "pettingllms" / "lint"


def _version(options: CheckOptions) -> str:
    parts = [
        str(FORM),
        sys.version,
        *(str(_modified(Path(name))) for name in sys.path if name.endswith("-packages")),
        str(Path.cwd()),
        str(Path("~").expanduser()),
        repr((options.overrides, [str(path) for path in options.overlays])),
        repr((options.facts, options.drop_invalid)),
        *_build(),
    ]
    return digest("\0".join(parts).encode("utf-8", errors="surrogateescape"))


def _build() -> Iterator[str]:
    """Each source file of this package, with its size and time of change."""
    waiting = [_PACKAGE]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        waiting.append(Path(entry.path))
                else:
                    found = entry.stat()
                    yield f"{entry.path} {found.st_size} {found.st_mtime_ns}"


def state(path: Path) -> State:
    """What any change at `path` changes: a digest of the content, for a folder its time of change."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
            return digest(path.read_bytes())
    except (OSError, ValueError):
        return None
    return [found.st_mode, found.st_size, found.st_mtime_ns]


def digest(raw: bytes) -> str:
    """What stands for `raw`: equal only for equal bytes."""
    return hashlib.blake2b(raw, digest_size=20).hexdigest()


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
