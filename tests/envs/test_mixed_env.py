"""`mixed_env`: shares of tasks, agents that play in their part, metrics by part, and what is refused."""

import json

import pytest
from pydantic import ValidationError
from row_files import experiment, sums, write_lines

from pettingllms.agents import AGENTS
from pettingllms.agents.sandboxed import runs_programs
from pettingllms.config.agents import AgentConfig, EnvConfig
from pettingllms.data import tasks as data_tasks
from pettingllms.data.checked import checked_rows
from pettingllms.data.records import record_of
from pettingllms.envs import ENVS
from pettingllms.envs.homes import played_in
from pettingllms.envs.mixed import PART, MixedEnv, MixedOptions
from pettingllms.envs.splits import splits_of
from pettingllms.errors import RefusedError

MATH = {"dataset": "builtin:arithmetic", "options": {"train_size": 300, "validation_size": 6, "test_size": 4}}
CODE = {"dataset": "builtin:code", "options": {"levels": [1], "validation_size": 8, "test_size": 4}}

SMALL = {"train_size": 20, "validation_size": 2}


def mixed(**parts):
    return MixedOptions(parts=parts)


def tasks(options, split, seed=0):
    return MixedEnv.tasks("builtin:parts", split, options, seed)


def agent(name):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p"))


def names(found):
    return [task.data[PART] for task in found]


def test_training_has_the_shares_that_are_asked_for():
    options = mixed(math={**MATH, "ratio": 0.75}, code=CODE)
    assert options.shares() == {"math": 0.75, "code": 0.25}
    whole = len(ENVS.load("code_env").tasks("builtin:code", "train", options.parts["code"].typed, 0))
    found = names(tasks(options, "train"))
    # The programming problems are few, and set the size of the whole.
    assert (found.count("code"), found.count("math")) == (whole, 3 * whole)
    # Evenly mixed: one of four, wherever one looks.
    for begin in range(0, len(found) - 4, 4):
        assert found[begin : begin + 4].count("code") == 1


def test_validation_and_test_have_all_tasks_up_to_a_limit():
    options = mixed(math=MATH, code={**CODE, "max_validation": 3})
    for split, sizes in (("val", (6, 3)), ("test", (4, 4))):
        found = names(tasks(options, split))
        assert (found.count("math"), found.count("code")) == sizes


def test_tasks_are_the_same_each_time_and_in_one_split_only():
    options = mixed(math=MATH, code=CODE)
    found = [tasks(options, split) for split in ("train", "val", "test")]
    ids = [task.id for split in found for task in split]
    assert len(set(ids)) == len(ids)
    assert found[0] == tasks(options, "train") != tasks(options, "train", seed=1)
    assert all(task.id.startswith(f"val/{task.data[PART]}/") for task in found[1])


def test_a_part_reads_rows_and_has_a_benchmark_of_its_own(tmp_path):
    rows = write_lines(tmp_path / "rows.jsonl", [*sums(20), "no row"])
    held = write_lines(tmp_path / "held.jsonl", sums(3, first=100))
    part = {**MATH, "dataset": str(rows), "benchmark": str(held)}
    part["options"] = {"max_bad_fraction": 0.5, "validation_size": 2, "test_size": 2}
    options = mixed(math=part, code=CODE)
    record = record_of("builtin:parts", tasks(options, "train"))
    assert record.bad == {"bad_json": 1} and record.rows == 21 and record.files == ("rows.jsonl",)
    assert [task.data["answer"] for task in tasks(options, "val") if task.data[PART] == "math"] == [
        *("101", "102", "103")
    ]


def test_rows_of_a_part_are_read_once_for_all_splits(tmp_path, monkeypatch):
    rows = write_lines(tmp_path / "rows.jsonl", sums(20))
    part = {**MATH, "dataset": str(rows), "options": {"validation_size": 2, "test_size": 2}}
    config = experiment(name="mixed_env", dataset="builtin:parts", options={"parts": {"math": part}})
    read = []
    monkeypatch.setattr(data_tasks, "checked_rows", lambda *words: read.append(1) or checked_rows(*words))
    found = splits_of(config)
    assert [len(found[split]) for split in ("train", "val", "test")] == [16, 2, 2]
    assert len(read) == 1


