"""Where the original code differs: what is said, and what `--semantics upstream` writes."""

from pathlib import Path

import pytest

from pettingllms.config.upstream import Differences
from pettingllms.documents.convert import convert, prove
from pettingllms.documents.read import parse_document, read_document

DATA = Path(__file__).parents[1] / "data" / "upstream-configs"


def amended(text, *, write):
    differences = Differences(write=write)
    conversion = convert(parse_document(text, Path("x.yaml")), "toml", differences.amend)
    assert prove(conversion) == []
    data = parse_document(conversion.text, Path("x.toml")).data
    return differences.notes, data, conversion.text


def notes(text):
    return [(line, what.partition(":")[0]) for line, what in amended(text, write=False)[0]]


def upstream(text):
    return amended(text, write=True)[1]


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.yaml")), ids=lambda path: str(path.relative_to(DATA)))
def test_writing_the_original_meaning_twice_changes_nothing_more(path):
    first = convert(read_document(path), "toml", Differences(write=True).amend)
    assert prove(first) == []
    back = convert(parse_document(first.text, Path("x.toml")), "yaml", Differences(write=True).amend)
    again = convert(parse_document(back.text, Path("x.yaml")), "toml", Differences(write=True).amend)
    assert again.text == first.text


def test_plain_conversion_changes_no_value():
    text = (DATA / "math" / "math_L1_prompt.yaml").read_text()
    found, data, _ = amended(text, write=False)
    assert len(found) == 6
    assert data["specialization"] == "prompt"
    assert "turn_unit" not in data["env"]


def test_turns_count_rounds():
    order = "multi_agent_interaction:\n  turn_order: [a, b]\n  parallel: true\n"
    text = "env: {max_turns: 4}\n" + order
    assert notes(text) == [(1, "env.max_turns")]
    assert upstream(text)["env"] == {"max_turns": 4, "turn_unit": "round"}
    # One agent alone: its turns are the rounds. And what the file says itself is left alone.
    assert notes(text.replace("[a, b]", "[a, a]")) == []
    assert notes(text.replace("4}", "4, turn_unit: agent}")) == []


@pytest.mark.parametrize(
    ("method", "ratio", "expected"),
    [
        ("dapo", "0", ("none", 0)),
        ("dapo", "0.2", ("dapo", 0.2)),
        ("uid", "0", ("none", 0)),
        ("uid", "0.25", ("uid", 0.75)),
        ("std", "0.1", ("std", 0.9)),
        ("mean", "0.5", ("mean", 0.5)),
        ("median", "0.5", ("none", 0.5)),
        ("none", "0.5", ("none", 0.5)),
    ],
)
def test_filter_ratio_is_the_share_removed(method, ratio, expected):
    config = f"{{filter_method: {method}, filter_ratio: {ratio}}}"
    data = upstream(f"models:\n  model_0:\n    ppo_trainer_config: {config}\n")
    written = data["models"]["model_0"]["ppo_trainer_config"]
    assert (written["filter_method"], written["filter_ratio"]) == expected


@pytest.mark.parametrize("above", ["", "models.model_1.ppo_trainer_config."])
def test_mini_batches_counted_samples(above):
    path = f"{above}actor_rollout_ref.actor.ppo_mini_batch_size"
    text = "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(path.split(".")))
    found, data, _ = amended(text.rstrip() + " 16\n", write=True)
    line = len(path.split("."))
    there, here = "it is the number of samples of an optimizer step", "the number of its tasks"
    assert found == [(line, f"{path}: in the original code {there}; here {here}")]
    assert data == upstream(text.rstrip() + " 16\n")
    assert notes(text.rstrip() + " null\n") == []


def test_ratio_without_a_method_belongs_to_the_default_method():
    assert upstream("filter_ratio: 0.25\n") == {"filter_ratio": 0.75, "filter_method": "uid"}


