"""Known findings: what a baseline lists does not count, and what is gone is told."""

import json
from pathlib import Path

import pytest

from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.files.baseline import read_baseline, without_known, write_baseline


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(code="PLM003", file="a.toml", line=1, message="no key x", source_line="x = 1", path="t.x"):
    return Diagnostic(code, Severity.ERROR, message, file, line, 1, path, None, 2, source_line)


def after(found, *known, **rest):
    write_baseline(known, Path("known.json"))
    return without_known(found, read_baseline(Path("known.json")), **rest)


def test_the_file_is_sorted_and_says_what_each_entry_is():
    found = [made(file="b.toml", message="m\nn"), made("PLM005"), made(path="s"), made(line=9), made()]
    write_baseline(found, Path("known.json"))
    text = Path("known.json").read_text()
    content = json.loads(text)
    assert content["version"] == 1
    rows = content["findings"]
    assert [(row["file"], row["path"], row["code"], row["count"]) for row in rows] == [
        ("a.toml", "s", "PLM003", 1),
        ("a.toml", "t.x", "PLM003", 2),
        ("a.toml", "t.x", "PLM005", 1),
        ("b.toml", "t.x", "PLM003", 1),
    ]
    assert [row["message"] for row in rows] == ["no key x"] * 3 + ["m n"]
    assert len({row["fingerprint"] for row in rows}) == 4
    write_baseline(found[::-1], Path("again.json"))
    assert Path("again.json").read_text() == text
    assert text.endswith("}\n")


def test_the_file_holds_no_line_of_a_source():
    write_baseline([made(source_line="endpoint = 'somewhere'")], Path("known.json"))
    assert "somewhere" not in Path("known.json").read_text()


def test_known_findings_do_not_count_where_their_lines_move():
    found = [made(line=41, message="no key x; first on line 40", source_line="  x = 1")]
    assert after(found, made()) == ([], 1, 0)


@pytest.mark.parametrize(
    "other",
    [made("PLM005"), made(file="b.toml"), made(path="t.y"), made(source_line="x = 2")],
    ids=["code", "file", "path", "words"],
)
def test_another_finding_is_new(other):
    assert after([other], made()) == ([other], 0, 1)


def test_equal_findings_are_counted():
    found = [made(line=1), made(line=2), made(line=3)]
    assert after(found, made(), made()) == ([found[2]], 2, 0)
    assert after(found[:1], made(), made()) == ([], 1, 1)


def test_what_was_not_looked_at_is_not_gone():
    known = [made(), made(file="b.toml"), made(file="b.toml")]
    assert after([], *known) == ([], 0, 3)
    assert after([], *known, files=["./b.toml"]) == ([], 0, 2)
    assert after([], *known, files=[]) == ([], 0, 0)


def test_names_start_from_the_folder_of_the_baseline(folder, monkeypatch):
    (folder / "ci").mkdir()
    found = [made(file="experiments/a.toml"), made(file="<command line>")]
    write_baseline(found, Path("ci/known.json"))
    rows = json.loads(Path("ci/known.json").read_text())["findings"]
    assert [row["file"] for row in rows] == ["../experiments/a.toml", "<command line>"]
    baseline = read_baseline(Path("ci/known.json"))
    assert without_known([made(file=str(folder / "experiments/a.toml"))], baseline) == ([], 1, 1)
    monkeypatch.chdir(folder / "ci")
    here = read_baseline(Path("known.json"))
    assert without_known([made(file="../experiments/./a.toml")], here) == ([], 1, 1)
    assert without_known([made(file="experiments/a.toml")], here, root=folder) == ([], 1, 1)


def test_an_entry_that_a_merge_doubled_counts_once(folder):
    write_baseline([made()], Path("known.json"))
    content = json.loads(Path("known.json").read_text())
    content["findings"] *= 2
    Path("known.json").write_text(json.dumps(content))
    baseline = read_baseline(Path("known.json"))
    assert without_known([], baseline) == ([], 0, 1)
    assert without_known([made(), made()], baseline) == ([made()], 1, 0)


ENTRY = {"fingerprint": "f", "code": "c", "file": "a", "path": "", "message": "m", "count": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[" * 100000, "nested too deep"),
        ("\xff", "can't decode byte"),
        ("[]", "no list of findings"),
        ('{"version": 1, "findings": {}}', "no list of findings"),
        ('{"version": 2, "findings": []}', "version is 2, not 1"),
        ('{"findings": []}', "version is None, not 1"),
        (json.dumps({"version": 1, "findings": [ENTRY, "x"]}), "finding 2 has not"),
        (json.dumps({"version": 1, "findings": [{**ENTRY, "count": 0}]}), "finding 1 has not"),
        (json.dumps({"version": 1, "findings": [{**ENTRY, "count": True}]}), "finding 1 has not"),
        (json.dumps({"version": 1, "findings": [{**ENTRY, "code": 3}]}), "finding 1 has not"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused_with_the_reason(text, reason):
    Path("known.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=reason) as caught:
        read_baseline(Path("known.json"))
    assert str(caught.value).startswith("known.json is no baseline: ")
    assert caught.value.exit_code == 2


def test_an_entry_with_more_keys_is_read():
    Path("known.json").write_text(json.dumps({"version": 1, "findings": [{**ENTRY, "why": "old"}]}))
    (known,) = read_baseline(Path("known.json")).known
    assert (known.code, known.count) == ("c", 1)


def test_a_missing_file_is_refused():
    with pytest.raises(UsageError, match=r"known\.json cannot be read: No such file"):
        read_baseline(Path("known.json"))


def test_a_baseline_that_cannot_be_written_is_refused():
    with pytest.raises(UsageError, match="no folder"):
        write_baseline([made()], Path("nowhere/known.json"))
