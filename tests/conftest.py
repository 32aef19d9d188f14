"""Fixtures of all tests: golden files."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def golden():
    """Compare a text with a golden file; `GOLDEN_UPDATE=1` writes it instead."""

    def check(path: Path, text: str) -> None:
        if os.environ.get("GOLDEN_UPDATE") == "1":
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; GOLDEN_UPDATE=1 writes it"
        assert text == path.read_text(encoding="utf-8")

    return check
