"""Searches for prompts in memory: what is chosen, what is left out, and how one goes on that was stopped."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prompt_experiment import TEXT
from searching import TASKS, Proposes, a_search, share
from test_worker import lines

from pettingllms.config.homes import plan_policies
from pettingllms.config.model import ConfigModel
from pettingllms.config.prompt_search import PromptSearchConfig
from pettingllms.errors import Interrupted, ReflectionError, RefusedError
from pettingllms.lint.engine import check_experiment
from pettingllms.training.prompts.reflectors import reflector_of
from pettingllms.training.prompts.search import PART

GOOD = max(range(19), key=lambda number: share("val", number) * share("train", number))


def pool_of(folder):
    return json.loads((folder / "prompts.json").read_text())


def warnings_of(folder):
    return [event["text"] for event in lines(folder / "events.jsonl") if event["event"] == "warning"]


def numbered(prompt, seed):
    """A proposal that the seed decides."""
    return f"Say {seed % 19}."


class StopsAt:
    """Asks the run to stop at the n-th check."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        if self.left <= 0:
            raise Interrupted(signal.SIGINT)


def left_by(folder):
    """What a run leaves that depends neither on the clock nor on how many processes it had."""
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    state = json.loads((newest / "state.json").read_text())
    state["parts"] = [part for part in state["parts"] if part["name"] == PART]
    samples = {path.name: path.read_text() for path in (folder / "samples").iterdir()}
    return (
        lines(folder / "metrics.jsonl"),
        pool_of(folder),
        state,
        samples,
    )


