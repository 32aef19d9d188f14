"""`pettingllms export`: what is refused, the cards, and that a folder appears whole or not at all."""

import json
import tomllib

import pytest
from evaluated_run import make_run, save

from pettingllms.cli.app import run

WRITES = """
import json, pathlib, sys
for asked in json.loads(pathlib.Path(sys.argv[1]).read_text()):
    pathlib.Path(asked["out"]).mkdir()
    (pathlib.Path(asked["out"]) / "asked.json").write_text(json.dumps(asked))
print("a word of a library")
"""
FAILS = """
import json, pathlib, sys
pathlib.Path(json.loads(pathlib.Path(sys.argv[1]).read_text())[0]["out"]).mkdir()
print("error: no room", file=sys.stderr)
sys.exit(3)
"""
SECRET = "hunter2hunter2"


def adapter(folder):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"r": 12}')
    (folder / "adapter_model.safetensors").write_bytes(b"")


def whole(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")


@pytest.fixture
def trained(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv("TEAM_NAME", SECRET)
    folder = make_run(tmp_path / "run", tiny_model, "training.experiment_name=${oc.env:TEAM_NAME}")
    save(folder, 2, {"tool policy": adapter, "reason/policy": adapter})
    rows = [{"step": 0, "val/success_rate": 0.25}, {"step": 1, "val/success_rate": 0.5}]
    rows += [{"step": 2, "val/success_rate": 0.75, "test/success_rate": 0.7}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "torn")
    told = {"started": "2026-01-01", "packages": {"torch": "2.13.0"}, "argv": [f"name={SECRET}"]}
    (folder / "manifest.json").write_text(json.dumps(told | {"git": {"commit": "abc", "dirty": True}}))
    return folder


@pytest.fixture
def use_writer(tmp_path, monkeypatch):
    """Run this source in the place of the writing process; the packages count as installed."""

    def use(source):
        (tmp_path / "writer.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr("pettingllms.evaluation.export.WRITER", "writer")
        monkeypatch.setattr("pettingllms.evaluation.export.missing", lambda modules: [])

    return use


def left_over(folder):
    return [one.name for one in folder.iterdir() if one.name.startswith(".")]


def test_an_export_is_described_and_says_how_it_is_served(trained, tiny_model, use_writer, tmp_path, capfd):
    use_writer(WRITES)
    out = tmp_path / "deep" / "out"
    assert run(["export", str(trained), str(out)]) == 0
    shown = capfd.readouterr()
    assert shown.out == (
        f"vllm serve {tiny_model} --generation-config vllm --enable-lora --max-lora-rank 16 --max-loras 2 "
        f"--lora-modules 'tool policy={out}/tool_policy' reason/policy={out}/reason_policy\n"
    )
    assert "a word of a library" in shown.err
    assert sorted(one.name for one in out.iterdir()) == [
        "README.md",
        "experiment.toml",
        "reason_policy",
        "tool_policy",
    ]
    asked = json.loads((out / "tool_policy" / "asked.json").read_text())
    weights = trained / "checkpoints" / "step_000002" / "policies" / "0"
    assert (asked["weights"], asked["base"]) == (str(weights), str(tiny_model))
    assert (asked["merged"], asked["dtype"]) == (False, None)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: peft\n")
    # A folder is no name on the hub.
    assert "base_model:" not in card
    for words in (
        "| tool policy | tool_generator |",
        "LoRA adapters, trained as a team",
        "| LoRA adapter, rank 12 |",
        "| step | 2 of 2 |",
        "torch 2.13.0",
        "abc and changes",
        "| 0 | 0.250 |  |\n| 2 | 0.750 | 0.700 |",
        shown.out.strip(),
    ):
        assert words in card
    own = (out / "tool_policy" / "README.md").read_text()
    assert "| tool policy |" in own and "| reason/policy |" not in own
    name = tomllib.loads((out / "experiment.toml").read_text())["training"]["experiment_name"]
    assert name == "${oc.env:TEAM_NAME}" and f"| experiment | {name} |" in card
    assert not [file for file in out.rglob("*") if file.is_file() and SECRET in file.read_text()]
    assert not left_over(out.parent)


def test_whole_models_have_a_command_each(trained, tiny_model, use_writer, tmp_path, capfd):
    use_writer(WRITES)
    (tmp_path / "out").mkdir()
    words = ["--merged", "--dtype", "bfloat16", "--policy", "reason/policy", "--policy", "tool policy"]
    assert run(["export", str(trained / "checkpoints" / "step_000002"), str(tmp_path / "out"), *words]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first == (
        f"vllm serve {tmp_path}/out/tool_policy --generation-config vllm --served-model-name 'tool policy'"
    )
    assert second.endswith("--served-model-name reason/policy --port 8001")
    asked = json.loads((tmp_path / "out" / "tool_policy" / "asked.json").read_text())
    assert (asked["merged"], asked["dtype"]) == (True, "bfloat16")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "library_name: transformers" in card and "all weights" not in card
    assert "Base models with a LoRA adapter merged into each, trained" in card
    assert card.count("| LoRA adapter of rank 12, merged into the base model |") == 2


def test_a_base_of_the_hub_is_named_by_its_id(tmp_path, tiny_model, use_writer, capfd):
    use_writer(WRITES)
    folder = make_run(tmp_path / "run", tiny_model)
    trial = folder / "trial.toml"
    trial.write_text(trial.read_text().replace(str(tiny_model), "somebody/small-model"))
    save(folder, 1, {"tool policy": adapter, "reason/policy": whole})
    assert run(["export", str(folder), str(tmp_path / "out")]) == 0
    commands = capfd.readouterr().out.splitlines()
    assert [line.split()[2] for line in commands] == [
        str(tmp_path / "out/reason_policy"),
        "somebody/small-model",
    ]
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'base_model: ["somebody/small-model"]' in card
    assert "Whole models and LoRA adapters, trained" in card and "| all weights |" in card


def test_names_that_make_one_folder_are_told_apart(tmp_path, tiny_model, use_writer):
    use_writer(WRITES)
    folder = make_run(tmp_path / "run", tiny_model)
    trial = folder / "trial.toml"
    trial.write_text(trial.read_text().replace('"reason/policy"', '"tool?policy"'))
    save(folder, 1, {"tool policy": adapter, "tool?policy": adapter})
    assert run(["export", str(folder), str(tmp_path / "out")]) == 0
    assert {one.name for one in (tmp_path / "out").iterdir() if one.is_dir()} == {
        "tool_policy",
        "tool_policy-2",
    }


def test_a_writer_that_fails_leaves_nothing(trained, use_writer, tmp_path, capfd):
    use_writer(FAILS)
    assert run(["export", str(trained), str(tmp_path / "out")]) == 3
    shown = capfd.readouterr()
    assert "error: no room" in shown.err and shown.out == ""
    assert not (tmp_path / "out").exists() and not left_over(tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--policy", "tool polcy"], 2, "did you mean 'tool policy'"),
        (["--dtype", "bfloat16"], 2, "write --merged, too"),
        (["--dtype", "int8"], 2, "int8"),
        (["--step", "9"], 2, "no checkpoint of step 9"),
    ],
)
def test_bad_input_is_refused(trained, tmp_path, capsys, words, code, said):
    assert run(["export", str(trained), str(tmp_path / "out"), *words]) == code
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown
    assert not (tmp_path / "out").exists()


def test_what_stands_at_the_target_stays(trained, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("out", "out/mine", "file"):
        assert run(["export", str(trained), str(tmp_path / name)]) == 1
        assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"
    assert run(["export", str(trained), str(tmp_path / "file" / "below")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_an_experiment_file_has_nothing_to_export(trained, tmp_path, capsys):
    assert run(["export", str(trained / "experiment.toml"), str(tmp_path / "out")]) == 2
    assert "nothing of it is trained" in capsys.readouterr().err
