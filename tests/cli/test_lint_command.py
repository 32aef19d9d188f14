"""The options of `pettingllms lint`: exit codes, what goes where, settings of the project, the cache."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pettingllms.cli.app import run
from pettingllms.lint import engine
from pettingllms.lint.files.cache import cache_folder

CLEAN = (Path(__file__).parents[1] / "cases/valid/two_agents.toml").read_text()
WARNED = CLEAN.replace("max_turns = 4", "max_turns = 3")
"""PLM105, a warning."""
BROKEN = CLEAN.replace("max_turns = 4", "max_turns = 3\nmax_turnz = 4")
"""The same and PLM003, an error."""
CUDA = CLEAN.replace('device = "cpu"', 'device = "cuda"').replace(
    "n_gpus_per_node = 0", "n_gpus_per_node = 1"
)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """A folder to work in, with a cache of its own beside it."""
    monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def lint(capsys, caplog):
    """Run the linter; return its exit code, what it printed, and what it said beside it."""

    def call(*words):
        caplog.clear()
        with caplog.at_level("INFO", "pettingllms"):
            code = run(["lint", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, "\n".join([*caplog.messages, printed.err])

    return call


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def project(text):
    write("pyproject.toml", f"[tool.pettingllms.lint]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (CLEAN, [], 0),
        (WARNED, [], 1),
        (WARNED, ["--fail-on", "error"], 0),
        (WARNED, ["--exit-zero"], 0),
        (BROKEN, ["--exit-zero"], 0),
        (BROKEN, ["--fail-on", "error"], 1),
        (BROKEN, ["--select", "PLM1"], 1),
        (BROKEN, ["--ignore", "PLM0,PLM1"], 0),
        (BROKEN, ["--ignore", "PLM0", "--ignore", "plm1"], 0),
        (BROKEN, ["--statistics"], 1),
        (BROKEN, ["--statistics", "--exit-zero"], 0),
        (BROKEN, ["--no-cache", "--jobs", "2"], 1),
        (CLEAN, ["--assume", "gpus=1", "-s", "resource.n_gpus_per_node=1"], 0),
        ("[training\n", ["--select", "PLM1"], 1),
        ("[training\n", ["--exit-zero"], 0),
    ],
)
def test_exit_codes(lint, text, options, code):
    assert lint(*options, write("a.toml", text))[0] == code


@pytest.mark.parametrize(
    "words",
    [
        ["--here", "--assume", "gpus=1", "a.toml"],
        ["--unsafe-fixes", "a.toml"],
        ["--fix", "-"],
        ["--diff", "-"],
        ["--fix", "-s", "training.seed=1", "a.toml"],
        ["--diff", "--with", "b.toml", "a.toml"],
        ["--stdin-filename", "x.yaml", "a.toml"],
        ["--assume", "gpus=many", "a.toml"],
        ["--assume", "wheels=4", "a.toml"],
        ["--select", "PLM1,NOPE", "a.toml"],
        ["--baseline", "no.json", "a.toml"],
        ["--output", "no/folder/report.txt", "a.toml"],
        ["--write-baseline", "no/folder/known.json", "a.toml"],
        ["--jobs", "0", "a.toml"],
        ["--format", "xml", "a.toml"],
        ["--nope", "a.toml"],
        [],
    ],
)
def test_wrong_options_are_usage_errors(lint, words):
    path = write("a.toml", WARNED)
    code, out, _ = lint(*words)
    assert (code, out) == (2, "")
    assert path.read_text() == WARNED


@pytest.mark.parametrize("options", [["--exit-zero"], ["--select", "PLM1"], ["--ignore", "PLM0"], []])
def test_a_file_that_cannot_be_read_is_2_whatever_is_selected(lint, options):
    code, out, _ = lint(*options, write("a.toml", CLEAN), "missing.toml")
    assert code == 2
    assert "missing.toml" in out and "no such file" in out


@pytest.mark.parametrize("name", ["text", "concise", "json", "github", "sarif", "gitlab", "junit"])
def test_every_format_is_there(lint, name):
    code, out, said = lint("--format", name, write("a.toml", WARNED), write("b.toml", CLEAN))
    assert code == 1
    assert "a.toml" in out
    assert "PLM105" in out or name == "gitlab"
    assert said.splitlines()[-1] == "2 files checked: 1 warning"
    assert ("b.toml" in out) == (name == "junit")


def test_the_report_goes_to_a_file(lint):
    path = write("a.toml", WARNED)
    code, out, _ = lint("--format", "json", "--output", "report.json", path)
    assert (code, out) == (1, "")
    assert json.loads(Path("report.json").read_text())[0]["code"] == "PLM105"
    code, out, _ = lint("--output", "report.json", "--statistics", path)
    assert code == 1
    assert "PLM105" in out
    assert "-->" in Path("report.json").read_text()


def test_statistics_take_the_place_of_the_report(lint):
    _, out, _ = lint("--statistics", write("a.toml", WARNED), write("b.toml", WARNED))
    (line,) = out.splitlines()
    assert line.split()[:2] == ["2", "PLM105"]


class TestSettings:
    """Values of the project's pyproject.toml."""

    @pytest.mark.parametrize(
        ("settings", "options", "code"),
        [
            ('select = ["PLM2"]', [], 0),
            ('select = ["PLM2"]', ["--select", "PLM1"], 1),
            ('ignore = ["PLM105"]', [], 0),
            ('ignore = ["PLM105"]', ["--ignore", "PLM2"], 0),
            ('fail-on = "error"', [], 0),
            ('fail-on = "error"', ["--fail-on", "warning"], 1),
            ('per-file-ignores = { "a.toml" = ["PLM1"] }', [], 0),
            ('per-file-ignores = { "b.toml" = ["PLM1"] }', [], 1),
        ],
    )
    def test_they_fill_what_the_command_line_leaves_out(self, lint, settings, options, code):
        project(settings)
        assert lint(*options, write("a.toml", WARNED))[0] == code

    def test_the_command_line_ignores_more(self, lint):
        project('ignore = ["PLM105"]')
        path = write("a.toml", WARNED.replace("max_prompt_length = 512", "max_prompt_lenght = 512"))
        assert "PLM003" in lint(path)[1]
        assert "PLM003" not in lint("--ignore", "PLM003", path)[1]

    def test_a_machine_can_be_assumed(self, lint):
        project('assume = "gpus=0"')
        cuda = write("a.toml", CLEAN.replace('device = "cpu"', 'device = "cuda"'))
        assert "PLM304" in lint(cuda)[1]
        assert "PLM304" not in lint("--assume", "gpus=1", cuda)[1]

    def test_excluded_files_of_a_folder_are_counted(self, lint):
        project('exclude = ["old/"]')
        write("old/a.toml", BROKEN)
        write("new/b.toml", CLEAN)
        code, _, said = lint(".")
        assert code == 0
        assert ".: 1 experiment, 1 excluded file skipped" in said or "1 excluded" in said
        assert lint("old/a.toml")[0] == 1
        assert lint("--skip-others", "old/a.toml")[0] == 0

    def test_wrong_settings_are_a_usage_error(self, lint):
        project("selekt = []")
        code, _, said = lint(write("a.toml", CLEAN))
        assert code == 2
        assert "selekt" in said

    def test_a_baseline_that_is_not_written_yet_can_be_written(self, lint):
        project('baseline = "known.json"')
        path = write("a.toml", WARNED)
        assert lint(path)[0] == 2
        assert lint("--write-baseline", "known.json", path)[0] == 0
        assert lint(path)[0] == 0


