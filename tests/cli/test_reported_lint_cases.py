"""Faults that users of such tools really met, each as a small input: what the linter and the plan say."""

import json
import re
from pathlib import Path

import pytest

from pettingllms.cli.app import run

CASES = Path(__file__).parents[1] / "cases"
TWO_AGENTS = CASES / "valid" / "two_agents.toml"
BASE = 'defaults = ["two_agents", "_self_"]\n'
MODEL = "models.model_0.ppo_trainer_config.actor_rollout_ref"


@pytest.fixture
def lint(capsys, caplog, tmp_path):
    """Lint a small file on top of a valid one; return the exit code and everything that was printed."""

    def call(text, *words, name="case.toml"):
        file = tmp_path / name
        (tmp_path / TWO_AGENTS.name).write_text(TWO_AGENTS.read_text())
        file.write_text(BASE + text if name.endswith(".toml") else text)
        code = run(["lint", str(file), "--no-cache", *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err + caplog.text

    return call


def test_a_file_of_a_later_format_asks_for_an_upgrade(lint):
    code, text = lint("format = 2\n")
    assert code == 1
    assert "format = 2 is newer than this version reads" in text
    assert "upgrade pettingllms" in text


def test_options_of_another_sampler_are_an_error(lint):
    code, text = lint('[sweep]\nsampler = "random"\ntpe.startup_trials = 5\n')
    assert code == 1
    assert "error[PLM417]" in text
    assert "tpe" in text


def test_a_direction_is_never_guessed(lint, capsys):
    code, text = lint('[sweep]\nobjectives = [{ metric = "val/success_rate", direction = "max" }]\n')
    assert code == 1
    assert 'did you mean "maximize"?' in text
    assert run(["sweep", "plan", str(TWO_AGENTS)]) == 0
    assert "maximize val/success_rate" in capsys.readouterr().out


def test_a_trainer_fragment_is_no_list_of_two_hundred_unknown_keys(capsys):
    fragment = CASES.parent / "data/upstream-configs/ppo_trainer/eval.yaml"
    assert run(["lint", str(fragment), "--no-cache"]) == 1
    text = capsys.readouterr().out
    assert "trainer fragment" in text
    assert len(re.findall(r"^(error|warning)", text, re.MULTILINE)) < 5


def test_an_ignored_key_is_never_clean(lint):
    code, text = lint('[training]\nquantizaton = "4bit"\n')
    assert code == 1
    assert "[training] has no key quantizaton" in text


def test_a_batch_names_both_paths_and_what_would_divide_it(lint):
    code, text = lint(f"[training]\ntrain_batch_size = 16\n[{MODEL}.actor]\nppo_mini_batch_size = 128\n")
    assert code == 1
    assert "error[PLM312]" in text
    assert "train_batch_size" in text
    assert "ppo_mini_batch_size" in text
    assert "16" in text[text.index("help:") :]


def test_heads_are_checked_where_the_model_is_at_hand_and_noted_where_not(lint):
    folder = CASES / "shared" / "fourteen_heads"
    words = ["training.device=cuda", "resource.n_gpus_per_node=3", "training.train_batch_size=3"]
    words = [part for word in words for part in ("-s", word)]
    rollout = f"[{MODEL}.rollout]\ntensor_model_parallel_size = 3\n"
    here = f'[base_models]\npolicy_0.path = "{folder}"\npolicy_1.path = "{folder}"\n'
    assert "error[PLM310]" in lint(here + rollout, *words)[1]
    hub = '[base_models]\npolicy_0.path = "Qwen/Qwen2.5-0.5B"\npolicy_1.path = "Qwen/Qwen2.5-0.5B"\n'
    text = lint(hub + rollout, *words)[1]
    assert "PLM310" not in text
    assert re.search(r"not checked: .*Qwen/Qwen2.5-0.5B", text)


def test_each_swept_rank_has_a_verdict_of_its_own(lint):
    text = lint(
        'lora_rank = { sweep = "choice", values = [1, 8, 320], default = 8 }\n'
        f'[{MODEL}.rollout]\nlora_serving = "adapter"\nmax_lora_rank = 16\n'
    )[1]
    assert re.search(r"error\[PLM313\].*320.*in 1 of 3 cells", text)
    assert len(re.findall(r"error\[PLM313", text)) == 1


def test_a_batch_that_the_gpus_cannot_share_lists_sizes_that_they_can(lint):
    words = ["-s", "training.device=cuda", "-s", "resource.n_gpus_per_node=3"]
    code, text = lint("[training]\ntrain_batch_size = 4\ntrain_sample_num = 8\n", *words)
    assert code == 1
    assert "error[PLM311]" in text
    assert re.search(r"help: .*\b3\b.*\b6\b", text)


def test_a_default_outside_its_range_is_an_error_on_the_number(lint):
    code, text = lint('lora_alpha = { sweep = "float", low = 1.0, high = 2.0, step = 0.5, default = 3.0 }\n')
    assert code == 1
    assert "error[PLM408]" in text
    line, caret = re.search(r"\d \| (lora_alpha.*)\n +\| (.*)\n", text).groups()
    assert line[caret.index("^") :].startswith("3.0")


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ('{ swep = "int", low = 1, high = 4, default = 2 }', "swep"),
        ('{ sweep = "int", lo = 1, high = 4, default = 2 }', "lo"),
    ],
)
def test_a_misspelt_sweep_is_an_error_at_its_key(lint, table, word):
    code, text = lint(f"lora_rank = {table}\n")
    assert code == 1
    line, caret = re.search(r"\d \| (lora_rank.*)\n +\| (.*)\n", text).groups()
    assert word in line[caret.index("^") :]
    assert re.search("did you mean (sweep|low)", text)


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(lint):
    code, text = lint("[resource]\nmax_turns = 5\n")
    assert code == 1
    assert "max_turns belongs in [env]" in text


def test_a_date_is_told_to_be_quoted(lint):
    code, text = lint("[training]\nexperiment_name = 2024-10-15\n")
    assert code == 1
    assert 'quote it: "2024-10-15"' in text


def test_one_wrong_type_is_one_message(lint):
    code, text = lint('lora_rank = "eight"\n')
    assert code == 1
    assert len(re.findall(r"^(error|warning)", text, re.MULTILINE)) == 1


def test_validation_that_never_comes_names_both_values(lint):
    code, text = lint("[training]\nval_freq = 10\ntotal_training_steps = 5\n")
    assert code == 1
    assert re.search("warning.PLM307.: val_freq = 10 with 5 steps", text)


def test_list_valued_choices_are_lists_in_the_plan(capsys, tmp_path):
    file = tmp_path / "orders.toml"
    (tmp_path / TWO_AGENTS.name).write_text(TWO_AGENTS.read_text())
    orders = '[["tool_generator", "reasoning_generator"], ["reasoning_generator", "tool_generator"]]'
    axis = f'{{ sweep = "choice", values = {orders}, default = ["tool_generator", "reasoning_generator"] }}'
    file.write_text(f"{BASE}[multi_agent_interaction]\nturn_order = {axis}\n")
    assert run(["sweep", "plan", str(file), "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["values"]["multi_agent_interaction.turn_order"] for cell in cells] == json.loads(orders)
