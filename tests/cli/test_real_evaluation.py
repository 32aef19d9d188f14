"""`eval` with the real process and the real engine: saved policies are what is played, and by whom."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from engine_models import make_adapter
from evaluated_run import make_run, save

pytestmark = pytest.mark.slow
pytest.importorskip("peft")


def evaluate(folder, *words):
    command = [sys.executable, "-m", "pettingllms", "eval", *map(str, words), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def texts(result, side):
    lines = Path(result[side]["samples_file"]).read_text().splitlines()
    episodes = [json.loads(line) for line in lines]
    return {
        turn["agent"]: [sample["text"] for sample in turn["samples"]]
        for episode in episodes[:1]
        for turn in episode["turns"]
    }


def test_saved_policies_are_what_is_played(tmp_path, tiny_model):
    engine = "models.model_0.ppo_trainer_config.actor_rollout_ref.rollout.name=hf"
    run = make_run(tmp_path / "run", tiny_model, engine, "training.max_response_length=8")
    save(
        run,
        1,
        {
            name: lambda folder, seed=seed: make_adapter(tiny_model, folder, seed=seed, size=0.5)
            for seed, name in enumerate(("tool policy", "reason/policy"))
        },
    )
    words = (run, "--compare", run / "experiment.toml", "-s", engine, "-n", 2, "--temperature", 1)
    after = evaluate(tmp_path, *words)
    assert after["difference"]["tasks"] == 4
    assert texts(after, "subject") != texts(after, "other")
    swapped = evaluate(tmp_path, run, "--swap", "tool_generator=reasoning_generator", "--compare", run)
    agents = {side: swapped[side]["agents"] for side in ("subject", "other")}
    assert agents["subject"]["tool_generator"]["policy"] == "reason/policy"
    assert agents["other"]["tool_generator"]["policy"] == "tool policy"
    assert texts(swapped, "subject") != texts(swapped, "other")
