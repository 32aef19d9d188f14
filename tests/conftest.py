"""Fixtures of all tests: golden files, and a cache and secrets of their own."""

import os
from pathlib import Path

import pytest
from postgres_server import server

from pettingllms import hiding

# Tensors of tests are tiny, and two processes of tests share the cores: threads that spin while they
# wait for work would take them from one another. Processes that tests start read these as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch):
    """What one test hides from the output of its process is no secret of the next."""
    monkeypatch.setattr(hiding, "_hidden", {})


@pytest.fixture
def golden():
    """Compare a text with a golden file; `GOLDEN_UPDATE=1` writes it instead."""

    def check(path: Path, text: str) -> None:
        if os.environ.get("GOLDEN_UPDATE") == "1":
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; GOLDEN_UPDATE=1 writes it"
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL database that tests share; they are skipped where there is no server."""
    with server() as url:
        yield url