def test_a_baseline_hides_known_findings_and_says_what_is_gone(lint):
    path = write("a.toml", WARNED)
    code, out, said = lint("--write-baseline", "known.json", path)
    assert (code, out) == (0, "")
    assert "known.json: 1 finding written" in said
    code, out, said = lint("--baseline", "known.json", path)
    assert (code, out) == (0, "")
    assert "1 finding known from the baseline" in said
    write("a.toml", CLEAN)
    code, _, said = lint("--baseline", "known.json", path)
    assert code == 0
    assert "1 of the baseline gone" in said


def test_named_files_that_are_no_experiments_can_be_skipped(lint):
    other = write("other.toml", "[tool]\nx = 1\n")
    assert lint(other)[0] == 1
    code, out, said = lint("--skip-others", other, write("a.toml", CLEAN))
    assert (code, out) == (0, "")
    assert said.splitlines()[-2:] == ["1 other file skipped", "1 file checked, nothing found"]
    assert lint("--skip-others", "missing.toml")[0] == 2


class TestStdin:
    """`-`, as editors call the linter."""

    @pytest.fixture(autouse=True)
    def give(self, monkeypatch):
        def give(text):
            class Stdin:
                buffer = io.BytesIO(text.encode())

            monkeypatch.setattr(sys, "stdin", Stdin)

        return give

    def test_its_name_says_its_format_and_its_folder(self, lint, give):
        write("sub/base.toml", CLEAN)
        give("defaults:\n  - base\nenv:\n  max_turnz: 3\n")
        code, out, _ = lint("-", "--stdin-filename", "sub/a.yaml", "--format", "concise")
        assert code == 1
        assert out.startswith("sub/a.yaml:4:3: error[PLM003]")
        give('defaults = ["base"]\n')
        assert lint("-", "--stdin-filename", "sub/a.toml")[0] == 0

    def test_nothing_of_it_is_kept(self, lint, give):
        for text, code in ((CLEAN, 0), (BROKEN, 1), (CLEAN, 0)):
            give(text)
            assert lint("-", "--stdin-filename", "a.toml")[0] == code
        assert not list(cache_folder().glob("*"))

    def test_it_is_read_once(self, lint, give):
        give(BROKEN)
        assert "1 file checked" in lint("-", "-")[2]


