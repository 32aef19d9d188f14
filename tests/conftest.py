"""Fixtures of all tests: golden files, and a cache of their own."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def golden():
    """Compare a text with a golden file; `GOLDEN_UPDATE=1` writes it instead."""

    def check(path: Path, text: str) -> None:
        if os.environ.get("GOLDEN_UPDATE") == "1":
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; GOLDEN_UPDATE=1 writes it"
        assert text == path.read_text(encoding="utf-8")

    return check
