"""Every layer that touched a value, and the references it went through."""

from pathlib import Path

import pytest

from pettingllms.compose.explain import explain, read_path
from pettingllms.compose.references import resolve_references
from pettingllms.compose.tree import Tree
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.presets import preset_files
from pettingllms.documents.read import parse_document
from pettingllms.errors import UsageError

PPO = "models.model_0.ppo_trainer_config"
FILES = {
    "base/train.yaml": """# @package _global_
training:
  total_training_steps: 200   # 3
  val_freq: 10
  logger: [console]
  project_name: ${oc.env:PROJECT,nobody}
env:
  name: math_env
  max_turns: 4
""",
    "base/trainer.toml": """[data]
max_prompt_length = 2048
max_response_length = "${.max_prompt_length}"
[actor_rollout_ref.rollout]
temperature = 0.7
prompt_length = "${...data.max_prompt_length}"
[trainer]
n_gpus_per_node = 1
""",
    "group/fast.yaml": "defaults: [more]\ntraining:\n  val_freq: 20\n  seed: 3\n",
    "group/more.toml": "[training]\nseed = 2\nval_freq = 15\n",
    "exp.toml": """defaults = [
  "base/train",
  { "base@models.model_0.ppo_trainer_config" = "trainer" },
  { "group" = "fast" },
  "_self_",
]
specialization = "lora"
lora_rank = { sweep = "choice", values = [8, 16], default = 16 }
lora_alpha = "${mul:${lora_rank},2}"

[base_models.policy_0]
path = "Qwen/x"
name = "shared"

[models.model_0]
path = "${base_models.policy_0.path}"
name = "${base_models.policy_0.name}"

[models.model_1]
ppo_trainer_config = "${models.model_0.ppo_trainer_config}"

[training]
total_training_steps = 50
experiment_name = "${base_models.${which}.name}-${training.total_training_steps}"
model_checkpoints_dir = { null = true }

[env.options]
api_key = "sk-very-secret"
url = "https://sk-very-secret@host"
""",
    "overlay.yaml": "training:\n  val_freq: 30\n",
}


@pytest.fixture
def explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROJECT", "value-of-PROJECT")
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")

    def run(path, *overrides, overlays=()):
        draft = draft_experiment(Path("exp.toml"), overrides, overlays=[Path(o) for o in overlays])
        resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
        return explain(draft.tree, resolution, read_path(path), ExperimentSchema())

    return run


def brief(step):
    """`kind place value`, with a star at the step that counts, and dots for what lies behind references."""
    place = f" {step.place}" if step.place and step.kind != "override" else ""
    name = f" {step.name}" if step.kind in ("override", "reference", "environment") else ""
    value = "" if step.kind == "deleted" else f" = {step.value}"
    return f"{'.' * step.depth}{step.kind}{name}{place}{value}{' *' * step.wins}"


