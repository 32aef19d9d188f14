"""From a file to its rows: JSON lines, a JSON list or parquet; a bad row is one too, and says why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pettingllms.data.rows import BadReason, BadRowError, kind, short
from pettingllms.errors import RefusedError

SUFFIXES = (".parquet", ".jsonl", ".json")
"""The files that hold rows; of several with one content the first kind is read."""
MAX_ROW_BYTES = 2**27
"""Of a line: rows of LiveCodeBench have many megabytes; a longer line is passed over piece by piece."""
MAX_LIST_BYTES = 2**30
"""Of a file with one JSON list, which is read as a whole."""
_PIECE = 2**20
_BOM = b"\xef\xbb\xbf"
_PARQUET_ROWS = 64
"""Rows of a parquet file that are in memory at once."""

Row = Mapping[str, Any]


def rows_in(path: Path, limit: int = MAX_ROW_BYTES) -> Iterator[tuple[int, Row | BadRowError]]:
    """Each row of `path` with its number: of its line, or in parquet and JSON lists of the row, from 1.

    Lines without any content are no rows. `limit`: bytes of a line. Raises RefusedError where the file as a
    whole cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path)
        elif path.suffix == ".json" and _begins_a_list(path):
            yield from _items(path)
        else:
            yield from _lines(path, limit)
    except OSError as cause:
        raise RefusedError(
            f"{path} cannot be read: {cause.strerror or short(cause)}",
            help="check the name and the access rights",
        ) from None


def _lines(path: Path, limit: int) -> Iterator[tuple[int, Row | BadRowError]]:
    number = 0
    with path.open("rb") as file:
        while line := file.readline(limit + 1):
            number += 1
            if len(line) > limit and not line.endswith(b"\n"):
                while (rest := file.readline(_PIECE)) and not rest.endswith(b"\n"):
                    pass
                yield number, BadRowError(BadReason.TOO_LONG, f"more than {limit} bytes")
            # Files that were put together have the mark in their middle, too.
            elif content := line.removeprefix(_BOM).strip():
                yield number, _parsed(content)


def _parsed(line: bytes) -> Row | BadRowError:
    if b"\0" in line:
        return BadRowError(BadReason.BAD_JSON, "a NUL byte")
    try:
        found = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as cause:
        return BadRowError(BadReason.NON_UTF8, f"byte {cause.start + 1} of the line is no UTF-8")
    except json.JSONDecodeError as cause:
        return BadRowError(BadReason.BAD_JSON, f"{cause.msg} at column {cause.colno}")
    except (ValueError, RecursionError) as cause:
        return BadRowError(BadReason.BAD_JSON, short(cause))
    return _object(found)


def _object(found: Any) -> Row | BadRowError:
    if isinstance(found, dict):
        return found
    return BadRowError(BadReason.WRONG_TYPE, f"the row is {kind(found)}, not an object")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"JSON has no {word}")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _begins_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PIECE).removeprefix(_BOM).lstrip().startswith(b"[")


def _items(path: Path) -> Iterator[tuple[int, Row | BadRowError]]:
    """The items of a JSON list, which one fault makes unreadable as a whole."""
    advice = "write one object a line and name the file *.jsonl: then one bad row spoils no other"
    if (size := path.stat().st_size) > MAX_LIST_BYTES:
        raise RefusedError(f"{path} is one JSON list of {size} bytes", help=advice)
    try:
        items = _DECODER.decode(path.read_bytes().removeprefix(_BOM).decode("utf-8").strip())
    except json.JSONDecodeError as cause:
        raise RefusedError(f"{path}:{cause.lineno}:{cause.colno}: {cause.msg}", help=advice) from None
    except (ValueError, RecursionError) as cause:
        raise RefusedError(f"{path} is no JSON list in UTF-8: {short(cause)}", help=advice) from None
    for number, item in enumerate(items, 1):
        yield number, _object(item)


def _parquet(path: Path) -> Iterator[tuple[int, Row | BadRowError]]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise RefusedError(
            f"{path} is a parquet file, and pyarrow is not installed",
            help="install with: uv sync --extra data (or: pip install pyarrow), or turn it into JSON lines",
        ) from None
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for row in _unpacked(batch):
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as cause:
        raise RefusedError(
            f"{path} cannot be read after row {number}: {short(cause)}", help="fetch the file again"
        ) from None


def _unpacked(batch: Any) -> Iterator[Row | BadRowError]:
    """The rows of a batch; a text that is no UTF-8 spoils its own row only."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for place in range(batch.num_rows):
            try:
                yield from batch.slice(place, 1).to_pylist()
            except UnicodeDecodeError:
                yield BadRowError(BadReason.NON_UTF8, "a text is no UTF-8")
