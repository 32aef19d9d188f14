"""Scripts and sweep files in the manner of real ones, and the experiments that they become."""

import tomllib
from pathlib import Path

import pytest

from pettingllms.documents.source import DocumentError
from pettingllms.errors import RefusedError
from pettingllms.foreign.sources import import_file, import_text

DATA = Path(__file__).parents[1] / "data/foreign"
SOURCES = sorted(path for path in DATA.iterdir() if path.suffix in (".sh", ".yaml"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_source_becomes_the_experiment_written_beside_it(path, golden):
    imported = import_file(path)
    golden(path.with_suffix(".toml"), imported.text)
    rows = [
        f"{note.line}: {'left out: ' if note.left_out else ''}{note.message}\n" for note in imported.notes
    ]
    golden(path.with_suffix(".notes.txt"), "".join(rows))
    tomllib.loads(imported.text)


def made(command):
    imported = import_text(command, "<command>")
    return tomllib.loads(imported.text), [note.message for note in imported.notes if note.left_out]


def test_values_have_the_type_of_the_schema():
    data, left = made(
        "python -m pettingllms.trainer.train --config-name c training.experiment_name=2024-10-15 "
        "training.project_name=1e3 lora_alpha=32 training.seed=7 env.multi_modal=True "
        "models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr=5e-6 training.logger='[console]' "
        "training.epoch_size=null free.key=[1,a,2.5,{x:1}] "
        "training.total_training_steps=$STEPS env.dataset=$SET"
    )
    assert left == []
    training = data["training"]
    assert training["experiment_name"] == "2024-10-15"
    assert training["project_name"] == "1e3"
    assert (type(data["lora_alpha"]), data["lora_alpha"]) == (float, 32.0)
    assert (training["seed"], data["env"]["multi_modal"], training["logger"]) == (7, True, ["console"])
    assert training["epoch_size"] == {"null": True}
    assert data["free"] == {"key": [1, "a", 2.5, {"x": 1}]}
    assert training["total_training_steps"] == "${oc.decode:${oc.env:STEPS}}"
    assert data["env"]["dataset"] == "${oc.env:SET}"


@pytest.mark.parametrize(
    ("words", "expected", "left"),
    [
        ("training.seed=1 training.seed=2", {"training": {"seed": 2}}, 0),
        ("training.experiment_name=ck/epoch=9", {"training": {"experiment_name": "ck/epoch=9"}}, 0),
        ("training.experiment_name=a@b#c%d", {"training": {"experiment_name": "a@b#c%d"}}, 0),
        (
            "resource='{nnodes: 2}' resource.n_gpus_per_node=1",
            {"resource": {"nnodes": 2, "n_gpus_per_node": 1}},
            0,
        ),
        (
            "+training.seed=1,2",
            {
                "training": {"seed": {"sweep": "choice", "values": [1, 2], "default": 1}},
                "sweep": {"sampler": "grid"},
            },
            0,
        ),
        ("~training.seed", {}, 1),
        ("training.logger.0=wandb", {}, 1),
        ("training.logger[0]=wandb", {}, 1),
        ("training.logger+=[wandb]", {}, 1),
        ("training=5", {}, 1),
        ("a=1 a.b=2", {"a": 1}, 1),
        ("a.b=1 a=2", {"a": {"b": 1}}, 1),
        ("--unknown-option", {}, 1),
        ("env=math,code", {}, 1),
        ("'training.seed=glob(*)'", {}, 1),
        ("training.seed=$(date)", {}, 1),
        ("$MORE", {}, 1),
        ('"$@"', {}, 0),
        ("a.b= c.d=''", {"a": {"b": ""}, "c": {"d": ""}}, 0),
        ("a.b='[1, 2'", {"a": {"b": "[1, 2"}}, 0),
        ("training.seed='choice(1,2'", {}, 1),
    ],
)
def test_what_becomes_of_an_override(words, expected, left):
    data, messages = made(f"python train.py --config-name c {words}")
    assert data.pop("defaults") == ["c", "_self_"]
    assert data.pop("format") == 1
    assert (data, len(messages)) == (expected, left)


@pytest.mark.parametrize(
    ("words", "defaults"),
    [
        ("env=code", ["c", "_self_", {"override env": "code"}]),
        ("+env=code", ["c", {"env": "code"}, "_self_"]),
        ("model=qwen2_7b", ["c", "_self_", {"override model": "qwen2_7b"}]),
        ("a/b@c.d=e", ["c", "_self_", {"override a/b@c.d": "e"}]),
        ("env=null", ["c", "_self_"]),
        ("~a/b", ["c", "_self_", {"override a/b": {"null": True}}]),
        ("specialization=full", ["c", "_self_"]),
        ("+rollout_mode=tree", ["c", "_self_"]),
    ],
)
def test_a_config_group_becomes_an_entry_of_defaults(words, defaults):
    assert made(f"python train.py --config-name c {words}")[0]["defaults"] == defaults


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("--config-path ../config/math --config-name math_L1", "math_L1"),
        ("-cp=../config/math -cn=math_L1.yaml", "math_L1"),
        ("--config-dir conf --config-name exp/one", "conf/exp/one"),
        ("--config-path /etc/conf --config-name one", "/etc/conf/one"),
    ],
)
def test_a_configuration_is_named_in_defaults(options, first):
    assert made(f"python train.py {options} a.b=1")[0]["defaults"] == [first, "_self_"]


