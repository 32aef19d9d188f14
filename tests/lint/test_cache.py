"""Kept results: the same as new ones, and gone as soon as anything that they depend on is another."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pettingllms.lint import engine
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.files import cache as cache_module
from pettingllms.lint.files.batch import check_files
from pettingllms.lint.files.cache import cache_folder, open_cache
from pettingllms.lint.files.checked import CheckOptions, FileResult, Named
from pettingllms.lint.files.stored_result import as_plain, from_plain

TWO_AGENTS = (Path(__file__).parents[1] / "cases/valid/two_agents.toml").read_text()
CACHED = CheckOptions(cached=True)
SWEPT_NAME = 'training.experiment_name={sweep="choice", values=["far", "nearby"], default="far"}'


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A current folder and a cache of their own."""
    monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def checks(monkeypatch):
    """The files that were really checked."""
    whole, seen = engine.check_experiment, []

    def check(path, *rest, **named):
        seen.append(str(path))
        return whole(path, *rest, **named)

    monkeypatch.setattr(engine, "check_experiment", check)
    return seen


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def codes(path, options=CACHED):
    (result,) = check_files([Named(Path(path))], options)
    return [one.code for one in result.diagnostics]


def entries():
    return sorted(cache_folder().glob("*.json"))


def test_a_kept_result_is_the_same(checks):
    write("a.toml", TWO_AGENTS.replace("max_turns", "max_turnz"))
    new = check_files([Named(Path("a.toml"))], CACHED)
    assert new[0].diagnostics
    assert check_files([Named(Path("a.toml"))], CACHED) == new
    assert checks == ["a.toml"]
    assert check_files([Named(Path("a.toml"))], CheckOptions()) == new
    assert checks == ["a.toml", "a.toml"]


def test_a_changed_file_is_checked_again_though_size_and_time_are_the_same(checks):
    path = write("a.toml", TWO_AGENTS)
    before = path.stat()
    assert codes(path) == []
    path.write_text(TWO_AGENTS.replace("max_turns", "max_turnz"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "PLM003" in codes(path)


def test_a_changed_included_file_is_seen(checks):
    write("base.toml", TWO_AGENTS)
    path = write("a.toml", 'defaults = ["base"]\n')
    assert codes(path) == codes(path) == []
    assert len(checks) == 1
    write("base.toml", TWO_AGENTS.replace("max_turns", "max_turnz"))
    assert "PLM003" in codes(path)


def test_a_file_that_would_now_be_found_first_is_seen(checks):
    write("base.toml", TWO_AGENTS)
    path = write("sub/a.toml", 'defaults = ["base"]\n')
    assert codes(path) == codes(path) == []
    write("sub/base.toml", TWO_AGENTS.replace("max_turns", "max_turnz"))
    assert "PLM003" in codes(path)
    write("sub/base.yaml", "training: {}\n")
    assert codes(path) == ["PLM213"]


def test_a_local_file_that_takes_the_place_of_a_shipped_one_is_seen(checks):
    text = 'defaults = [{ "/ppo_trainer@models.model_0.ppo_trainer_config" = "eval" }, "_self_"]\n'
    path = write("a.toml", text + TWO_AGENTS)
    before = codes(path)
    assert codes(path) == before
    assert len(checks) == 1
    write("ppo_trainer/eval.toml", "nope = 1\n")
    assert codes(path) != before


def test_results_that_depend_on_the_environment_are_not_kept(checks, monkeypatch):
    path = write("a.toml", TWO_AGENTS)
    options = CheckOptions(overrides=("training.seed=${oc.decode:${oc.env:SEED}}",), cached=True)
    monkeypatch.setenv("SEED", "1")
    assert codes(path, options) == []
    monkeypatch.setenv("SEED", "no number")
    assert codes(path, options) != []
    assert entries() == []


def test_a_changed_model_folder_is_seen(checks):
    path = write("a.toml", TWO_AGENTS)
    options = CheckOptions(overrides=("base_models.policy_0.path=./model",), cached=True)
    assert "PLM205" in codes(path, options)
    write("model/config.json", '{"max_position_embeddings": 100000}')
    assert "PLM205" not in codes(path, options)
    assert "PLM305" not in codes(path, options)
    count = len(checks)
    codes(path, options)
    assert len(checks) == count
    write("model/config.json", '{"max_position_embeddings": 100}')
    assert "PLM305" in codes(path, options)
    shutil.rmtree("model")
    assert "PLM205" in codes(path, options)


def test_a_path_below_the_home_folder_is_followed(checks, monkeypatch, tmp_path):
    path = write("a.toml", TWO_AGENTS)
    options = CheckOptions(overrides=("base_models.policy_0.path=~/model",), cached=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "PLM205" in codes(path, options)
    write(tmp_path / "home/model/config.json", "{}")
    assert "PLM205" not in codes(path, options)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "PLM205" in codes(path, options)
    codes(path, CheckOptions(overrides=("base_models.policy_0.path=~nobody-here/model",), cached=True))
    assert len(checks) == 4


def test_a_computed_path_is_followed(checks):
    path = write("a.toml", TWO_AGENTS)
    overrides = ("training.experiment_name=model", "base_models.policy_0.path=./${training.experiment_name}")
    options = CheckOptions(overrides=overrides, cached=True)
    assert "PLM205" in codes(path, options)
    assert len(entries()) == 1
    write("model/config.json", "{}")
    assert "PLM205" not in codes(path, options)
    assert codes(path, CheckOptions(overrides=(SWEPT_NAME, overrides[1]), cached=True))
    assert len(entries()) == 1


@pytest.mark.parametrize("name", ['training.experiment_name="nearby"', SWEPT_NAME])
def test_a_reference_to_a_plain_name_is_followed(checks, name):
    path = write("a.toml", TWO_AGENTS)
    overrides = (name, "base_models.policy_0.path=${training.experiment_name}")
    options = CheckOptions(overrides=overrides, cached=True)
    assert "PLM305" not in codes(path, options)
    assert len(entries()) == 1
    write("nearby/config.json", '{"max_position_embeddings": 100}')
    assert "PLM305" in codes(path, options)


@pytest.mark.parametrize(
    "options",
    [
        CheckOptions(overrides=("training.seed=7",), cached=True),
        CheckOptions(overlays=(Path("over.toml"),), cached=True),
        CheckOptions(facts=Facts(gpus=2), cached=True),
        CheckOptions(drop_invalid=True, cached=True),
    ],
)
def test_other_options_are_other_results(checks, options):
    path = write("a.toml", TWO_AGENTS)
    write("over.toml", "[training]\nseed = 3\n")
    for _ in range(2):
        codes(path)
        codes(path, options)
    assert len(checks) == 2


def test_another_folder_or_build_is_another_result(checks, monkeypatch, place):
    path = write("a.toml", TWO_AGENTS).absolute()
    codes(path)
    monkeypatch.setattr(cache_module, "FORM", 2)
    codes(path)
    (place / "sub").mkdir()
    monkeypatch.chdir(place / "sub")
    codes(path)
    assert len(checks) == 3


def test_what_only_this_machine_knows_is_not_kept():
    assert open_cache(CheckOptions(facts=Facts(gpus=0, local=True), cached=True)) is None
    assert open_cache(CheckOptions(facts=Facts(gpus=0), cached=True)) is not None
    assert open_cache(CheckOptions(overlays=(Path("progressive/phase_1"),), cached=True)) is None


@pytest.mark.parametrize("override", ["env=code", "+ppo_trainer@models.model_0=eval", "~env"])
def test_overrides_that_may_choose_files_are_not_kept(override):
    codes(write("a.toml", TWO_AGENTS), CheckOptions(overrides=(override,), cached=True))
    assert entries() == []


def test_files_that_cannot_be_composed_are_not_kept():
    codes(write("a.toml", 'defaults = ["nowhere"]\n'))
    codes(write("b.toml", "[training\n"))
    codes("missing.toml")
    assert entries() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:-20],
        lambda raw: raw.replace(b'"unchecked"', b'"unchekced"'),
        lambda raw: b"\xff\xfe" + raw,
        lambda raw: b"[" * 100_000,
    ],
)
def test_a_damaged_entry_is_as_none(checks, damage):
    path = write("a.toml", TWO_AGENTS)
    codes(path)
    (entry,) = entries()
    raw = entry.read_bytes()
    entry.write_bytes(damage(raw))
    assert codes(path) == []
    assert len(checks) == 2
    assert entry.read_bytes() == raw