def swept(values):
    axis = f'{{ sweep = "choice", values = {values}, default = {values[0]} }}'
    return CLEAN.replace("total_training_steps = 100", f"total_training_steps = {axis}")


def test_impossible_cells_are_counted_and_can_be_dropped(lint):
    path = write("a.toml", swept([100, 200, -1]))
    for options, code, found in (([], 1, "1 error"), (["--drop-invalid"], 0, "1 info")):
        done, _, said = lint(*options, path)
        assert done == code
        assert "a.toml: 1 of 3 cells impossible" in said
        assert said.splitlines()[-1] == f"1 file checked: {found}"
        assert lint(*options, path)[2] == said
    assert lint("--drop-invalid", write("a.toml", swept([-1, 100])))[0] == 1


def test_what_was_not_checked_is_said_once(lint):
    for name in "ab":
        write(f"{name}.toml", CUDA)
    _, _, said = lint("a.toml", "b.toml")
    (line,) = [line for line in said.splitlines() if line.startswith("not checked: ")]
    assert line.count("no --here or --assume") == 1
    assert "GPU count" in line
    assert "(no --here or --assume)" in line
    assert "GPU count" not in lint("--assume", "gpus=1,gpu_memory=80GiB,disk=9TB", "a.toml")[2]


MENDABLE = CLEAN.replace("max_turns = 4", "max_turnz = 4").replace("val_freq = 10", 'val_freq = "10" # kept')
"""A number in quotes, which is mended safely, and a misspelt key, which is not."""