@pytest.mark.parametrize(
    ("kind", "rank", "expected"),
    [
        ("prompt", "lora_rank: 16", "lora"),
        ("prompt", "lora_rank: 0", "full"),
        ("prompt", "", "full"),
        ("full", "lora_rank: 16", "lora"),
        ("full", "lora_rank: 0", "full"),
        ("model", "", "full"),
        ("lora", "lora_rank: 16", "lora"),
    ],
)
def test_lora_rank_alone_decides_what_is_trained(kind, rank, expected):
    assert upstream(f"specialization: {kind}\n{rank}\n")["specialization"] == expected


@pytest.mark.parametrize(
    "text",
    ["lora_rank: ${x}\n", "lora_rank: {sweep: choice, values: [0, 8], default: 8}\n", "defaults: [base]\n"],
)
def test_what_the_file_does_not_tell_is_said_and_not_guessed(text):
    text = f"specialization: prompt\n{text}"
    found, data, _ = amended(text, write=True)
    assert data["specialization"] == "prompt"
    assert [line for line, _ in found] == [1]
    assert "compare it with the original yourself" in found[0][1]


def test_agents_with_one_policy_had_adapters_of_their_own():
    agents = "agent_policy_configs:\n  agent_configs:\n" + "".join(
        f"    agent_{n}: {{policy_name: p, train_llm_config: '${{x}}', val_llm_config: '${{x}}'}}\n"
        for n in range(2)
    )
    assert notes(f"specialization: lora\n{agents}")[0] == (1, "specialization")


def test_sampling_that_an_agent_leaves_open_is_filled_in():
    text = """
agent_policy_configs:
  agent_configs:
    agent_0:
      name: a
      train_llm_config:
        temperature: 0.7
training:
  sample_temperature: 1
"""
    assert [line for line, _ in notes(text)] == [6, 9]
    agent = upstream(text)["agent_policy_configs"]["agent_configs"]["agent_0"]
    rest = {"top_k": 20, "min_p": 0.0, "repetition_penalty": 1.2}
    assert agent["train_llm_config"] == {"temperature": 0.7, "top_p": 0.9, **rest}
    assert agent["val_llm_config"] == {"temperature": 0.0, "top_p": 0.95, **rest}


def test_agents_of_a_round_did_not_see_each_other():
    text = "multi_agent_interaction:\n  turn_order: [a, b]\n  parallel: false\n"
    assert notes(text) == [(3, "multi_agent_interaction.parallel")]
    assert upstream(text)["multi_agent_interaction"]["parallel"] is True
    assert notes(text.replace("false", "true")) == []


def test_keys_that_were_never_read_get_the_value_that_held():
    text = "env:\n  name: x\n  resolve: false\ntraining:\n  resample_freq: 3\n  epoch_size: 20\n"
    assert [path for _, path in notes(text)] == [
        "env.resolve", "training.resample_freq", "training.epoch_size"
    ]  # fmt: skip
    data = upstream(text)
    assert data["env"]["resolve"] is True
    assert data["training"] == {"resample_freq": 1, "epoch_size": {"null": True}}


def test_each_change_says_why_above_it():
    _, _, text = amended("env:\n  name: x\n  max_turns: 4\n  resolve: false\n", write=True)
    assert text == (
        '[env]\nname = "x"\nmax_turns = 4\n'
        "# upstream: max_turns counts rounds, in which every agent of turn_order acts once\n"
        'turn_unit = "round"\n'
        "# upstream: resolve was not read, a solved task always ended its episode\n"
        "resolve = true\n"
    )


@pytest.mark.parametrize("defaults", ["20", "x", "{a: b}", "[20, true]"])
def test_a_defaults_list_that_is_none_changes_nothing(defaults):
    text = (DATA / "math/math_L1_prompt.yaml").read_text()
    text = f"defaults: {defaults}\n" + text[text.index("\nspecialization") :]
    assert upstream(text)["env"]["name"] == "math_env"