LEAVES = {
    "training.total_training_steps": (
        50, ["default = 200", "file base/train.yaml:3 = 200", "file exp.toml:23 = 50 *"],
    ),
    "training.val_freq": (
        20,
        ["default = 10", "file base/train.yaml:4 = 10", "file group/more.toml:3 = 15",
         "file group/fast.yaml:3 = 20 *"],
    ),
    "training.seed": (3, ["default = 0", "file group/more.toml:2 = 2", "file group/fast.yaml:4 = 3 *"]),
    "training.logger": (["console"], ["default = ['console']", "file base/train.yaml:5 = ['console'] *"]),
    "training.logger.0": ("console", ["file base/train.yaml:5 = console *"]),
    "training.train_batch_size": (32, ["default = 32 *"]),
    "training.model_checkpoints_dir": (None, ["default = checkpoints", "file exp.toml:25 = None *"]),
    "training.project_name": (
        "${oc.env:PROJECT,nobody}",
        ["default = pettingllms", "file base/train.yaml:6 = ${oc.env:PROJECT,nobody} *",
         ".environment PROJECT base/train.yaml:6 = ${oc.env:PROJECT,nobody}"],
    ),
    "env.name": ("math_env", ["file base/train.yaml:8 = math_env *"]),
    "env.max_turns": (4, ["default = 2", "file base/train.yaml:9 = 4 *"]),
    "specialization": ("lora", ["default = lora", "file exp.toml:7 = lora *"]),
    "lora_rank": (
        16,
        ["default = 16", "file exp.toml:8 = {'sweep': 'choice', 'values': [8, 16], 'default': 16} *",
         ".sweep exp.toml:8 = {'sweep': 'choice', 'values': [8, 16], 'default': 16}"],
    ),
    "lora_alpha": (
        32,
        ["default = 32", "file exp.toml:9 = ${mul:${lora_rank},2} *",
         ".reference ${lora_rank} exp.toml:8 = 16",
         "..sweep exp.toml:8 = {'sweep': 'choice', 'values': [8, 16], 'default': 16}"],
    ),
    "base_models.policy_0.path": ("Qwen/x", ["file exp.toml:12 = Qwen/x *"]),
    "models.model_0.path": (
        "Qwen/x",
        ["file exp.toml:16 = ${base_models.policy_0.path} *",
         ".reference ${base_models.policy_0.path} exp.toml:12 = Qwen/x"],
    ),
    "models.model_0.name": (
        "shared",
        ["file exp.toml:17 = ${base_models.policy_0.name} *",
         ".reference ${base_models.policy_0.name} exp.toml:13 = shared"],
    ),
    f"{PPO}.data.max_prompt_length": (2048, ["file base/trainer.toml:2 = 2048 *"]),
    f"{PPO}.data.max_response_length": (
        2048,
        ["file base/trainer.toml:3 = ${.max_prompt_length} *",
         ".reference ${.max_prompt_length} base/trainer.toml:2 = 2048"],
    ),
    f"{PPO}.actor_rollout_ref.rollout.temperature": (0.7, ["file base/trainer.toml:5 = 0.7 *"]),
    f"{PPO}.actor_rollout_ref.rollout.prompt_length": (
        2048,
        ["file base/trainer.toml:6 = ${...data.max_prompt_length} *",
         ".reference ${...data.max_prompt_length} base/trainer.toml:2 = 2048"],
    ),
    f"{PPO}.trainer.n_gpus_per_node": (1, ["file base/trainer.toml:8 = 1 *"]),
    f"{PPO.replace('model_0', 'model_1')}.data.max_response_length": (
        2048,
        ["file exp.toml:20 = ${models.model_0.ppo_trainer_config} *",
         ".reference ${models.model_0.ppo_trainer_config} base/trainer.toml:3 = 2048",
         "..reference ${.max_prompt_length} base/trainer.toml:2 = 2048"],
    ),
    "env.options.api_key": ("<redacted>", ["file exp.toml:28 = <redacted> *"]),
    "env.options.url": ("https://<redacted>@host", ["file exp.toml:29 = https://<redacted>@host *"]),
}  # fmt: skip


@pytest.mark.parametrize("path", LEAVES)
def test_every_layer_of_a_leaf_is_named(explained, path):
    value, steps = LEAVES[path]
    (explanation,) = explained(path)
    own = [
        step
        for step in map(brief, explanation.steps)
        if not step.startswith("default") or "default" in steps[0]
    ]
    assert (explanation.value, own) == (value, steps)


def test_a_file_says_how_it_got_here(explained):
    (explanation,) = explained("training.seed")
    more, fast = explanation.steps[-2:]
    assert [str(place) for place in more.included] == ["exp.toml:4", "group/fast.yaml:1"]
    assert [str(place) for place in fast.included] == ["exp.toml:4"]
    assert "merged at the root" in fast.note
    (explanation,) = explained(f"{PPO}.trainer.n_gpus_per_node")
    assert explanation.winner.package == tuple(PPO.split("."))
    assert [str(place) for place in explanation.winner.included] == ["exp.toml:3"]


