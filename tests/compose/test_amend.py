"""A changed file composes to what the same overrides give on the command line."""

from pathlib import Path

import pytest

from pettingllms.compose.amend import amend
from pettingllms.compose.compose import compose
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.presets import preset_files
from pettingllms.documents.edit import edit
from pettingllms.documents.literals import same
from pettingllms.documents.read import read_document
from pettingllms.documents.source import DocumentError

DATA = Path(__file__).parents[1] / "data"
FILES = [
    *preset_files().values(),
    *(
        path
        for folder in ("upstream-configs", "fork-configs")
        for path in sorted(DATA.glob(f"{folder}/**/*.yaml"))
    ),
]
CHANGES = [
    ["training.total_training_steps=7", "lora_rank=4"],
    ["training.logger+=[jsonl]", "env.options.deep.er=1e-7"],
    ["env.benchmark=null", "base_models.policy_9={path=x, name=y}"],
    ["models.model_0.ppo_trainer_config.data.max_prompt_length=9"],
    ["multi_agent_interaction.turn_order=[b,a]", "++training.sample_temperature=0.5"],
]


def readable(path):
    try:
        read_document(path)
    except DocumentError:
        return False
    return True


CASES = [
    *((path, CHANGES[index % len(CHANGES)]) for index, path in enumerate(filter(readable, FILES))),
    *((preset_files()["math_L3_model"], changes) for changes in CHANGES),
]


@pytest.mark.parametrize(
    ("path", "changes"),
    CASES,
    ids=lambda case: "/".join(case.parts[-3:]) if isinstance(case, Path) else case[0],
)
def test_set_gives_what_the_override_gives(path, changes):
    document = read_document(path)
    schema = ExperimentSchema()
    wanted = compose(path, changes, schema=schema)
    amendment = amend(document, changes, schema)
    refused = [
        finding.message for finding in wanted.findings if finding.place.source.name == "<command line>"
    ]
    assert [finding.message for finding in amendment.findings] == refused
    if refused:
        return
    text = edit(document, amendment.data, amendment.written)
    found = compose(path, schema=schema, text=text)
    assert same(plain(found.tree.data), plain(wanted.tree.data))
    gone = set(document.text.splitlines()) - set(text.splitlines())
    lost = [line for line in gone if line.strip().startswith("#")]
    assert lost == []


def plain(value):
    if value == {"null": True}:
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