class TestFix:
    """`--fix` and `--diff`."""

    def test_what_can_be_mended_is_counted(self, lint):
        said = lint(write("a.toml", MENDABLE))[2]
        assert "1 fixable with --fix, 1 more with --fix --unsafe-fixes" in said

    def test_a_file_is_mended_and_told(self, lint):
        path = write("a.toml", MENDABLE)
        code, out, said = lint("--fix", "--format", "concise", path)
        assert code == 1
        assert path.read_text() == MENDABLE.replace('"10"', "10")
        assert "a.toml:43: fixed: PLM005, remove the quotes" in said
        assert ["PLM003" in line for line in out.splitlines()] == [True]
        assert "1 fixable with --fix --unsafe-fixes" in said
        code, out, said = lint("--fix", "--unsafe-fixes", path)
        assert (code, out) == (0, "")
        assert path.read_text() == CLEAN.replace("val_freq = 10", "val_freq = 10 # kept")

    def test_only_what_is_selected_is_mended(self, lint):
        path = write("a.toml", MENDABLE)
        lint("--fix", "--ignore", "PLM005", path)
        assert path.read_text() == MENDABLE
        silenced = write("b.toml", MENDABLE.replace("# kept", "# noqa: PLM005"))
        before = silenced.read_text()
        lint("--fix", silenced)
        assert silenced.read_text() == before

    def test_a_difference_is_shown_and_nothing_is_written(self, lint):
        path, clean = write("a.toml", MENDABLE), write("b.toml", CLEAN)
        for options in (["--diff"], ["--fix", "--diff"]):
            code, out, said = lint(*options, path, clean)
            assert code == 1
            assert out.startswith("--- a.toml\n+++ a.toml\n@@")
            assert '-val_freq = "10" # kept\n+val_freq = 10 # kept\n' in out
            assert "max_turns" not in out
            assert "would fix: PLM005" in said
            assert path.read_text() == MENDABLE
        assert "+max_turns = 4\n" in lint("--diff", "--unsafe-fixes", path)[1]
        assert lint("--diff", "--exit-zero", path)[0] == 0
        assert lint("--diff", clean)[:2] == (0, "")
        assert lint("--diff", "missing.toml", clean)[:2] == (2, "")

    def test_line_ends_and_the_byte_order_mark_stay(self, lint):
        path = Path("a.toml")
        raw = ("\ufeff" + MENDABLE).replace("\n", "\r\n").encode()
        path.write_bytes(raw)
        lint("--fix", path)
        assert path.read_bytes() == raw.replace(b'"10"', b"10")

    def test_a_difference_shows_no_secret(self, lint):
        secret = "s3cret" * 4
        path = write("a.toml", MENDABLE.replace('val_freq = "10"', f'hf_token = "{secret}"\nval_freq = "10"'))
        code, out, said = lint("--diff", "--unsafe-fixes", path)
        assert code == 1
        assert secret not in out + said

    def test_a_file_that_cannot_be_written_spares_the_others(self, lint, monkeypatch):
        from pettingllms.cli import lint_fix
        from pettingllms.errors import UsageError

        whole = lint_fix.write_text

        def refuse(path, *rest, **named):
            if path.name == "a.toml":
                raise UsageError("a.toml cannot be written: the file is read-only")
            whole(path, *rest, **named)

        monkeypatch.setattr(lint_fix, "write_text", refuse)
        first, second = write("a.toml", MENDABLE), write("b.toml", MENDABLE)
        code, _, said = lint("--fix", first, second)
        assert code == 2
        assert "error: a.toml cannot be written" in said
        assert first.read_text() == MENDABLE
        assert second.read_text() != MENDABLE

    def test_a_fault_of_the_linter_while_mending_names_the_file(self, lint, monkeypatch):
        def fail(*_, **__):
            raise KeyError("lost")

        monkeypatch.setattr("pettingllms.cli.lint_fix.fix_file", fail)
        code, _, said = lint("--fix", write("a.toml", MENDABLE))
        assert code == 2
        assert "error: a.toml: the linter itself failed on this file: KeyError: 'lost'" in said

    def test_sarif_says_what_a_fix_changes(self, lint):
        rows = json.loads(lint("--format", "sarif", write("a.toml", MENDABLE))[1])["runs"][0]["results"]
        (fix,) = [row["fixes"][0] for row in rows if row["ruleId"] == "PLM005"]
        (change,) = fix["artifactChanges"][0]["replacements"]
        assert change["insertedContent"]["text"] == "10"


