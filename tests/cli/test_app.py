"""The command line around the verbs."""

import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pettingllms.cli import app
from pettingllms.cli.experiment_files import is_experiment
from pettingllms.errors import Interrupted, RefusedError

TWO_AGENTS = str(Path(__file__).parents[1] / "cases/valid/two_agents.toml")


@pytest.mark.parametrize("verb", app.NOT_AVAILABLE)
def test_a_verb_of_a_later_version_is_refused(verb, capsys):
    assert app.run([verb, "x", "--some-option"]) == 2
    assert f"`{verb}` is not available in this version" in capsys.readouterr().err


def test_an_unknown_verb_gets_the_nearest(capsys):
    assert app.run(["lnt"]) == 2
    assert "did you mean `lint`?" in capsys.readouterr().err


def test_help_lists_every_verb(capsys):
    assert app.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in app.VERBS)
    assert set(app.SUMMARIES) == set(app.VERBS)


def test_version(capsys):
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pettingllms ")


@pytest.mark.parametrize("arguments", [["lint"], ["lint", "--format", "x", TWO_AGENTS], ["show", "--nope"]])
def test_wrong_use_ends_with_2(arguments, capsys):
    assert app.run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RefusedError("no room", help="make room"), 1, "error: no room\nhelp: make room\n"),
        (KeyboardInterrupt(), 130, ""),
        (Interrupted(15), 143, "interrupted\n"),
    ],
)
def test_an_error_of_a_verb_becomes_its_exit_code(error, code, words, monkeypatch, capsys):
    from pettingllms.cli import schema

    def fail():
        raise error

    monkeypatch.setattr(schema, "schema", fail)
    assert app.run(["schema"]) == code
    assert capsys.readouterr().err.endswith(words)


def test_lint_prints_only_diagnostics_to_stdout(capsys):
    assert app.run(["lint", TWO_AGENTS, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert app.run(["lint", TWO_AGENTS, "--format", "json", "-s", "env.max_turns=1", "-s", "env.x=1"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["code"] for row in rows] == ["PLM104", "PLM003"]
    keys = {"code", "name", "severity", "message", "file", "line", "column", "end_column", "path", "help"}
    assert set(rows[0]) == keys | {"fix", "included"}
    assert (rows[0]["file"], rows[0]["line"], rows[0]["path"]) == (
        TWO_AGENTS,
        37,
        "multi_agent_interaction.turn_order.1",
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["--fail-on", "error"], 0),
        (["--ignore", "PLM105"], 0),
        (["--select", "PLM2,plm3"], 0),
        (["--select", "PLM1"], 1),
    ],
)
def test_lint_fails_from_the_chosen_severity_on(options, code, capsys):
    assert app.run(["lint", TWO_AGENTS, "-s", "env.max_turns=3", *options]) == code


def test_lint_takes_the_experiments_of_a_folder_and_counts_the_rest(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(Path(TWO_AGENTS).read_text())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/broken.toml").write_text("[training]\nval_freq =\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.env]\ntraining = 1\n')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/b.toml").write_text("format = 1\n")
    assert app.run(["lint", str(tmp_path), "--format", "concise"]) == 1
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    assert "broken.toml:2" in line
    assert "PLM001" in line


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#:schema ../schemas/experiment.schema.json\n", True),
        ("#:schema https://example.org/other.json\nformat = 1\n", False),
        ("format = 1\n", True),
        ("[models.model_0]\n", True),
        ("[tool]\nformat = 1\n", False),
        ("training.seed = 1\n", True),
        ("", False),
    ],
)
def test_an_experiment_is_known_by_its_sections(tmp_path, text, answer):
    (tmp_path / "x.toml").write_text(text)
    assert is_experiment(tmp_path / "x.toml") is answer


def test_lint_reads_stdin(monkeypatch, capsys):
    class Stdin:
        buffer = io.BytesIO(b"[training]\nval_freq =\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert app.run(["lint", "-", "--format", "concise"]) == 1
    assert capsys.readouterr().out.startswith("<stdin>:2:")


def test_lint_of_a_missing_file_ends_with_2(capsys):
    assert app.run(["lint", "no/such.toml"]) == 2
    assert "no such file" in capsys.readouterr().out


def test_show_prints_the_resolved_tree(capsys):
    assert app.run(["show", TWO_AGENTS, "--resolved", "--json", "-s", "training.epoch_size=null"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["models"]["model_0"]["path"] == "builtin:smollm2-135m-instruct"
    assert tree["training"]["epoch_size"] is None
    assert app.run(["show", TWO_AGENTS, "--resolved", "training.seed=7"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["training"]["seed"] == 7


def test_show_prints_the_document_after_overrides(capsys):
    assert app.run(["show", TWO_AGENTS, "-s", "training.seed=7"]) == 0
    tree = tomllib.loads(capsys.readouterr().out)
    assert tree["models"]["model_0"]["path"] == "${base_models.policy_0.path}"
    assert tree["training"]["seed"] == 7


def test_show_prints_what_there_is_and_the_bad_reference_to_stderr(capsys):
    words = ["env.options.digits=${nope}", "training.seed=${training.val_freq}"]
    assert app.run(["show", TWO_AGENTS, "--resolved", "--json", *words]) == 1
    shown = capsys.readouterr()
    tree = json.loads(shown.out)
    assert tree["env"]["options"]["digits"] == "${nope}"
    assert tree["training"]["seed"] == 10
    assert "PLM201" in shown.err


def test_show_of_an_incomplete_composition_prints_only_why(capsys, tmp_path):
    path = tmp_path / "e.toml"
    path.write_text('defaults = ["nowhere"]\n')
    assert app.run(["show", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "PLM211" in shown.err


def test_schema_and_rule_print_their_pages(capsys):
    assert app.run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "PettingLLMs experiment"
    assert app.run(["schema", "resolved"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "PettingLLMs resolved experiment"
    assert app.run(["rule", "plm101"]) == 0
    page = "PLM101 unknown-turn-order-agent (error)\n\n`turn_order` names an agent"
    assert capsys.readouterr().out.startswith(page)
    assert app.run(["rule"]) == 0
    assert "PLM503" in capsys.readouterr().out
    assert app.run(["rule", "PLM999"]) == 2


def test_linting_loads_no_heavy_module():
    code = (
        "import sys; from pettingllms.cli.app import run; run(['lint', sys.argv[1]]);"
        "heavy = {'torch', 'vllm', 'transformers', 'optuna', 'rich', 'jsonschema', 'tomlkit'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, TWO_AGENTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_that_goes_away_is_no_traceback():
    command = f"{sys.executable} -m pettingllms schema | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