def test_overlays_and_overrides_come_last_in_their_order(explained):
    (explanation,) = explained(
        "training.val_freq", "training.val_freq=5", "training.val_freq=6", overlays=["overlay.yaml"]
    )
    assert [brief(step) for step in explanation.steps[3:]] == [
        "file group/fast.yaml:3 = 20",
        "file overlay.yaml:2 = 30",
        "override training.val_freq=5 = 5",
        "override training.val_freq=6 = 6 *",
    ]
    assert explanation.value == 6


def test_a_deleted_value_leaves_the_default(explained):
    (explanation,) = explained("training.seed", "~training.seed")
    assert [brief(step) for step in explanation.steps][-1] == "deleted <command line>:1"
    assert (explanation.state, explanation.value, explanation.winner.kind) == ("default", 0, "default")


def test_a_whole_section_on_the_command_line_is_a_layer_of_its_keys(explained):
    (explanation,) = explained("training.seed", "training={seed=9}")
    assert brief(explanation.steps[-1]) == "override training={seed=9} = 9 *"


def test_a_reference_without_a_value_is_said(explained):
    (explanation,) = explained("training.experiment_name")
    assert explanation.state == "broken"
    assert [brief(step) for step in explanation.steps if step.depth] == [
        ".reference ${which} = None",
        ".reference ${training.total_training_steps} exp.toml:23 = 50",
    ]


def test_a_secret_on_the_command_line_is_not_shown(explained):
    (explanation,) = explained("env.options.api_key", "env.options.api_key=sk-other")
    assert "sk-" not in repr([(step.name, step.value) for step in explanation.steps])
    assert explanation.winner.name == "env.options.api_key=<redacted>"


def test_a_section_has_a_line_for_each_leaf(explained):
    found = explained("models.model_1")
    assert [".".join(map(str, one.path)) for one in found] == [
        f"models.model_1.ppo_trainer_config.{key}"
        for key in (
            "data.max_prompt_length",
            "data.max_response_length",
            "actor_rollout_ref.rollout.temperature",
            "actor_rollout_ref.rollout.prompt_length",
            "trainer.n_gpus_per_node",
        )
    ]
    assert {str(one.winner.place) for one in found} == {"exp.toml:20"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("training.val_frq", "did you mean training.val_freq"),
        ("trainng.val_freq", "did you mean training.val_freq"),
        ("max_turns", "max_turns belongs in [env]"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(explained, path, words):
    with pytest.raises(UsageError, match="there is no key") as raised:
        explained(path)
    assert words in raised.value.help


@pytest.mark.parametrize("text", ["", "a..b", "a=1", "a\nb", 'a."b', "a = 0\nb"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(UsageError, match="is not a path of keys"):
        read_path(text)


def test_paths_are_read_as_overrides_write_them():
    assert read_path('a."b.c".0') == ("a", "b.c", "0")


def test_circles_of_references_end():
    tree = Tree.of(parse_document('a = "${b}"\nb = "${a}"\n', Path("x.toml")))
    (explanation,) = explain(tree, resolve_references(tree.data), ("a",), ExperimentSchema())
    assert explanation.state == "broken"
    assert [brief(step) for step in explanation.steps] == [
        "file x.toml:1 = ${b} *",
        ".reference ${b} x.toml:2 = ${a}",
        "..reference ${a} x.toml:1 = ${b}",
    ]


@pytest.mark.parametrize("name", sorted(preset_files()))
def test_every_leaf_of_a_shipped_preset_has_a_line_that_sets_it(name):
    draft = draft_experiment(preset_files()[name], ["training.total_training_steps=3"])
    resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
    for section in resolution.data:
        for explanation in explain(draft.tree, resolution, (section,), ExperimentSchema()):
            winner = explanation.winner
            line = winner.place.source.line(winner.place.span.line)
            assert any(str(part) in line for part in explanation.path), explanation
            assert (winner.kind == "override") == (explanation.path == ("training", "total_training_steps"))
