"""Datasets of the hub: folders of one's own first, then the hub's cache, then the network; no code is run."""

import builtins
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from row_files import sums, write_lines

from pettingllms.config.data import DataOptions
from pettingllms.data.hub import MIRRORS
from pettingllms.data.tasks import load_splits, load_tasks
from pettingllms.envs.math_rows import own
from pettingllms.errors import RefusedError

ROOT = Path(__file__).resolve().parents[2]
FEW = DataOptions(validation_size=2, test_size=1)


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    """No mirror, no cache and no network, whatever the machine has."""
    monkeypatch.delenv(MIRRORS, raising=False)
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def load(source, split="train", options=FEW):
    return load_tasks(source, split, options, 0, own=own)


def questions(tasks):
    return [task.data["question"] for task in tasks]


def cache(folder, repo, revision, files, ref="main"):
    """Lay files out as the hub's cache does."""
    root = folder / "hub" / f"datasets--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / ref).write_text(revision)
    for name, rows in files.items():
        write_lines(root / "snapshots" / revision / name, rows)


def test_a_folder_of_ones_own_is_looked_into_first(tmp_path, monkeypatch):
    cache(tmp_path, "owner/name", "c" * 40, {"train.jsonl": sums(9)})
    mirrors = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setenv(MIRRORS, os.pathsep.join(map(str, mirrors)))
    assert load("hf:owner/name").record.revision == "c" * 40
    write_lines(mirrors[1] / "owner/name/train.jsonl", sums(8))
    found = load("hf:owner/name").record
    assert (found.rows, found.revision, found.repo) == (8, None, "owner/name")
    write_lines(mirrors[0] / "owner/name/train.jsonl", sums(7))
    assert load("hf:owner/name").record.rows == 7


def test_a_revision_that_was_asked_for_is_not_replaced_by_another(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRRORS, str(tmp_path / "mirror"))
    write_lines(tmp_path / "mirror/owner/name/train.jsonl", sums(8))
    with pytest.raises(RefusedError, match="'owner/name' at revision v1 is not on this machine"):
        load("hf:owner/name@v1")
    write_lines(tmp_path / "mirror/owner/name@v1/train.jsonl", sums(6))
    found = load("hf:owner/name@v1").record
    assert (found.rows, found.revision) == (6, "v1")
    write_lines(tmp_path / "mirror/owner/name@refs-convert-parquet/train.jsonl", sums(5))
    assert load("hf:owner/name@refs/convert/parquet").record.rows == 5


def test_the_cache_is_used_offline_and_tells_the_commit(tmp_path):
    files = {"data/train-0.jsonl": sums(5), "data/test-0.jsonl": sums(3, first=50), "README.md": ["a: 1"]}
    cache(tmp_path, "owner/name", "a" * 40, files)
    found = load_splits("hf:owner/name", ("train", "test"), FEW, 0, own=own)
    assert {split: len(tasks) for split, tasks in found.items()} == {"train": 3, "test": 3}
    assert found["train"].record.revision == "a" * 40
    assert found["test"].record.files == ("data/test-0.jsonl",)


def test_offline_it_is_said_where_a_dataset_may_be_put():
    with pytest.raises(
        RefusedError, match="'owner/name' is not on this machine, and HF_HUB_OFFLINE"
    ) as caught:
        load("hf:owner/name")
    assert "hf download --repo-type dataset owner/name" in caught.value.help
    assert f"owner/name/ below a folder that the environment variable {MIRRORS} names" in caught.value.help


def test_a_preset_is_found_in_a_folder_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRRORS, str(tmp_path))
    rows = [{"problem": f"p{n}", "answer": str(n), "unique_id": f"test/{n}"} for n in range(4)]
    write_lines(tmp_path / "HuggingFaceH4/MATH-500/test.jsonl", rows)
    found = load("MATH500", "val")
    assert [task.id for task in found] == [f"val/test/{n}" for n in range(4)]
    assert found.record.source == "MATH500"
    assert questions(load("hf:HuggingFaceH4/MATH-500", "test")) == ["p0", "p1", "p2", "p3"]