def test_a_part_leaves_out_training_tasks_that_its_benchmark_asks(tmp_path):
    rows = write_lines(tmp_path / "rows.jsonl", sums(20))
    held = write_lines(tmp_path / "held.jsonl", sums(5, first=3))
    part = {"dataset": str(rows), "benchmark": str(held), "options": {"validation_size": 1, "test_size": 0}}
    assert len(tasks(mixed(math=part), "train")) == 19
    part["options"]["drop_contaminated"] = True
    asked = {task.data["question"] for task in tasks(mixed(math=part), "train")}
    assert len(asked) == 14 and not asked & {row["question"] for row in sums(5, first=3)}


def test_a_mixture_leaves_out_training_tasks_that_another_part_holds_out():
    # One set twice, cut at different places: what one part trains on, the other one is tested on.
    few, many = (
        {"env": "math_env", "dataset": "builtin:arithmetic", "options": {**SMALL, "test_size": size}}
        for size in (4, 20)
    )
    options = {"parts": {"few": few, "many": many}}

    def shared(found):
        held = {task.data["question"] for split in ("val", "test") for task in found[split]}
        return held & {task.data["question"] for task in found["train"]}

    def played(**more):
        return splits_of(experiment(name="mixed_env", dataset="builtin:parts", options={**options, **more}))

    assert shared(played()) and not shared(found := played(drop_contaminated=True))
    assert len(found["train"]) > 20


def test_agents_play_in_their_part_and_metrics_say_which():
    options = mixed(math=MATH, code=CODE)
    found = {task.data[PART]: MixedEnv(task, options) for task in tasks(options, "val")}
    for name, env in found.items():
        assert env.seen_by(agent("single_agent")) is env.part
        assert (env.seen_by(agent("reasoning_generator")) is None) is (name == "code")
        assert (env.seen_by(agent("test_generator")) is None) is (name == "math")
        agent("single_agent").act(env.part, "nothing")
        assert env.metrics()[f"{name}/success_rate"] == 0.0
        assert not env.success() and env.team_reward() == 0.0 and not env.solved()
    math = found["math"]
    twin = math.copy()
    agent("reasoning_generator").act(twin.seen_by(agent("verifier")), f"#### {math.task.data['answer']}")
    assert twin.success() and twin.team_reward() == 1.0 and not math.success()
    assert twin.metrics() == {
        "math/success_rate": 1.0,
        "math/team_reward": 1.0,
        "math/grading_timeout": 0.0,
        "math/unparsable": 0.0,
    }


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((0.5, 0.6), "the ratios add up to 1.1, more than 1"),
        ((0.5, 0.4), "not to 1"),
        ((1.0, None), "leaves nothing for parts without one"),
        ((0, None), "greater than 0"),
    ],
)
def test_ratios_that_do_not_fit_are_refused(ratios, words):
    with pytest.raises(ValidationError, match=words):
        mixed(math={**MATH, "ratio": ratios[0]}, code={**CODE, "ratio": ratios[1]})


def test_parts_have_names_and_their_own_environments():
    assert mixed(math=MATH).parts["math"].env == "math_env"
    assert mixed(sums={**MATH, "env": "math_env"}).parts["sums"].kind is ENVS.load("math_env")
    with pytest.raises(ValidationError, match="letters, digits"):
        MixedOptions(parts={"a b": MATH})
    with pytest.raises(ValidationError):
        MixedOptions(parts={})
    with pytest.raises(RefusedError, match="a part of mixed_env is mixed_env"):
        tasks(mixed(more={"env": "mixed_env", "dataset": "builtin:parts"}), "train")
    with pytest.raises(RefusedError, match="'builtin:code' holds tasks of code_env"):
        tasks(mixed(math={**MATH, "dataset": "builtin:code"}), "train")


def test_a_part_without_a_training_task_is_refused():
    small = {**CODE, "ratio": 0.999}
    with pytest.raises(RefusedError, match="the part 'math' of mixed_env has no training task left"):
        tasks(mixed(math=MATH, code=small), "train")


def test_a_part_with_programs_asks_for_the_sandbox():
    env = EnvConfig(
        name="mixed_env", dataset="builtin:parts", options={"parts": {"math": MATH, "code": CODE}}
    )
    assert played_in(env) == ["mixed_env", "math_env", "code_env"]
    config = experiment(name=env.name, dataset=env.dataset, options=env.options)
    assert runs_programs(config)


def test_options_are_written_as_they_are_read():
    options = mixed(math=MATH, code={**CODE, "ratio": 0.5})
    assert MixedOptions.model_validate(json.loads(options.model_dump_json())) == options