def test_well_formed_nonsense_is_as_none(checks):
    path = write("a.toml", TWO_AGENTS)
    codes(path)
    (entry,) = entries()
    for body in (b"[]", b"{}", b"null", b'{"depends":[],"result":{"diagnostics":[[1]]}}'):
        entry.write_bytes(cache_module.digest(body).encode() + b"\n" + body)
        assert codes(path) == []
    assert len(checks) == 5


def test_a_place_that_cannot_be_written_is_no_fault(monkeypatch, tmp_path):
    path = write("a.toml", TWO_AGENTS)
    blocked = write(tmp_path / "file", "")
    for name in (str(blocked / "below"), "/proc/nowhere"):
        monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", name)
        assert codes(path) == []
    monkeypatch.delenv("PETTINGLLMS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().parts[-2:] == ("pettingllms", "lint")


@pytest.mark.parametrize(("limit", "value"), [("MAX_ENTRIES", 8), ("MAX_TOTAL_BYTES", 4000)])
def test_old_entries_are_removed(monkeypatch, limit, value):
    monkeypatch.setattr(cache_module, limit, value)
    for number in range(12):
        path = write(f"e{number}.toml", TWO_AGENTS)
        codes(path)
        for age, entry in enumerate(entries()):
            os.utime(entry, (age, age))
    assert 2 <= len(entries()) <= 8
    assert sum(entry.stat().st_size for entry in entries()) <= 8 * 600


def test_no_text_of_a_file_and_no_secret_is_kept(place):
    secret = "hf_" + "s3cret" * 4
    path = write("a.toml", f'hf_token = "{secret}"\nmodel = "{secret}/x"\n{TWO_AGENTS}')
    assert "PLM003" in codes(path)
    for entry in entries():
        assert secret not in entry.read_text()
    assert not (place.parent / "cache" / "lint").stat().st_mode & 0o077


def test_only_results_that_json_gives_back_are_kept():
    def result(message):
        return FileResult(
            Path("a"),
            (Diagnostic("PLM001", Severity.ERROR, message, "a", 1, 1, "", None, 2, ""),),
            ("GPU count",),
            54,
            12,
            "PLM006 in 12",
            1,
        )

    plain = json.loads(json.dumps(as_plain(result("x"))))
    assert from_plain(Path("a"), plain) == result("x")
    assert as_plain(result(("x",))) is None