@pytest.mark.parametrize(
    ("command", "resource"),
    [
        ("accelerate launch --num_processes 8 --num_machines 2 train.py a.b=1", (4, 2)),
        ("torchrun --nproc_per_node=8 --nnodes=2 train.py a.b=1", (8, 2)),
        ("python -m torch.distributed.run --nproc-per-node 2 -m x.train a.b=1", (2, None)),
        ("accelerate launch --num_processes 4 train.py resource.n_gpus_per_node=2", (2, None)),
        ("CUDA_VISIBLE_DEVICES=0,1 python train.py a.b=1", (None, None)),
    ],
)
def test_gpus_come_from_the_launcher_unless_an_override_says_them(command, resource):
    found = made(command)[0].get("resource", {})
    assert (found.get("n_gpus_per_node"), found.get("nnodes")) == resource


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "no command starts training"),
        ("echo train.py a=b\nls", "no command starts training"),
        ("python prepare.py --out data", "no command starts training"),
        ("python train.py a.b=1\n\npython train.py a.b=2", "at the lines 1, 3"),
        ("for lr in 1 2; do\n  python train.py a.lr=$lr\ndone", "s.sh:2: the command stands in a loop"),
        ("run() {\n python train.py a.b=1\n}\nrun", "s.sh:2: the command stands in a function"),
        ("python train.py 'a.b=1", "s.sh:1: a single quote is not closed"),
        ("python train.py " + "$(" * 100_000, "nested too deeply"),
        ("python train.py " + "a.b=1 " * 100_000, "longer than 256 KiB"),
        ("A=" + "x" * 90_000 + "\npython train.py " + "a.b=$A " * 10_000, "too long a text"),
    ],
)
def test_a_script_without_one_plain_command_is_refused(script, message):
    with pytest.raises(RefusedError, match=message.replace("(", r"\(")):
        import_text(script, "s.sh")


def test_a_command_is_chosen_by_its_line():
    script = "python train.py a.b=1\n\npython train.py a.b=2\n"
    assert tomllib.loads(import_text(script, "s.sh", line=3).text)["a"] == {"b": 2}
    with pytest.raises(RefusedError, match="no command at line 2"):
        import_text(script, "s.sh", line=2)


def test_the_training_command_is_found_among_others():
    script = (
        "python -m tools.prepare x.y=1\npython3.11 -u -m pettingllms.trainer.train a.b=1 > log 2>&1 &\nwait\n"
    )
    assert tomllib.loads(import_text(script, "s.sh").text)["a"] == {"b": 1}


def test_a_comment_that_ends_the_command_is_said():
    imported = import_text("python train.py a.b=1 \\\n  # c.d=2 \\\n  e.f=3\n", "s.sh")
    assert "e" not in tomllib.loads(imported.text)
    assert any("a comment ends the command" in note.message and note.line == 2 for note in imported.notes)


def test_a_condition_is_taken_to_hold():
    imported = import_text('if [ "$1" = x ]; then\n  python train.py a.b=1\nfi\n', "s.sh")
    assert any("taken to hold" in note.message for note in imported.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"training: {seed: 1}\n", "neither a W&B sweep nor"),
        ("a.toml", b"a = 1\n", "TOML already"),
        ("a.yaml", b"", "neither a W&B sweep nor"),
        ("a.yaml", b"method: grid\nparameters: 5\n", "neither a W&B sweep nor"),
    ],
)
def test_another_file_is_refused_with_the_verb_that_takes_it(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedError, match=message):
        import_file(tmp_path / name)


@pytest.mark.parametrize("content", [b"\x7fELF\x00\x01\xff\xfe", b"python train.py a=\xff\n", b"a: [1,\n"])
def test_what_is_no_text_is_a_finding(tmp_path, content):
    path = tmp_path / ("a.yaml" if content.startswith(b"a:") else "a.sh")
    path.write_bytes(content)
    with pytest.raises(DocumentError):
        import_file(path)


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ("{min: a, max: 2}", 1),
        ("{min: 1}", 1),
        ("{min: 3, max: 1}", 1),
        ("{distribution: beta}", 1),
        ("{distribution: inv_log_uniform_values, min: 1, max: 2}", 1),
        ("{values: []}", 1),
        ("5", 1),
        ("{}", 1),
        ("{values: [1, 2], probabilities: [0.5, 0.5]}", 1),
        ("{distribution: q_log_uniform_values, min: 1, max: 8, q: 2}", 1),
        ("{distribution: log_uniform, min: -1, max: 1}", 0),
        ("{min: .nan, max: 1}", 1),
        ("{min: 1, max: .inf}", 1),
        ("{values: null}", 0),
        ("{distribution: q_uniform, min: 0, max: 1, q: x}", 1),
    ],
)
def test_parameters_without_a_counterpart_are_left_out(tmp_path, spec, left):
    (tmp_path / "s.yaml").write_text(f"method: random\nrun_cap: 3\nparameters:\n  a.b: {spec}\n")
    imported = import_file(tmp_path / "s.yaml")
    assert sum(note.left_out for note in imported.notes) == left
    tomllib.loads(imported.text)


def test_control_characters_reach_no_comment(tmp_path):
    (tmp_path / "s.yaml").write_text(
        'method: grid\ndescription: "a\\x07b\\nc = 1"\nparameters: {a.b: {value: 1}}\n'
    )
    assert set(tomllib.loads(import_file(tmp_path / "s.yaml").text)) == {"format", "a", "sweep"}
