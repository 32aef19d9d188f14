"""The generated schemas."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.json_schema import SCHEMAS, as_text, attribute_docstrings, models_of
from pettingllms.config.sweep import ChoiceAxis
from pettingllms.lint.engine import check_experiment

ROOT = Path(__file__).parents[2]
TWO_AGENTS = ROOT / "tests/cases/valid/two_agents.toml"
MODELS = [*models_of(ExperimentConfig), ChoiceAxis]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_what_the_types_give(name):
    committed = (ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert committed == as_text(SCHEMAS[name]())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_draft_07(name):
    schema = SCHEMAS[name]()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_an_attribute_docstring(model):
    assert set(attribute_docstrings(model)) >= set(model.model_fields)


def test_every_section_is_closed_and_every_key_described():
    for name, schema in SCHEMAS["experiment"]()["definitions"].items():
        assert schema.get("additionalProperties", False) is False, name
        if name not in ("reference", "null", "sweep"):
            assert all(value["description"] for value in schema["properties"].values()), name


def test_no_reference_has_siblings():
    def check(node):
        if isinstance(node, dict):
            assert "$ref" not in node or set(node) == {"$ref"}
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for child in children:
            check(child)

    for build in SCHEMAS.values():
        check(build())


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("lora_rank = 8", True),
        ('lora_rank = "${training.seed}"', True),
        ('lora_rank = { sweep = "choice", values = [8, 16], default = 8 }', True),
        ("lora_rank = { null = true }", False),
        ('lora_rank = "many"', False),
        ("lora_rank = 0", False),
        ("lora_ranks = 8", False),
        ("lora_rank = { swep = 1 }", False),
    ],
)
def test_an_editor_sees_value_reference_and_sweep(line, valid):
    text = TWO_AGENTS.read_text().replace("lora_rank = 16", line)
    validator = jsonschema.Draft7Validator(SCHEMAS["experiment"]())
    assert validator.is_valid(tomllib.loads(text)) is valid


def test_the_resolved_schema_is_strict():
    validator = jsonschema.Draft7Validator(SCHEMAS["resolved"]())
    resolved = check_experiment(TWO_AGENTS, ["training.epoch_size=null"]).experiment.stored
    assert validator.is_valid(json.loads(json.dumps(resolved)))
    assert not validator.is_valid(tomllib.loads(TWO_AGENTS.read_text()))
