"""From a file to its text: which files are read, how large they may be, what they may hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pettingllms.documents.source import START, DocumentError, Finding, Lines, Place, Source, Span

SYNTAX, UNREADABLE = "PLM001", "PLM002"
MAX_BYTES = 4 * 2**20
"""An experiment of 20,000 lines takes a third of this; a larger file is data or a log."""

_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def fault(
    code: str, path: Path, message: str, help_text: str | None, text: str = "", span: Span = START
) -> DocumentError:
    """What is wrong with the file at `path`, at `span` of its `text`."""
    place = Place(Source(str(path), text), span)
    return DocumentError(Finding((), message, help=help_text, place=place, code=code))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of the regular file at `path`. Raises DocumentError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A pipe or a device may have no end, or never begin.
            raise fault(UNREADABLE, path, "this is no regular file", "use - to read from a pipe")
        if path.is_file():
            check_size(path.stat().st_size, path)
        return path.read_bytes()
    except FileNotFoundError:
        raise fault(UNREADABLE, path, "no such file", "check the spelling and the folder") from None
    except IsADirectoryError:
        help_text = "name a .toml or .yaml file in it"
        raise fault(UNREADABLE, path, "this is a folder, not a file", help_text) from None
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise fault(UNREADABLE, path, f"cannot read this file: {reason}", "check its permissions") from None


def read_stdin(path: Path) -> bytes:
    """Return what stands on standard input, `path` its name in diagnostics. Raises DocumentError."""
    if sys.stdin is None:
        raise fault(UNREADABLE, path, "standard input is closed", "pipe a file into it")
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    check_size(len(raw), path)
    return raw


def check_size(size: int, path: Path) -> None:
    """Raise DocumentError where a document of `size` bytes is too large to be an experiment."""
    if size > MAX_BYTES:
        known = f" ({size:,} bytes)" if size > MAX_BYTES + 1 else ""
        message = f"the file is larger than {MAX_BYTES // 2**20} MiB{known}"
        raise fault(UNREADABLE, path, message, "this is no experiment file; name another one")


def has_bom(raw: bytes) -> bool:
    """True where `raw` begins with a byte order mark."""
    return raw.startswith(_BOM)


def decode(raw: bytes, path: Path) -> str:
    """Return the text of `raw` without its byte order mark. Raises DocumentError where it is not UTF-8."""
    check_size(len(raw), path)
    raw = raw.removeprefix(_BOM)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        start = len(raw[: cause.start].decode("utf-8"))
        text = raw.decode("utf-8", errors="replace")
        message = f"byte 0x{raw[cause.start]:02x} is not UTF-8"
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = "the file is UTF-16, not UTF-8"
        span = Lines(text).span(start, start + 1)
        raise fault(SYNTAX, path, message, "save the file as UTF-8", text, span) from None


def check_characters(text: str, path: Path, pattern: re.Pattern[str] = _CONTROL) -> None:
    """Raise DocumentError at the first character of `text` that `pattern` finds."""
    found = pattern.search(text)
    if found is not None:
        code = ord(found.group())
        message = (
            f"{'a NUL byte' if code == 0 else f'the character U+{code:04X}'} may not stand in a text file"
        )
        span = Lines(text).span(*found.span())
        raise fault(SYNTAX, path, message, "remove it", text, span)
