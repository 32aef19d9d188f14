"""Files replaced whole, or not at all."""

import errno
import os
import stat

import pytest

from pettingllms.documents.atomic import write_text
from pettingllms.errors import RefusedError, UsageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_holds_the_text_with_its_line_ends_and_the_umask_s_mode(tmp_path):
    write_text(tmp_path / "new.toml", "a = 'ä'\r\nb = 1\n")
    assert (tmp_path / "new.toml").read_bytes() == "a = 'ä'\r\nb = 1\n".encode()
    (tmp_path / "plain").touch()
    assert (tmp_path / "new.toml").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == ["new.toml", "plain"]


def test_an_existing_file_is_replaced_only_by_force(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("old")
    with pytest.raises(RefusedError, match="exists already") as refused:
        write_text(file, "new")
    assert refused.value.help == "write --force to replace it"
    assert (file.read_text(), names(tmp_path)) == ("old", ["a.toml"])
    write_text(file, "new", force=True)
    assert (file.read_text(), names(tmp_path)) == ("new", ["a.toml"])


def test_the_mode_is_kept(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("old")
    file.chmod(0o640)
    write_text(file, b"new", force=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.toml").write_text("old")
    (tmp_path / "link.toml").symlink_to("real/a.toml")
    write_text(tmp_path / "link.toml", "new", force=True)
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "real/a.toml").read_text() == "new"


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "a.toml"
    file.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device") as raised:
        write_text(file, "new", force=True)
    assert "make room" in raised.value.help
    assert (file.read_text(), names(tmp_path)) == ("old", ["a.toml"])


def test_what_cannot_be_written_is_said_in_words(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "no/a.toml": "there is no folder",
        tmp_path / "pipe": "no regular file",
        tmp_path / "circle": "cannot be written",
        tmp_path / "nul\0": "cannot be written",
        tmp_path / ("n" * 300): "File name too long",
    }
    for path, words in cases.items():
        with pytest.raises(UsageError, match=words):
            write_text(path, "x", force=True)
    with pytest.raises(UsageError, match="surrogates"):
        write_text(tmp_path / "half.toml", "\ud800")
    assert names(tmp_path) == ["circle", "pipe"]


def test_a_read_only_file_stays_as_it_is(tmp_path, monkeypatch):
    file = tmp_path / "a.toml"
    file.write_text("old")
    # The superuser may write everything, so the answer of the system is given here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="read-only"):
        write_text(file, "new", force=True)
    assert file.read_text() == "old"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    file = tmp_path / "a.toml"
    sync = os.fsync

    def slow(handle):
        file.write_text("someone else's")
        sync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(RefusedError):
        write_text(file, "new")
    assert (file.read_text(), names(tmp_path)) == ("someone else's", ["a.toml"])
