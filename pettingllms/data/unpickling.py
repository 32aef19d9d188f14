"""Texts out of pickles of strangers: nothing but a text is ever built, and no unpickler runs.

A pickle is a program. It is read as a list of instructions here, and is accepted where these say one text and
no more: classes, functions, numbers, containers, persistent ids, extensions and out-of-band buffers are all
refused before anything of them exists.
"""

from __future__ import annotations

import base64
import binascii
import io
import pickletools
import zlib

from pettingllms.data.rows import BadReason, BadRowError, short

MAX_TEXT_BYTES = 2**26
"""Of what is unpacked: more is a bomb."""
MAX_INSTRUCTIONS = 100
"""Of a pickle; one text takes about five."""

_TEXT = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_AROUND = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "STOP"}
"""What stands around a text: versions, lengths, and places to remember it at, which are not made."""


def packed_text(packed: str, limit: int = MAX_TEXT_BYTES) -> str:
    """The text in base64 of zlib of pickle, as LiveCodeBench packs private tests.

    `limit`: bytes of the unpacked pickle. Raises BadRowError where it is anything else, or larger.
    """
    try:
        squeezed = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise _undecodable(f"no base64: {short(cause)}") from None
    unpacking = zlib.decompressobj()
    try:
        pickled = unpacking.decompress(squeezed, limit)
    except zlib.error as cause:
        raise _undecodable(f"no zlib: {short(cause)}") from None
    if unpacking.unconsumed_tail:
        raise BadRowError(BadReason.TOO_LONG, f"more than {limit} bytes when it is unpacked")
    if not unpacking.eof:
        raise _undecodable("no zlib: it ends too early")
    return pickled_text(pickled)


def pickled_text(pickled: bytes) -> str:
    """The text that the pickle holds. Raises BadRowError where it holds anything else."""
    texts: list[str] = []
    stream = io.BytesIO(pickled)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == MAX_INSTRUCTIONS:
                raise _undecodable(f"the pickle has more than {MAX_INSTRUCTIONS} instructions")
            if opcode.name in _TEXT:
                texts.append(str(argument))
            elif opcode.name not in _AROUND:
                raise _undecodable(f"the pickle says {opcode.name}, and only a text is trusted")
    # genops raises whatever reading a broken number, text or length raises.
    except (ValueError, OverflowError, MemoryError) as cause:
        raise _undecodable(f"no pickle: {short(cause)}") from None
    if len(texts) != 1 or stream.read(1):
        raise _undecodable(f"the pickle holds {len(texts)} texts" if len(texts) != 1 else "bytes follow it")
    return texts[0]


def _undecodable(text: str) -> BadRowError:
    return BadRowError(BadReason.UNDECODABLE, text)