@pytest.mark.parametrize("proposals", [1, 2])
def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path, proposals):
    counted = StopsAt(10**9)
    settings = {"steps": 5, "proposals": proposals, "minibatch_size": 6}
    a_search(tmp_path / "whole", Proposes(numbered), check=counted, **settings).run()
    checks = 10**9 - counted.left
    whole = left_by(tmp_path / "whole")
    assert len(whole[0]) == 6 and len(whole[1]["candidates"]) > 1
    stops = range(2, checks, max(checks // 7, 1))
    assert len(stops) >= 5
    for stop in stops:
        folder = tmp_path / f"stopped{stop}"
        with pytest.raises(Interrupted):
            a_search(folder, Proposes(numbered), check=StopsAt(stop), **settings).run()
        a_search(folder, Proposes(numbered), **settings).run()
        assert left_by(folder) == whole, stop


def test_two_processes_find_what_one_does(tmp_path):
    a_search(tmp_path / "alone", Proposes(numbered), steps=3, proposals=2, minibatch_size=5).run()
    script = Path(__file__).with_name("two_rank_search.py")
    (tmp_path / "both").mkdir()
    words = [sys.executable, str(script), str(tmp_path / "both")]
    both = [subprocess.Popen([*words, rank, "2"], stdout=subprocess.DEVNULL) for rank in "01"]
    assert [process.wait(120) for process in both] == [0, 0]
    assert left_by(tmp_path / "both") == left_by(tmp_path / "alone")


def test_what_is_known_is_not_asked_again(tmp_path):
    a_search(tmp_path / "run", Proposes(numbered), steps=3).run()
    before = lines(tmp_path / "run" / "metrics.jsonl")
    again = Proposes(numbered)
    a_search(tmp_path / "run", again, steps=4).run()
    assert len(again.prompts) == 1, "one further step"
    records = lines(tmp_path / "run" / "metrics.jsonl")
    assert records[:4] == before and [record["step"] for record in records] == [0, 1, 2, 3, 4]


def test_agents_are_improved_in_turn_and_only_those_that_are_trained(tmp_path):
    first, second, frozen = (
        ("first", {"system_prompt": "Say 300."}),
        ("second", {"system_prompt": "Say 100."}),
        ("frozen", {"system_prompt": "Say 100.", "trained": False}),
    )
    search = a_search(tmp_path / "run", Proposes(numbered), first, second, steps=4)
    assert set(search.start) == {"first.system_prompt", "second.system_prompt"}
    proposes = search.reflection.reflector
    search.run()
    # The last agent has the last word: what the first one says changes nothing, and is never better.
    pool = pool_of(tmp_path / "run")
    assert {one["agents"]["first"]["system_prompt"] for one in pool["candidates"]} == {"Say 300."}
    assert len({one["agents"]["second"]["system_prompt"] for one in pool["candidates"]}) > 1
    asked = ["Say 300." in prompt.split("```")[1] for prompt in proposes.prompts]
    assert asked == [True, False, *asked[2:]] and not all(asked[2:])
    alone = a_search(tmp_path / "alone", Proposes(numbered), second, frozen)
    assert set(alone.start) == {"second.system_prompt"}


def test_reflection_reads_the_turns_of_its_agent_and_their_rewards(tmp_path):
    proposes = Proposes(numbered)
    agents = [
        ("first", {"system_prompt": "Say 8."}),
        ("second", {"system_prompt": "Copy: 100.", "examples": [{"user": "1?", "assistant": "1"}]}),
    ]
    a_search(tmp_path / "run", proposes, *agents, steps=1).run()
    (prompt,) = proposes.prompts
    assert "```\nSay 8.\n```" in prompt
    assert prompt.count("## It was shown\nWhat is ") == 8
    assert prompt.count("## Its answer\n\\boxed{8}\n") == 8
    asked = [task for task in TASKS["train"] if f"## It was shown\n{task.data['question']}\n" in prompt]
    right = sum(task.data["answer"] == "8" for task in asked)
    assert len(asked) == 8
    assert prompt.count("1 for itself, 1 for the team; reason: correct") == right
    assert prompt.count("0 for itself, 0 for the team; reason: wrong") == 8 - right
    assert "second: \\boxed{" in prompt
    assert "The team failed the task." in prompt


def test_examples_are_components_that_must_be_read(tmp_path):
    good = json.dumps([{"user": "What is it?", "assistant": f"{GOOD}"}])
    answers = iter(["no JSON", '[{"user": "only"}]', good, good])
    search = a_search(
        tmp_path / "run",
        Proposes(lambda prompt, seed: next(answers)),
        ("reporter", {"system_prompt": "", "examples": [{"user": "a?", "assistant": "100"}]}),
        components=["examples"],
        minibatch_size=24,
    )
    search.run()
    pool = pool_of(tmp_path / "run")
    assert json.loads(pool["candidates"][pool["best"]]["agents"]["reporter"]["examples"]) == json.loads(good)
    left_out = [text for text in warnings_of(tmp_path / "run") if "left out" in text]
    assert len(left_out) == 3
    assert all("reporter.examples" in text and "JSON list" in text for text in left_out[:2])
    assert "shall replace" in left_out[2]
    records = lines(tmp_path / "run" / "metrics.jsonl")
    assert [record["prompt/candidates"] for record in records] == [1, 1, 1, 2, 2]


def test_a_prompt_that_leaves_no_room_is_left_out(tmp_path):
    search = a_search(tmp_path / "run", Proposes(lambda prompt, seed: "long " * 100), steps=2)
    search.run()
    (first, _) = [text for text in warnings_of(tmp_path / "run") if "left out" in text]
    assert "tokens before any task, and max_prompt_length is 400" in first
    assert pool_of(tmp_path / "run")["best"] == 0


def test_an_agent_that_the_file_leaves_alone_starts_from_its_class(tmp_path):
    search = a_search(tmp_path / "run", Proposes(numbered), ("reporter", {}))
    assert search.start == {"reporter.system_prompt": "Give the final answer in \\boxed{}."}


def test_the_budget_of_episodes_ends_the_search(tmp_path):
    a_search(tmp_path / "run", Proposes(lambda prompt, seed: "Say 200."), steps=50, max_episodes=50).run()
    records = lines(tmp_path / "run" / "metrics.jsonl")
    # 12 of validation, then 8 + 8 for each proposal, none of which is validated.
    assert [record["prompt/episodes"] for record in records] == [12, 28, 44, 60]
    assert "test/success_rate" in records[-1]


def test_episodes_of_a_task_are_averaged_and_counted(tmp_path):
    a_search(tmp_path / "run", Proposes(lambda prompt, seed: "Say 200."), steps=1, repeats=3).run()
    records = lines(tmp_path / "run" / "metrics.jsonl")
    assert [record["prompt/episodes"] for record in records] == [36, 52]
    assert len(lines(tmp_path / "run" / "samples" / "val-000000.jsonl")) == 36


def test_a_search_ends_when_all_of_validation_is_solved(tmp_path):
    from stub_rollout import StubEngine, text_of

    def solves(request):
        text = text_of(request)
        a, b = (int(word.strip("?")) for word in text.rpartition("What is ")[2].split(" + "))
        return f"\\boxed{{{a + b if 'Add' in text else 0}}}"

    search = a_search(
        tmp_path / "run", Proposes(lambda *_: "Add."), engine=StubEngine(solves), steps=50, minibatch_size=8
    )
    search.run()
    records = lines(tmp_path / "run" / "metrics.jsonl")
    assert [record["val/success_rate"] for record in records][1:] == [1.0]
    assert records[-1]["test/success_rate"] == 1.0


def test_a_model_that_does_not_answer_ends_the_run_and_the_last_step_is_kept(tmp_path):
    class Fails(Proposes):
        def answers(self, prompts, seeds):
            if len(self.prompts) == 2:
                raise ReflectionError("nobody is there")
            return super().answers(prompts, seeds)

    with pytest.raises(ReflectionError, match="nobody is there"):
        a_search(tmp_path / "run", Fails(numbered)).run()
    assert [record["step"] for record in lines(tmp_path / "run" / "metrics.jsonl")] == [0, 1, 2]
    a_search(tmp_path / "run", Proposes(numbered)).run()
    a_search(tmp_path / "whole", Proposes(numbered)).run()
    assert left_by(tmp_path / "run") == left_by(tmp_path / "whole")


def test_without_validation_tasks_there_is_no_search(tmp_path):
    search = a_search(tmp_path / "run", Proposes(numbered))
    search.tasks = {**TASKS, "val": []}
    with pytest.raises(RefusedError, match="needs validation tasks"):
        search.run()


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    a_search(tmp_path / "run", Proposes(numbered), steps=3).run()
    newest, older = sorted((tmp_path / "run" / "checkpoints").iterdir(), reverse=True)
    (newest / "state.json").write_text("{}")
    search = a_search(tmp_path / "run", Proposes(numbered), steps=3)
    search.run()
    assert older.name == "step_000002"
    assert left_by(tmp_path / "run")[2]["step"] == 3


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/v1"])
def test_every_key_of_the_search_is_read(tmp_path, monkeypatch, url):
    read = set()
    original = ConfigModel.__getattribute__

    def recording(self, name):
        if type(self) is PromptSearchConfig and name in PromptSearchConfig.model_fields:
            read.add(name)
        return original(self, name)

    monkeypatch.setattr(ConfigModel, "__getattribute__", recording)
    monkeypatch.setenv("A_KEY", "sk-1234")
    a_search(tmp_path / "run", Proposes(numbered), steps=1).run()
    text = TEXT.replace("@MODEL@", "builtin:smollm2-135m-instruct").replace("@URL@", "http://127.0.0.1:9/v1")
    (tmp_path / "file.toml").write_text(text)
    overrides = ["+training.prompt.reflection_key_variable=A_KEY"]
    overrides += [] if url else ["~training.prompt.reflection_url", "training.prompt.reflection_model=shared"]
    config = check_experiment(tmp_path / "file.toml", overrides).experiment.config
    plans = plan_policies(config)
    reflector_of(config, plans, dict.fromkeys(plans), None, lambda: None)
    endpoint_only = {"reflection_key_variable", "reflection_timeout", "reflection_attempts"}
    others = {"reflection_prompt_length"} if url else endpoint_only
    assert read == PromptSearchConfig.model_fields.keys() - others
