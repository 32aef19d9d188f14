"""The schemas under the tools that people have: tombi (strict), taplo and check-jsonschema, all offline."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.cli.new import copied
from pettingllms.config.presets import fragment_files, phase_files, preset_files

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
PROGRAMS = Path(sys.executable).parent
EXPERIMENTS = [
    *sorted((ROOT / "experiments").rglob("*.toml")),
    *preset_files().values(),
    *phase_files().values(),
]
FRAGMENTS = list(fragment_files().values())
OUTCOME = re.compile(r" *(?:Error|Warning): (.*)")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs one of the tools in a home of its own, with no way to the network."""
    home = tmp_path_factory.mktemp("home")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "HOME": str(home), "XDG_CACHE_HOME": str(home), "NO_COLOR": "1"}

    def started(program, *words):
        command = [str(PROGRAMS / program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)

    return started


def first_lines_name(schema, files):
    return all(
        line.startswith("#:schema ") and (file.parent / line.removeprefix("#:schema ")).resolve() == schema
        for file in files
        for line in [file.read_text().splitlines()[0]]
    )


@pytest.mark.parametrize(("name", "files"), [("experiment", EXPERIMENTS), ("fragment", FRAGMENTS)])
def test_every_shipped_file_passes_every_tool_without_a_warning(name, files, run):
    schema = SCHEMAS / f"{name}.schema.json"
    assert files and first_lines_name(schema, files)
    outcomes = {
        "tombi": run("tombi", "lint", "--offline", "--error-on-warnings", *files),
        "taplo": run("taplo", "check", "--no-auto-config", "--schema", schema.as_uri(), *files),
        # taplo by the first line of each file, as editors find the schema
        "taplo by line": run("taplo", "check", "--no-auto-config", *files),
        "check-jsonschema": run("check-jsonschema", "--schemafile", schema, *files),
    }
    assert {tool: output for tool, (code, output) in outcomes.items() if code} == {}
    assert OUTCOME.findall(outcomes["tombi"][1]) == []
    assert f"{len(files)} file" in outcomes["tombi"][1]
    assert f"found files total={len(files)}" in outcomes["taplo"][1]


def test_tombi_knows_the_schema_by_the_first_line(run, tmp_path):
    file = tmp_path / "e.toml"
    file.write_text(f"#:schema {SCHEMAS / 'experiment.schema.json'}\nlora_rnk = 1\n")
    code, output = run("tombi", "lint", "--offline", file)
    assert code == 1 and OUTCOME.findall(output) == ['"lora_rnk" is not allowed']


def test_presets_in_yaml_pass_too(run, tmp_path):
    files = [tmp_path / f"{name}.yaml" for name in preset_files()]
    for file, preset in zip(files, preset_files().values(), strict=True):
        file.write_text(copied(preset, file))
    code, output = run("check-jsonschema", "--schemafile", SCHEMAS / "experiment.schema.json", *files)
    assert (code, output.strip()) == (0, "ok -- validation done")


SPACE = (
    '[sweep]\nsampler = "tpe"\npruner = { kind = "median" }\nconstraints = ["a < b"]\n[sweep.space]\n'
    '"training.seed" = { sweep = "int", low = 1, high = 3, default = 2 }\n'
    '"a.b" = { sweep = "choice", values = [[1], { a = 1 }], default = [1] }'
)
GOOD = [
    "lora_rank = 8",
    'lora_rank = "${a.b}"',
    'lora_rank = { sweep = "choice", values = ["${a}", 2], default = 2, when = "a > 1", zip = "z" }',
    'lora_rank = { sweep = "int", low = 1, high = 3, default = 2, step = 1 }',
    'lora_alpha = { sweep = "float", low = 1.0, high = 3, default = 2, log = true, points = 3 }',
    'lora_alpha = { sweep = "int", low = 1, high = 3, default = 2 }',
    'specialization = { sweep = "choice", values = ["lora", "full"], default = "lora" }',
    'resource = "${x}"',
    'resource = { sweep = "choice", values = [{ nnodes = 1 }, { nnodes = 2 }], default = { nnodes = 1 } }',
    '[training]\nepoch_size = { null = true }\nlogger = ["console", "${x}"]',
    '[training]\nsave_freq = { sweep = "choice", values = [1, { null = true }], default = { null = true } }',
    'base_models = { sweep = "choice", values = [{ p = { path = "a" } }], default = { p = { path = "a" } } }',
    '[base_models]\np = { sweep = "choice", values = [{ path = "a" }], default = { path = "a" } }',
    '[base_models.default]\npath = "x"',
    '[agent_policy_configs.agent_configs.values]\nname = "x"',
    'multi_agent_interaction.turn_order = { sweep = "choice", values = [["a"], ["b"]], default = ["a"] }',
    'multi_agent_interaction.turn_order = [{ sweep = "choice", values = ["a"], default = "a" }, "b"]',
    'defaults = ["a", { "../x@y" = "b" }, { env = { null = true } }, { env = ["a", "b"] }, "_self_"]',
    "sweep = { null = true }",
    SPACE,
    '[env]\nmax_turns = 3\noptions = { digits = 2, operations = ["+"], x = { y = 1 } }',
    '[env.options]\na = { sweep = "choice", values = [1], default = 1 }',
    '[agent_policy_configs.agent_configs.a]\nexamples = [{ user = "a", assistant = "b" }, "${x}"]',
    '[models.m]\nppo_trainer_config = "${x}"',
    '[models.m.ppo_trainer_config.actor_rollout_ref.model]\ntarget_modules = ["q"]\npath = { null = true }',
]
INTEGER = {
    "tombi": ["expected a value of type Integer, but found String"],
    "taplo": ['"x" is not of type "integer"'],
    "check-jsonschema": ["'x' is not of type 'integer'"],
}
BAD = {
    'lora_rank = "x"': INTEGER,
    '[resource]\nnnodes = "x"': INTEGER,
    'lora_rank = { sweep = "choice", values = ["x"], default = 8 }': INTEGER,
    "lora_rank = 0": {
        "tombi": ["the value must be ≥ 1, but found 0"],
        "taplo": ["0 is less than the minimum of 1"],
        "check-jsonschema": ["0 is less than the minimum of 1"],
    },
    'lora_rank = { swep = "int" }': {
        "tombi": ['"swep" is not allowed'],
        "taplo": ["Additional properties are not allowed ('swep' was unexpected)"],
        "check-jsonschema": ["Additional properties are not allowed ('swep' was unexpected)"],
    },
    "lora_rank = { null = true }": {
        "tombi": ['"null" is not allowed'],
        "taplo": ["Additional properties are not allowed ('null' was unexpected)"],
        "check-jsonschema": ["Additional properties are not allowed ('null' was unexpected)"],
    },
    'lora_rank = { sweep = "int", lo = 1, high = 3, default = 2 }': {
        "tombi": ['"lo" is not allowed', '"low" is required'],
        "taplo": [
            '"low" is a required property',
            "Additional properties are not allowed ('lo' was unexpected)",
        ],
        "check-jsonschema": [
            "'low' is a required property",
            "Additional properties are not allowed ('lo' was unexpected)",
        ],
    },
    'lora_rank = { sweep = "int", low = 1, high = 3, values = [1], default = 2 }': {
        "tombi": ['"values" is not allowed'],
        "taplo": ["Additional properties are not allowed ('values' was unexpected)"],
        "check-jsonschema": ["Additional properties are not allowed ('values' was unexpected)"],
    },
    'lora_rank = { sweep = "chioce", values = [1], default = 1 }': {
        "tombi": ['the value must be one of ["choice", "int"], but found "chioce"'],
        "taplo": ['"chioce" is not one of ["choice","int"]'],
        "check-jsonschema": ["'chioce' is not one of ['choice', 'int']"],
    },
    'lora_rank = { sweep = "choice", values = [1] }': {
        "tombi": ['"default" is required'],
        "taplo": ['"default" is a required property'],
        "check-jsonschema": ["'default' is a required property"],
    },
    'specialization = "lorra"': {
        "tombi": ['the value must be one of ["prompt", "lora", "full"], but found "lorra"'],
        "taplo": ['"lorra" is not one of ["prompt","lora","full"]'],
        "check-jsonschema": ["'lorra' is not one of ['prompt', 'lora', 'full']"],
    },
    'resource = "x"': {
        "tombi": ["expected a value of type Table, but found String"],
        "taplo": ['"x" is not of type "object"'],
        "check-jsonschema": ["'x' is not of type 'object'"],
    },
    "[models.m.ppo_trainer_config.data]\nmax_promt_length = 1": {
        "tombi": ['"max_promt_length" is not allowed'],
        "taplo": ["Additional properties are not allowed ('max_promt_length' was unexpected)"],
        "check-jsonschema": ["Additional properties are not allowed ('max_promt_length' was unexpected)"],
    },
    '[sweep.space]\n"training.seed" = { swep = "choice" }': {
        "tombi": ['"swep" is not allowed'],
        "taplo": ["Additional properties are not allowed ('swep' was unexpected)"],
        "check-jsonschema": ["Additional properties are not allowed ('swep' was unexpected)"],
    },
}


@pytest.fixture(scope="module")
def said(run, tmp_path_factory):
    """What each tool says of each text: tool → text → messages, each once."""
    folder = tmp_path_factory.mktemp("written")
    schema = SCHEMAS / "experiment.schema.json"
    texts = {folder / f"{index}.toml": text for index, text in enumerate([*GOOD, *BAD])}
    for file, text in texts.items():
        file.write_text(f"#:schema {schema}\n{text}\n")
    found = {"tombi": {}, "taplo": {}, "check-jsonschema": dict.fromkeys(texts.values(), ())}
    for file, text in texts.items():
        found["tombi"][text] = OUTCOME.findall(run("tombi", "lint", "--offline", file)[1])
        lines = run("taplo", "check", "--no-auto-config", "--colors", "never", file)[1].splitlines()
        found["taplo"][text] = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    words = ("--schemafile", schema, "-o", "json", *texts)
    for error in json.loads(run("check-jsonschema", *words)[1])["errors"]:
        text = texts[Path(error["filename"])]
        found["check-jsonschema"][text] = (*found["check-jsonschema"][text], error["message"])
    return found


@pytest.mark.parametrize("text", GOOD)
def test_what_may_be_written_passes_every_tool(text, said):
    assert {tool: list(texts[text]) for tool, texts in said.items()} == {tool: [] for tool in said}


@pytest.mark.parametrize("text", BAD)
def test_every_tool_names_the_fault_and_nothing_else(text, said):
    assert {tool: sorted(set(texts[text])) for tool, texts in said.items()} == {
        tool: sorted(messages) for tool, messages in BAD[text].items()
    }


def test_tombi_sees_an_unquoted_date(run, tmp_path):
    # The others read a TOML date as text: JSON has no dates. `pettingllms lint` says to quote it.
    file = tmp_path / "e.toml"
    file.write_text(f"#:schema {SCHEMAS / 'experiment.schema.json'}\ntraining.experiment_name = 2024-10-15\n")
    code, output = run("tombi", "lint", "--offline", file)
    assert code == 1 and "expected a value of type String, but found LocalDate" in output