def test_a_preset_without_its_files_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRRORS, str(tmp_path))
    write_lines(tmp_path / "openai/gsm8k/main/train-0.jsonl", sums(3))
    with pytest.raises(
        RefusedError, match=r"has no main/train-\*\.parquet, which openai/gsm8k has for the train"
    ):
        load("gsm8k")


def test_without_the_hubs_library_it_is_said_what_to_install(tmp_path, monkeypatch):
    original = builtins.__import__

    def absent(name, *arguments):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(RefusedError, match="huggingface_hub is not installed") as caught:
        load("hf:owner/name")
    assert "pip install huggingface_hub" in caught.value.help
    # Folders of one's own need no library.
    monkeypatch.setenv(MIRRORS, str(tmp_path))
    write_lines(tmp_path / "owner/name/train.jsonl", sums(5))
    assert len(load("hf:owner/name")) == 2


class Hub:
    """The hub as the network would show it: a commit, and files that are copied when they are asked for."""

    def __init__(self, folder, files, error=None):
        self.folder, self.files, self.error, self.asked = folder, files, error, []

    def dataset_info(self, repo, revision=None, timeout=None):
        self.asked.append((repo, revision))
        if self.error:
            raise self.error
        return SimpleNamespace(
            sha="b" * 40, siblings=[SimpleNamespace(rfilename=name) for name in self.files]
        )

    def download(self, repo, name, repo_type, revision):
        self.asked.append((name, repo_type, revision))
        return str(write_lines(self.folder / "snapshots" / revision / name, self.files[name]))


def online(monkeypatch, hub):
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)


def test_what_is_fetched_is_of_one_commit_and_no_more_than_is_read(tmp_path, monkeypatch):
    files = {
        "loader.py": ["import os"],
        "data/train-0.jsonl": sums(5),
        "data/test-0.jsonl": sums(2, first=9),
        "data/train-0.csv": [],
    }
    hub = Hub(tmp_path, files)
    online(monkeypatch, hub)
    found = load("hf:owner/name@main")
    assert found.record.revision == "b" * 40
    # The test split as well: offline it has to be there again.
    first, *others = hub.asked
    assert first == ("owner/name", "main")
    assert sorted(others) == [(f"data/{name}-0.jsonl", "dataset", "b" * 40) for name in ("test", "train")]


def test_without_a_network_the_cache_is_used_and_else_the_reason_said(tmp_path, monkeypatch):
    online(monkeypatch, Hub(tmp_path, {}, error=ConnectionError("name resolution failed")))
    with pytest.raises(RefusedError, match=r"the hub cannot be reached .*name resolution failed"):
        load("hf:owner/name")
    cache(tmp_path, "owner/name", "a" * 40, {"train.jsonl": sums(5)})
    assert load("hf:owner/name").record.revision == "a" * 40


def test_a_dataset_that_does_not_exist_is_refused_with_the_hubs_words(tmp_path, monkeypatch):
    from huggingface_hub.errors import RepositoryNotFoundError

    error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    Exception.__init__(error, "404: owner/nme")
    monkeypatch.setattr(RepositoryNotFoundError, "__str__", lambda self: "404: owner/nme")
    online(monkeypatch, Hub(tmp_path, {}, error=error))
    with pytest.raises(RefusedError, match="404: owner/nme") as caught:
        load("hf:owner/nme")
    assert "hf auth login" in caught.value.help


def test_a_dataset_of_scripts_is_refused(tmp_path, monkeypatch):
    online(monkeypatch, Hub(tmp_path, {"loader.py": [], "README.md": []}))
    with pytest.raises(RefusedError, match=r"dataset owner/name has no \*\.parquet") as caught:
        load("hf:owner/name")
    assert "@refs/convert/parquet" in caught.value.help


def test_the_variable_of_the_hub_is_honoured(tmp_path):
    # The library reads it when it is imported.
    code = (
        "from pettingllms.config.data import DataOptions; from pettingllms.data.tasks import load_tasks\n"
        "try: load_tasks('hf:owner/name', 'train', DataOptions(), 0, own=dict)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop(MIRRORS, None)
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        "RefusedError dataset 'owner/name' is not on this machine, and HF_HUB_OFFLINE"
    )
