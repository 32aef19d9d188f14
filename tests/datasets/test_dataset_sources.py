"""What `env.dataset` may name, and which files of it are which split."""

import pytest

from pettingllms.data.located import located
from pettingllms.data.sources import Source, is_row_source, source_of
from pettingllms.data.splits import files_by_name, split_of
from pettingllms.errors import RefusedError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf:owner/name", {"repo": "owner/name"}),
        ("hf:owner/name@abc123", {"repo": "owner/name", "revision": "abc123", "pinned": True}),
        (
            "hf:owner/name@refs/convert/parquet",
            {"repo": "owner/name", "revision": "refs/convert/parquet", "pinned": True},
        ),
        ("hf:owner/na.me-1/main/sub", {"repo": "owner/na.me-1", "folder": "main/sub"}),
        (
            "hf:owner/name/main@v1.0",
            {"repo": "owner/name", "folder": "main", "revision": "v1.0", "pinned": True},
        ),
        ("polaris", {"preset": "polaris", "repo": "POLARIS-Project/Polaris-Dataset-53K", "revision": "main"}),
        ("aime-24", {"preset": "AIME24", "repo": "Maxwell-Jia/AIME_2024"}),
        ("livecodebench", {"preset": "LiveCodeBench"}),
        ("code_contests", {"preset": "CodeContests"}),
        ("gsm8k@0123abc", {"preset": "gsm8k", "revision": "0123abc", "pinned": True}),
        ("hf:openai/gsm8k", {"preset": "gsm8k", "repo": "openai/gsm8k", "revision": "main"}),
        ("hf:openai/gsm8k@v2", {"preset": "gsm8k", "revision": "v2", "pinned": True}),
        ("hf:openai/gsm8k/socratic", {"preset": None, "repo": "openai/gsm8k", "folder": "socratic"}),
    ],
)
def test_the_forms_of_a_source(text, wanted):
    found = source_of(text)
    assert is_row_source(text)
    assert {key: getattr(found, key) for key in wanted} == wanted


@pytest.mark.parametrize(
    "text", ["hf:", "hf:name", "hf:a/b@", "hf:a/b c", "hf:../etc", "hf:a/b/../c", "hf:a/b@@c"]
)
def test_what_names_no_dataset_of_the_hub_is_refused(text):
    with pytest.raises(RefusedError, match="names no dataset of the Hugging Face hub") as caught:
        source_of(text)
    assert "hf:owner/name" in caught.value.help


@pytest.mark.parametrize(
    "text", ["builtin:arithmetic", "tally", "narrativeqa", "plan_path", "gsm8k@", "https://a/b", ""]
)
def test_names_of_other_kinds_are_left_to_the_environment(text):
    assert not is_row_source(text)


def test_paths_may_be_relative_or_at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    for text in ("rows.jsonl", "./rows.jsonl", "~/rows.jsonl", str(tmp_path / "rows.jsonl")):
        assert source_of(text) == Source(text, path=tmp_path / "rows.jsonl")
        assert located(source_of(text)).files == {"train": ("rows.jsonl",)}


def test_a_missing_path_is_refused_with_where_it_would_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedError, match=r"'data/rows\.jsonl': there is no such file") as caught:
        source_of("data/rows.jsonl")
    assert "hf:" not in caught.value.help
    with pytest.raises(RefusedError) as caught:
        source_of("openai/gsm8k")
    assert "hf:openai/gsm8k" in caught.value.help


def test_files_that_hold_no_rows_are_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n")
    with pytest.raises(RefusedError, match="no file with rows"):
        source_of(str(tmp_path / "rows.csv"))
    with pytest.raises(RefusedError, match=r"has no \*\.parquet, \*\.jsonl, \*\.json file"):
        located(source_of(str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00001-abc.parquet", "train"),
        ("test2.jsonl", "test"),
        ("main/test-00000-of-00001.parquet", "test"),
        ("validation.jsonl", "val"),
        ("data/valid-00000.parquet", "val"),
        ("my_dev.json", "val"),
        ("default/train/0000.parquet", "train"),
        ("default/test/0000.parquet", "test"),
        ("test/training_rows.jsonl", "train"),
        ("Eval.jsonl", "test"),
        ("rows.jsonl", "train"),
        ("latest_contest.jsonl", "train"),
    ],
)
def test_the_name_of_a_file_tells_its_split(name, split):
    assert split_of(name) == split


def test_shards_are_read_in_order_and_other_files_are_passed_over():
    names = [
        *("README.md", "dataset_infos.json", ".cache/train.parquet", "script.py"),
        *("data/train-1.parquet", "data/test-0.parquet", "data/train-0.parquet", "train.jsonl"),
    ]
    wanted = {"train": ("data/train-0.parquet", "data/train-1.parquet"), "test": ("data/test-0.parquet",)}
    assert files_by_name(names, "", "here") == wanted


def test_several_folders_for_one_split_are_refused_until_one_is_named():
    names = ["main/train.parquet", "main/test.parquet", "socratic/train.parquet"]
    with pytest.raises(RefusedError, match="train split in several folders: main, socratic"):
        files_by_name(names, "", "here")
    assert files_by_name(names, "socratic", "here") == {"train": ("socratic/train.parquet",)}
