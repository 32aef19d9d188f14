"""Run folders: names, proof that they can be written, whole or not at all."""

from datetime import datetime
from pathlib import Path

import pytest

from pettingllms.errors import RefusedError
from pettingllms.sweep import folders

NOW = datetime(2026, 3, 4, 5, 6, 7)


def test_names_of_run_folders():
    assert folders.training_folder(Path("outputs"), NOW) == Path("outputs/2026-03-04/05-06-07")
    assert folders.trial_folder(Path("outputs/study"), 7) == Path("outputs/study/trial_0007")


def test_a_folder_appears_with_all_its_files_and_nothing_else(tmp_path):
    made = folders.create_folder(tmp_path / "day" / "run", {"a.txt": "one\r\n", ".hydra/b.txt": "two"})
    assert made == tmp_path / "day" / "run"
    assert (made / "a.txt").read_bytes() == b"one\r\n"
    assert (made / ".hydra" / "b.txt").read_text() == "two"
    assert list((tmp_path / "day").iterdir()) == [made]


def test_a_taken_name_gets_a_suffix(tmp_path):
    made = [folders.create_folder(tmp_path / "run", {"a": str(n)}) for n in range(3)]
    assert [folder.name for folder in made] == ["run", "run-2", "run-3"]
    assert (tmp_path / "run" / "a").read_text() == "0"


def test_a_name_taken_while_the_folder_was_prepared_gets_a_suffix(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "other").write_text("")
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert folders.create_folder(tmp_path / "run", {"a": ""}).name == "run-2"


def test_a_writable_folder_is_created_and_left_empty(tmp_path):
    folders.require_writable(tmp_path / "new" / "outputs", "--output")
    assert list((tmp_path / "new" / "outputs").iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "blocker").write_text("")
    with pytest.raises(RefusedError, match="blocker is a file") as refused:
        folders.require_writable(tmp_path / "blocker" / "outputs", "--output")
    assert "--output" in refused.value.help


def test_the_output_itself_being_a_file_is_named(tmp_path):
    (tmp_path / "outputs").write_text("")
    with pytest.raises(RefusedError, match="outputs is a file"):
        folders.require_writable(tmp_path / "outputs", "--output")


def test_a_file_system_that_refuses_the_flush_is_found(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.os, "fsync", full)
    with pytest.raises(RefusedError, match="No space left on device"):
        folders.require_writable(tmp_path, "--output")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_writing_is_found():
    # Not even root creates files in the kernel's process table.
    proc = Path("/proc")
    if not proc.is_dir():
        pytest.skip("needs a file system that takes no files")
    with pytest.raises(RefusedError, match="cannot be written"):
        folders.require_writable(proc / "outputs", "--output")


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.os, "fsync", full)
    with pytest.raises(RefusedError, match="No space left"):
        folders.create_folder(tmp_path / "run", {"a": ""})
    assert list(tmp_path.iterdir()) == []
