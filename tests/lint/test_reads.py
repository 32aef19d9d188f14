"""What a rule says that it reads, and what it looks at: a sweep is proved by it."""

import re
from pathlib import Path

import pytest

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.model import ConfigModel
from pettingllms.config.presets import preset_files
from pettingllms.config.typed import type_cell
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.facts import Facts
from pettingllms.lint.rule import RULES, Context, Rule, overlap

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests/cases"
FILES = [
    *preset_files().values(),
    *sorted((ROOT / "experiments").glob("*.toml")),
    *sorted(CASES.glob("valid/*.toml")),
    *sorted(path for path in CASES.glob("invalid/PLM[1359]*.toml") if path.is_file()),
]
FACTS = Facts(gpus=2, gpu_memory=2**30, disk_free=2**20, local=True)


def paths_of(value, path=()):
    """The path of every section of a typed experiment, by its identity."""
    if isinstance(value, ConfigModel):
        yield id(value), path
        for name in type(value).model_fields:
            yield from paths_of(value.__dict__[name], (*path, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from paths_of(item, (*path, key))


def is_value(value):
    """True for what a rule can decide by, not only pass through."""
    if isinstance(value, dict):
        return not any(isinstance(item, ConfigModel) for item in value.values())
    return not isinstance(value, ConfigModel)


def typed(path):
    draft = draft_experiment(path)
    return draft, type_cell(choose(draft, {axis.path: axis.default for axis in draft.axes}))


def undeclared(rules, path, monkeypatch):
    """What rules look at without declaring it, by code; None where nothing of the file can be typed."""
    draft, cell = typed(path)
    if cell.config is None:
        return None
    where = {}
    for identity, place in paths_of(cell.config):
        # A default section stands at several paths at once: any of them will do.
        where.setdefault(identity, []).append(place)
    seen = []
    original = ConfigModel.__getattribute__

    def recording(self, name):
        value = original(self, name)
        if name in type(self).model_fields and is_value(value):
            seen.append([(*place, name) for place in where.get(id(self), [])])
        elif name == "model_dump":
            seen.append(where.get(id(self), []))
        return value

    monkeypatch.setattr(ConfigModel, "__getattribute__", recording)
    found = {}
    for rule in rules:
        seen.clear()
        list(rule.check(Context(cell.config, cell.data, FACTS, draft.packages)))
        for places in filter(None, seen):
            if not any(overlap(place, read) for place in places for read in rule.reads):
                found.setdefault(rule.code, set()).add(".".join(map(str, places[0])))
    monkeypatch.undo()
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_looks_at_nothing_that_it_does_not_declare(path, monkeypatch):
    found = undeclared([rule for rule in RULES.values() if rule.check is not None], path, monkeypatch)
    assert not found


def test_a_rule_that_declares_too_little_is_caught(monkeypatch):
    def check(context):
        if context.config.env.max_turns < 0:
            yield

    toy = Rule("PLM999", "toy", Severity.ERROR, (("env", "name"),), "", check)
    found = undeclared([toy], CASES / "valid/two_agents.toml", monkeypatch)
    assert found == {"PLM999": {"env.max_turns"}}


def test_every_code_in_the_package_is_a_rule():
    found = set()
    for path in (ROOT / "pettingllms").rglob("*.py"):
        found |= set(re.findall(r"PLM\d{3}", path.read_text()))
    assert found - set(RULES) == set()