class TestComments:
    """`# noqa` in files."""

    def test_a_silenced_finding_is_counted(self, lint):
        path = write("a.toml", WARNED.replace("max_turns = 3", "max_turns = 3 # noqa: PLM105"))
        for _ in range(2):
            code, out, said = lint(path)
            assert (code, out) == (0, "")
            assert "1 finding silenced by comments" in said

    def test_an_unused_comment_is_found_unless_something_lies_on_top(self, lint):
        path = write("a.toml", CLEAN.replace("max_turns = 4", "max_turns = 4 # noqa: PLM105"))
        code, out, _ = lint("--format", "concise", path)
        assert code == 1
        assert "[PLM012]" in out
        assert "PLM012" not in lint("-s", "training.seed=1", path)[1]

    def test_a_comment_for_what_a_machine_lacks_is_not_unused(self, lint):
        path = write("a.toml", CUDA.replace("n_gpus_per_node = 1", "n_gpus_per_node = 1 # noqa: PLM303", 1))
        assert "PLM012" not in lint(path)[1]
        assert "PLM012" in lint("--assume", "gpus=1,gpu_memory=80GiB,disk=9TB", path)[1]

    def test_comments_count_on_stdin(self, lint, monkeypatch):
        class Stdin:
            buffer = io.BytesIO(WARNED.replace("max_turns = 3", "max_turns = 3 # noqa").encode())

        monkeypatch.setattr(sys, "stdin", Stdin)
        assert lint("-")[:2] == (0, "")


def test_a_fault_that_several_files_include_is_told_once(lint):
    write("base.toml", BROKEN)
    for name in ("a", "b"):
        write(f"{name}.toml", 'defaults = ["base"]\n')
    _, out, said = lint("--format", "concise", "a.toml", "a.toml", "base.toml")
    assert "2 files checked" in said
    assert len(out.splitlines()) == len(set(out.splitlines()))


class TestCache:
    """The cache as the command line uses it."""

    @pytest.fixture
    def checks(self, monkeypatch):
        whole, seen = engine.check_experiment, []

        def check(path, *rest, **named):
            seen.append(path)
            return whole(path, *rest, **named)

        monkeypatch.setattr(engine, "check_experiment", check)
        return seen

    def test_a_second_run_says_the_same_without_checking(self, lint, checks):
        path = write("a.toml", WARNED)
        assert lint(path) == lint(path)
        assert len(checks) == 1
        assert lint("--ignore", "PLM105", path)[0] == 0
        assert len(checks) == 1
        lint("--no-cache", path)
        lint("-s", "training.seed=2", path)
        lint("--assume", "gpus=1", path)
        assert len(checks) == 4

    def test_a_run_from_the_cache_loads_no_schema(self):
        path = write("a.toml", CLEAN)
        code = (
            "import sys; from pettingllms.cli.app import run; run(['lint', sys.argv[1]]);"
            "print(sorted({'pydantic', 'multiprocessing', 'ruamel.yaml'} & set(sys.modules)))"
        )
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
            )
        assert done.stdout.strip() == "[]"


