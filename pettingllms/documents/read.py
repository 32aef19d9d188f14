"""One door for both formats: the suffix of a file says how it is read."""

from __future__ import annotations

from pathlib import Path

from pettingllms.documents.files import decode, has_bom, read_bytes
from pettingllms.documents.source import Document
from pettingllms.documents.toml import parse_toml
from pettingllms.documents.yaml import parse_yaml

YAML_SUFFIXES = (".yaml", ".yml")


def is_yaml(path: Path) -> bool:
    """True where the name says that the file is YAML; every other file is TOML."""
    return path.suffix.lower() in YAML_SUFFIXES


def read_document(path: Path) -> Document:
    """Read the file at `path`. Raises DocumentError."""
    raw = read_bytes(path)
    return parse_document(decode(raw, path), path, has_bom(raw))


def parse_document(text: str, path: Path, bom: bool = False) -> Document:
    """Return the document of `text`; `path` names it and its format. Raises DocumentError.

    `bom`: a byte order mark stood before the text; one that is still in it is taken off.
    """
    plain = text.removeprefix("\ufeff")
    return (parse_yaml if is_yaml(path) else parse_toml)(plain, path, bom or plain != text)
