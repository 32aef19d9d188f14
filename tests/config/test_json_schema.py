"""The generated schemas."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.json_schema import SCHEMAS, as_text, models_of, write_schemas
from pettingllms.config.ppo import PpoTrainerConfig
from pettingllms.config.schema_words import attribute_docstrings, class_docstring, meanings, title
from pettingllms.config.schema_written import WrittenForms
from pettingllms.config.sweep import AXES, SweepConfig
from pettingllms.lint.engine import check_experiment

ROOT = Path(__file__).parents[2]
TWO_AGENTS = ROOT / "tests/cases/valid/two_agents.toml"
MODELS = [*models_of(ExperimentConfig), *AXES.values()]
SECTIONS = sorted(
    {model.__name__ for model in MODELS} - {"ExperimentConfig", *(axis.__name__ for axis in AXES.values())}
)
BUILT = {name: build() for name, build in SCHEMAS.items()}
EXPERIMENT = BUILT["experiment"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_what_the_types_give(name):
    committed = (ROOT / "schemas" / f"{name}.schema.json").read_bytes()
    assert committed == as_text(BUILT[name]).encode()


def test_there_is_a_file_for_each_schema_and_no_other():
    assert {path.name for path in (ROOT / "schemas").iterdir()} == {f"{name}.schema.json" for name in SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_draft_07_and_says_which_one_it_is(name):
    schema = BUILT[name]
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["$id"] == f"urn:pettingllms:schema:{name}"
    assert schema["title"].startswith("PettingLLMs ")
    jsonschema.Draft7Validator.check_schema(schema)


def test_the_text_is_the_schema():
    text = as_text(EXPERIMENT)
    assert json.loads(text) == EXPERIMENT
    assert text.endswith("}\n") and not any(line.rstrip() != line for line in text.splitlines())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_an_attribute_docstring(model):
    assert set(attribute_docstrings(model)) >= set(model.model_fields)
    assert class_docstring(model)


def keys_of(schema):
    """Every documented key: its section, its name, its schema."""
    sections = {"": schema, **schema["definitions"]}
    documented = {"", *SECTIONS} & set(sections)
    axis = {key for kind in AXES.values() for key in kind.model_fields} | {"null"}
    for section in documented:
        for key, value in sections[section]["properties"].items():
            if not (section and key in axis and "title" not in value):
                yield section, key, value


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_has_a_title_and_a_description(name):
    keys = list(keys_of(BUILT[name]))
    assert len(keys) > 40
    for section, key, value in keys:
        assert value["title"] == title(key), (section, key)
        assert value["description"], (section, key)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_plain_default_of_the_types_is_in_the_schema(name):
    models = {model.__name__: model for model in models_of(ExperimentConfig)}
    models[""] = PpoTrainerConfig if name == "fragment" else ExperimentConfig
    for section, key, value in keys_of(BUILT[name]):
        field = models[section].model_fields.get(key, ExperimentConfig.model_fields.get(key))
        default = field.default
        if isinstance(default, (str, int, float, list)):
            assert value["default"] == default
            assert "Default: " in value["description"] or default == []


def test_hover_tells_meaning_type_limits_and_default():
    training = EXPERIMENT["definitions"]["TrainingConfig"]["properties"]
    assert training["val_freq"]["title"] == "Validation frequency"
    assert training["val_freq"]["description"] == (
        "Steps between two validations; also run before the first and after the last step.\n\n"
        "A whole number, at least 1. Default: `10`."
    )
    learning_rate = EXPERIMENT["definitions"]["OptimConfig"]["properties"]["lr"]
    assert learning_rate["title"] == "Learning rate"
    assert learning_rate["description"].endswith("A number, greater than 0. Default: `1e-6`.")


def test_what_this_version_cannot_do_is_said():
    resource = EXPERIMENT["definitions"]["ResourceConfig"]["properties"]
    assert resource["nnodes"]["description"].endswith(" In this version only `1`.")


def test_choices_are_explained_in_the_words_of_all_editors():
    offered, anything = EXPERIMENT["definitions"]["TrainingConfig"]["properties"]["device"]["anyOf"]
    assert anything is True
    assert offered["enum"] == ["cuda", "cpu"]
    assert offered["enumDescriptions"] == ["On GPUs", "On none, for small models and tests"]
    assert offered["x-taplo"]["docs"]["enumValues"] == offered["enumDescriptions"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Which. `a`: the first; `b`: the second.", ["The first", "The second"]),
        ("`a`: the first, with `x`. And so on. `b`: two", ["The first, with `x`", "Two"]),
        ("Which.\n\n- `a`: one.\n- `b`: two; three.", ["One", "Two; three"]),
        ("`a` is the first. `ab`: no", ["", ""]),
    ],
)
def test_meanings_are_read_from_the_docstring(text, found):
    field = ExperimentConfig.model_fields["format"]
    assert meanings(text, ["a", "b"], field) == found


def test_titles_are_human_words():
    names = "ppo_max_token_len_per_gpu num_agents n_gpus_per_node lora_rank val_llm_config nnodes model"
    assert [title(name) for name in names.split()] == [
        "PPO max token length per GPU",
        "Number of agents",
        "Number of GPUs per node",
        "LoRA rank",
        "Validation LLM config",
        "Nodes",
        "Model",
    ]


def test_every_section_is_closed_unless_the_file_names_its_keys():
    for name in SECTIONS:
        assert EXPERIMENT["definitions"][name]["additionalProperties"] is False, name
    assert EXPERIMENT["additionalProperties"] is False


def test_no_section_demands_keys_that_another_file_may_give():
    assert "required" not in EXPERIMENT
    for name in SECTIONS:
        assert "required" not in EXPERIMENT["definitions"][name]
    assert set(BUILT["resolved"]["required"]) >= {"env", "base_models"}


def test_no_reference_has_siblings_and_all_lead_somewhere():
    def check(node, definitions):
        if isinstance(node, dict):
            target = node.get("$ref")
            assert target is None or set(node) == {"$ref"}
            assert target is None or target.removeprefix("#/definitions/") in definitions
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for child in children:
            check(child, definitions)

    for schema in BUILT.values():
        check(schema, schema["definitions"])


def test_every_definition_is_used():
    for name in ("experiment", "fragment"):
        schema = BUILT[name]
        text = as_text(schema)
        assert [key for key in schema["definitions"] if f'"#/definitions/{key}"' not in text] == [], name


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("lora_rank = 8", True),
        ('lora_rank = "${training.seed}"', True),
        ('lora_rank = { sweep = "choice", values = [8, 16], default = 8 }', True),
        ('lora_rank = { sweep = "int", low = 8, high = 16, default = 8 }', True),
        ('lora_rank = { sweep = "float", low = 8.0, high = 16.0, default = 8.0 }', False),
        ("lora_rank = { null = true }", False),
        ('lora_rank = "many"', False),
        ("lora_rank = 0", False),
        ("lora_ranks = 8", False),
        ("lora_rank = { swep = 1 }", False),
        ("lora_rank = {}", False),
    ],
)
def test_an_editor_sees_value_reference_and_sweep(line, valid):
    text = TWO_AGENTS.read_text().replace("lora_rank = 16", line)
    validator = jsonschema.Draft7Validator(EXPERIMENT)
    assert validator.is_valid(tomllib.loads(text)) is valid


def test_a_null_of_yaml_stands_where_a_value_may_be_absent():
    validator = jsonschema.Draft7Validator(EXPERIMENT)
    assert validator.is_valid({"training": {"epoch_size": None}, "defaults": [{"env": None}]})
    assert not validator.is_valid({"training": {"seed": None}})


def test_each_kind_of_axis_has_its_form_and_meaning():
    definitions = EXPERIMENT["definitions"]
    kinds = definitions["sweep_" + "_".join(AXES)]
    assert kinds["enum"] == list(AXES)
    assert kinds["enumDescriptions"] == [class_docstring(axis) for axis in AXES.values()]
    for axis in AXES.values():
        assert set(definitions[axis.__name__]["properties"]) == set(axis.model_fields)
        assert definitions[axis.__name__]["additionalProperties"] is False
    space = definitions["SweepConfig"]["properties"]["space"]
    assert space["additionalProperties"] == {"$ref": "#/definitions/swept"}


def test_the_study_itself_is_never_swept():
    for model in models_of(SweepConfig):
        assert "axis" not in json.dumps(EXPERIMENT["definitions"][model.__name__])


def test_keys_that_are_alike_share_the_form_of_their_values():
    axes = {"choice": {"title": "ChoiceAxis", "description": "c", "required": [], "properties": {}}}
    axes["choice"]["properties"]["values"] = {"type": "array", "description": "v"}
    forms = WrittenForms(axes)
    one = forms.value({"type": "integer", "description": "a"}, ("choice",))
    two = forms.value({"type": "integer", "description": "b"}, ("choice",))
    assert one["properties"]["values"] == two["properties"]["values"]
    words = {"x-taplo": {"docs": {"enumValues": ["other"]}}}
    alike = [forms.value({"type": "string", "enum": ["x"], **more}, ("choice",)) for more in ({}, words)]
    first, second = (form["properties"]["values"]["$ref"] for form in alike)
    assert second == first + "_"


def test_a_fragment_is_the_trainer_s_tree_with_its_own_files():
    fragment = BUILT["fragment"]
    assert set(fragment["properties"]) == {"format", "defaults", *PpoTrainerConfig.model_fields}
    assert "SweepConfig" not in fragment["definitions"]
    validator = jsonschema.Draft7Validator(fragment)
    axis = {"sweep": "choice", "values": [1e-6], "default": 1e-6}
    assert validator.is_valid({"defaults": ["base"], "actor_rollout_ref": {"actor": {"optim": {"lr": axis}}}})
    assert not validator.is_valid({"training": {}})


def test_the_resolved_schema_is_strict():
    validator = jsonschema.Draft7Validator(BUILT["resolved"])
    resolved = check_experiment(TWO_AGENTS, ["training.epoch_size=null"]).experiment.stored
    assert validator.is_valid(json.loads(json.dumps(resolved)))
    assert not validator.is_valid(tomllib.loads(TWO_AGENTS.read_text()))


def test_only_what_differs_is_written(tmp_path):
    folder = tmp_path / "schemas"
    written = dict(write_schemas(folder))
    assert {path.name for path in folder.iterdir()} == {f"{name}.schema.json" for name in SCHEMAS}
    assert set(written.values()) == {True}
    assert set(dict(write_schemas(folder)).values()) == {False}
    (folder / "fragment.schema.json").write_bytes(b"\xff")
    assert dict(write_schemas(folder, ["fragment"])) == {folder / "fragment.schema.json": True}
    assert set(dict(write_schemas(folder, check=True)).values()) == {False}