def test_a_cold_run_of_one_file_loads_no_processes():
    code = (
        "import sys; from pettingllms.cli.app import run; run(['lint', '--no-cache', sys.argv[1]]);"
        "heavy = {'multiprocessing', 'concurrent.futures', 'pettingllms.lint.files.cache'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    path = write("a.toml", CLEAN)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_forty_files_are_the_same_in_several_processes(lint):
    for number in range(40):
        write(f"e{number:02}.toml", (BROKEN, WARNED, CLEAN)[number % 3])
    one = lint("--no-cache", "--jobs", "1", "--format", "concise", ".")
    assert one[0] == 1
    assert lint("--no-cache", "--jobs", "3", "--format", "concise", ".") == one
    assert lint("--jobs", "3", "--format", "concise", ".") == one
    assert lint("--format", "concise", ".") == one


def test_a_fault_of_the_linter_is_2_and_names_the_file(lint, monkeypatch):
    whole = engine.check_experiment

    def check(path, *rest, **named):
        if path.name == "b.toml":
            raise KeyError("lost")
        return whole(path, *rest, **named)

    monkeypatch.setattr(engine, "check_experiment", check)
    files = [write(f"{name}.toml", WARNED) for name in "abc"]
    code, out, said = lint("--exit-zero", "--format", "concise", *files)
    assert code == 2
    assert [line.split(":")[0] for line in out.splitlines()] == ["a.toml", "c.toml"]
    assert "error: b.toml: the linter itself failed on this file: KeyError: 'lost'" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are seen in /proc")
def test_an_interrupt_ends_all_processes(work):
    for number in range(1000):
        write(f"e{number:03}.toml", WARNED)
    command = [sys.executable, "-m", "pettingllms", "lint", "--no-cache", "--jobs", "2", str(work)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listed.exists():
        process.kill()
        pytest.skip("this kernel does not list children")
    limit = time.monotonic() + 60
    while len(children := listed.read_text().split()) < 2:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.01)
    # Python drops an interrupt that comes within its own work around a fork: when the parent waits for its
    # children, that work is done.
    state = Path(f"/proc/{process.pid}/stat")
    asleep = 0
    while asleep < 20:
        asleep += state.read_text().rpartition(")")[2].split()[0] == "S"
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (130, "", "")
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_every_output_format_can_be_asked_for():
    from typing import get_args

    from pettingllms.cli.lint import Format
    from pettingllms.lint.formats import FORMATTERS

    assert sorted(get_args(Format)) == sorted(FORMATTERS)


def test_a_fault_of_a_shared_file_is_told_once_with_how_many_include_it(lint):
    write("z_base.toml", CLEAN.replace("val_freq = 10", "val_frq = 10"))
    for name in ("a", "b", "c"):
        write(f"{name}.toml", 'defaults = ["z_base", "_self_"]\n')
    _, out, _ = lint("--format", "concise", "a.toml", "b.toml", "c.toml")
    (line,) = out.splitlines()
    assert line.endswith("included from a.toml:1 and by 2 other files")
    # Where the file is named itself, how else it is read is of no interest.
    _, out, _ = lint("--format", "concise", "z_base.toml", "a.toml", "b.toml")
    (line,) = out.splitlines()
    assert "included" not in line


def test_secrets_of_the_environment_are_in_no_report_that_is_written(lint, monkeypatch, tmp_path):
    monkeypatch.setenv("LINT_SECRET", "hidden-in-the-environment")
    sweep = '\n[sweep]\nobjectives = [{ metric = "${oc.env:LINT_SECRET}" }]\n'
    write("s.toml", CLEAN + sweep)
    lint("s.toml", "--write-baseline", "known.json")
    assert "PLM420" in Path("known.json").read_text()
    for form in ("text", "json", "sarif", "junit", "gitlab", "github", "concise"):
        lint("s.toml", "--format", form, "--output", "report")
        text = Path("report").read_text() + Path("known.json").read_text()
        assert "hidden-in-the-environment" not in text


def test_an_overlay_with_a_schema_line_is_no_experiment_of_a_folder(lint):
    schema = "#:schema schemas/experiment.schema.json\n"
    write("a.toml", CLEAN)
    write("overlay.toml", schema + "[training]\nseed = 1\n")
    code, _, said = lint(".")
    assert code == 0
    assert "1 experiment, 1 other TOML file skipped" in said
    # A misspelt section makes no overlay.
    write("overlay.toml", schema + "[training]\nseed = 1\n[base_model.policy_0]\nname = 'x'\n")
    assert lint(".")[0] == 1
