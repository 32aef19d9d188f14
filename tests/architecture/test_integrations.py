"""What other programs read of this repository: pre-commit hooks, the GitHub Action; what docs say of them."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pettingllms.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
EXPERIMENT = (ROOT / "tests/cases/valid/two_agents.toml").read_text()


def read_yaml(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


HOOKS = read_yaml(".pre-commit-hooks.yaml")
ACTION = read_yaml("action.yml")


def options(verb, capsys):
    assert run([verb, "--help"]) == 0
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out))


def test_the_hooks_have_the_keys_that_pre_commit_asks_for():
    assert [hook["id"] for hook in HOOKS] == ["pettingllms-lint", "pettingllms-lint-fix"]
    for hook in HOOKS:
        assert set(hook) == {
            *("id", "name", "description", "entry", "language", "types_or", "require_serial"),
        }
        assert hook["language"] == "python"
        assert hook["types_or"] == ["toml", "yaml"]


def test_a_hook_calls_an_installed_program_with_options_that_it_has(capsys):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for hook in HOOKS:
        program, verb, *words = shlex.split(hook["entry"])
        assert program in scripts
        assert {word for word in words if word.startswith("--")} <= options(verb, capsys)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "good.toml").write_text(EXPERIMENT)
    (tmp_path / "bad.toml").write_text(EXPERIMENT.replace("lora_rank = ", "lora_rnk = "))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "other.yaml").write_text("a: 1\n")
    return tmp_path


def start(words, folder, **variables):
    environment = {**os.environ, "NO_COLOR": "1", **variables}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(("names", "code"), [("good.toml", 0), ("good.toml bad.toml", 1), ("", 0)])
def test_the_hook_passes_over_files_that_are_no_experiments(names, code, project):
    words = [*shlex.split(HOOKS[0]["entry"]), "pyproject.toml", "other.yaml", *names.split()]
    done = start([str(PROGRAMS / words[0]), *words[1:], "--fail-on", "error"], project)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stdout.splitlines() if "error[" in line]
    assert [line.split(":")[0] for line in errors] == (["bad.toml"] if code else [])


def test_the_action_is_one_for_github(tmp_path):
    command = [PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"]
    done = start(list(map(str, command)), ROOT, HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout


def test_the_action_uses_inputs_and_steps_that_it_has():
    text = (ROOT / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    ids = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)", text)) == ids
    assert all("description" in words and "default" in words for words in ACTION["inputs"].values())
    # What a workflow hands in reaches the shell as a variable, never as a part of its script.
    assert not any("${{" in step["run"] for step in ACTION["runs"]["steps"])


def test_the_action_installs_the_pinned_light_package_from_its_own_path():
    install = ACTION["runs"]["steps"][0]
    assert install["env"]["SOURCE"] == "${{ github.action_path }}"
    assert '--constraint "$SOURCE/constraints.txt" "$SOURCE"' in install["run"]


def step(name, folder, **inputs):
    (found,) = (step for step in ACTION["runs"]["steps"] if step["name"] == name)
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]]
    return start(words, folder, LINTER=str(PROGRAMS / "pettingllms"), **inputs)


def test_the_action_annotates_and_fails_on_findings(project):
    inputs = {"ARGS": "--fail-on error", "FORMAT": ACTION["inputs"]["format"]["default"]}
    done = step("Check the experiments", project, PATHS="good.toml\nbad.toml", **inputs)
    assert done.returncode == 1, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("::error "))
    assert "file=bad.toml" in line and "lora_rnk" in line
    assert step("Check the experiments", project, PATHS="good.toml", **inputs).returncode == 0


def test_the_action_leaves_sarif_for_an_upload(project):
    done = step("Write SARIF", project, PATHS=".", ARGS="", SARIF="lint.sarif")
    assert (done.returncode, done.stdout) == (0, "")
    results = json.loads((project / "lint.sarif").read_text())["runs"][0]["results"]
    assert "PLM003" in {result["ruleId"] for result in results}


@pytest.mark.parametrize("page", ["ci.md", "editors.md"])
def test_a_page_names_options_that_there_are(page, capsys):
    known = set().union(*(options(verb, capsys) for verb in ("lint", "schema", "show")))
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--stdio"}  # of yaml-language-server
    assert named and named <= known


def test_the_page_on_ci_names_what_there_is():
    text = (ROOT / "docs/ci.md").read_text()
    for name in [*(hook["id"] for hook in HOOKS), *(f"`{name}`" for name in ACTION["inputs"])]:
        assert name in text, name


@pytest.mark.parametrize("page", ["ci.md", "editors.md"])
def test_a_page_leads_only_to_files_that_there_are(page):
    folder = ROOT / "docs"
    text = (folder / page).read_text()
    assert "://" not in text
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert [target for target in targets if not (folder / target).exists()] == []
