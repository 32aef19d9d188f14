"""Overrides of the command line."""

from pathlib import Path

import pytest

from pettingllms.compose.overrides import apply_overrides
from pettingllms.compose.tree import MISSING, Tree, get
from pettingllms.config.fields import ExperimentSchema
from pettingllms.documents.toml import parse_toml

TEXT = """
lora_rank = 16
[resource]
nnodes = 1
[env]
name = "math_env"
[multi_agent_interaction]
turn_order = ["a"]
[models.model_0.ppo_trainer_config]
actor_rollout_ref.actor.optim.lr = { sweep = "choice", values = [1e-6, 1e-5], default = 1e-6 }
"""
ORDER = "multi_agent_interaction.turn_order"
LR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr"


def override(*texts):
    tree = Tree.of(parse_toml(TEXT, Path("x.toml")))
    return tree, apply_overrides(tree, texts, ExperimentSchema())


def value_of(path, *texts):
    tree, findings = override(*texts)
    assert findings == []
    return get(tree.data, tuple(path.split(".")))


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("env.name", "env.name=123", "123"),
        ("env.name", "env.name=true", "true"),
        ("env.name", 'env.name="quoted"', "quoted"),
        ("env.name", "env.name=a=b", "a=b"),
        ("env.name", "env.name=a@b#c%d", "a@b#c%d"),
        ("env.name", "env.name=", ""),
        ("env.benchmark", "env.benchmark=null", None),
        (LR, f"{LR}=1e-6", 1e-6),
        (LR, f"{LR}=1", 1.0),
        (LR, f"{LR}=.5", 0.5),
        ("lora_rank", "lora_rank=8", 8),
        ("lora_rank", "lora_rank=8.5", 8.5),
        ("lora_rank", "lora_rank=many", "many"),
        ("env.resolve", "env.resolve=True", True),
        ("env.options.digits", "env.options.digits=3", 3),
        ("env.options.word", "env.options.word=some text", "some text"),
        (ORDER, f"{ORDER}=[agent2,agent1]", ["agent2", "agent1"]),
        (ORDER, f'{ORDER}=["a, b", 7]', ["a, b", "7"]),
        (ORDER, f"{ORDER}+=[b]", ["a", "b"]),
        ("training.logger", "training.logger+=[wandb]", ["console", "wandb"]),
        ("resource", "resource={n_gpus_per_node=0}", {"nnodes": 1, "n_gpus_per_node": 0}),
        ("resource", "resource:={n_gpus_per_node=0}", {"n_gpus_per_node": 0}),
        ("training.seed", "+training.seed=3", 3),
        ("lora_rank", "++lora_rank=3", 3),
        ("lora_rank", "~lora_rank", MISSING),
        ("env.dataset", "env.dataset=${env.name}", "${env.name}"),
        ("base_models.p.path", "base_models.p.path=x", "x"),
    ],
)  # fmt: skip
def test_an_override_changes_the_tree(path, text, value):
    assert value_of(path, text) == value
    assert type(value_of(path, text)) is type(value)


@pytest.mark.parametrize(
    ("text", "code", "column", "words", "help_words"),
    [
        ("env=code", "PLM009", 5, "env is a section", "env.key=value"),
        ("trainning.val_freq=5", "PLM003", 1, "no key trainning.val_freq", "training.val_freq"),
        ("training.lr=1e-5", "PLM003", 1, "no key training.lr", f"[{LR.removesuffix('.lr')}]"),
        ("+training.val_frq=5", "PLM003", 2, "no key", "training.val_freq"),
        ("lora_rank", "PLM009", 1, "not an override", "key=value"),
        ("~training.seed", "PLM009", 2, "not set", ""),
        ("+lora_rank=3", "PLM009", 2, "already set", "lora_rank=…"),
        ("lora_rank+=[1]", "PLM009", 1, "not a list", ""),
        ("multi_agent_interaction.turn_order+=b", "PLM009", 37, "must be a list", "[value]"),
        (f"{LR}.default=1e-5", "PLM009", 1, "swept value", f"{LR}=…"),
        ("+nowhere@models.model_0=eval", "PLM009", 2, "no config group", ""),
        ("=3", "PLM009", 1, "not a key", ""),
        ("", "PLM009", 1, "not an override", ""),
        (".".join("a" * 100) + "=1", "PLM009", 1, "levels", ""),
    ],
)
def test_a_bad_override_points_into_the_command_line(text, code, column, words, help_words):
    _, (finding,) = override(text)
    assert finding.code == code
    assert words in finding.message
    assert help_words in (finding.help or "")
    assert "+" not in (finding.help or "").replace("+=", ""), "a typo is not mended by adding a key"
    assert finding.place.source.name == "<command line>"
    assert (finding.place.span.line, finding.place.span.column) == (1, column)


def test_a_value_that_was_overridden_is_placed_on_the_command_line():
    tree, _ = override("resource={nnodes=2}")
    assert str(tree.place(("resource", "nnodes"))) == "<command line>:1"
    assert tree.place(("env", "name")).source.name == "x.toml"


def test_an_override_on_an_axis_fixes_it():
    assert value_of(LR, f"{LR}=1e-4") == 1e-4
