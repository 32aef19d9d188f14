import json

import pytest
from pydantic import ValidationError

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig
from pettingllms.data.presets import PRESETS
from pettingllms.data.tasks import load_splits
from pettingllms.envs import ENVS
from pettingllms.envs.code import CodeOptions
from pettingllms.envs.code_rows import own
from pettingllms.envs.math import MathOptions
from pettingllms.types import Task

DOUBLE = "print(int(input()) * 2)"
TESTS = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in (1, 2, 3, 5)]


def env(*, options=None, **changes):
    row = {
        "question": "Print twice the number.",
        "tests": TESTS,
        "golden": DOUBLE,
        "samples": [{"input": "4\n", "output": "8\n"}],
        "wrong": ["print(int(input()) + 2)"],
    }
    data = own(row | changes)
    return ENVS.load("code_env")(Task("t", "train", data), CodeOptions(**(options or {})))


def agent(name, **settings):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p", **settings))


def fenced(program):
    return f"```python\n{program}\n```"


def case(given, wanted):
    return f"**Test Input:**\n```\n{given}\n```\n**Test Output:**\n```\n{wanted}\n```\n"


# The program


@pytest.mark.parametrize(
    ("text", "local", "reason"),
    [
        (fenced(DOUBLE), 1.0, "passed"),
        # Right for 2 only; each output comes once, so that printing always the same passes 1 test of 4, too.
        (fenced("print(int(input()) + 2)"), 0.0, "wrong"),
        # Right for 1 and 2 of 4: (1/2 - 1/4) / (1 - 1/4).
        (fenced("n = int(input())\nprint(2 * n if n < 3 else 0)"), 1 / 3, "wrong"),
        (fenced("print(4)"), 0.0, "wrong"),
        (fenced("1/0"), 0.0, "program_error"),
        (fenced("print(int(input()) * 2)\nraise SystemExit(1)"), 0.0, "program_error"),
        (fenced("def f(:"), 0.0, "program_error"),
        (DOUBLE, 0.0, "no_program"),
        ("```python\n" + DOUBLE, 0.0, "no_program"),
        (fenced(DOUBLE) + "\n" + fenced(DOUBLE), 0.0, "several_programs"),
        ("", 0.0, "no_program"),
    ],
)
def test_program_earns_the_share_of_hidden_tests_above_that_of_a_constant_output(text, local, reason):
    play = env()
    outcome = agent("code_generator").act(play, text)
    assert outcome.local == pytest.approx(local) and outcome.reason == reason
    assert play.team_reward() == outcome.local
    assert play.success() is (local == 1)


def test_plain_ratio_and_all_or_nothing_are_options():
    half = fenced("n = int(input())\nprint(2 * n if n < 3 else 0)")
    for options, reward in [
        ({"constant_output": "keep"}, 0.5),
        ({"team": "all_pass"}, 0.0),
        ({"team": "all_pass", "constant_output": "keep"}, 0.0),
    ]:
        play = env(options=options)
        assert agent("code_generator").act(play, half).local == reward
        assert agent("code_generator").act(play, fenced(DOUBLE)).local == 1.0


def test_a_task_that_one_output_solves_teaches_nothing_and_still_counts_as_solved():
    play = env(tests=[{"input": "1\n", "output": "2\n"}])
    assert agent("code_generator").act(play, fenced("print(2)")).local == 0.0
    assert play.success()
    play = env(tests=[{"input": "1\n", "output": "2\n"}], options={"constant_output": "keep"})
    assert agent("code_generator").act(play, fenced("print(2)")).local == 1.0


@pytest.mark.parametrize("limit", [0, 3600.5, 1e12, float("inf"), float("nan")])
def test_limits_of_programs_are_finite(limit):
    with pytest.raises(ValidationError):
        CodeOptions(seconds=limit)
    with pytest.raises(ValidationError):
        MathOptions(tool_seconds=limit)
    for options, key in ((CodeOptions, "memory_mib"), (MathOptions, "tool_memory_mib")):
        with pytest.raises(ValidationError):
            options(**{key: 2**20 + 1})


def test_the_largest_limits_are_run_with():
    play = env(options={"seconds": 3600, "memory_mib": 2**20})
    assert play.submit(DOUBLE) == (1.0, "passed")


def test_format_reward_is_an_option_and_only_for_what_cannot_be_read():
    options = {"format_reward": -0.5}
    assert agent("code_generator").act(env(options=options), "no program").local == -0.5
    assert agent("code_generator").act(env(options=options), fenced("1/0")).local == 0.0
    assert agent("test_generator").act(env(options=options), "no tests").local == -0.5


def test_a_program_may_print_error_texts():
    tests = [{"input": "x\n", "output": "error: x\n"}, {"input": "y\n", "output": "error: y\n"}]
    play = env(tests=tests, golden="print('error:', input())")
    assert agent("code_generator").act(play, fenced("print('error:', input())")) == (1.0, "passed")


def test_a_later_answer_without_a_program_takes_the_program_away():
    play = env()
    agent("code_generator").act(play, fenced(DOUBLE))
    agent("code_generator").act(play, "I am done.")
    assert play.team_reward() == 0.0 and not play.success()


def test_only_the_first_tests_are_used_where_that_is_asked_for():
    program = fenced("n = int(input())\nprint(2 * n if n < 3 else 0)")
    play = env(options={"max_tests": 2})
    assert agent("code_generator").act(play, program).local == 1.0 and play.success()
    assert len(env().cases) == 4, "all by default"


def test_comparison_is_an_option_and_tolerance_the_tasks():
    lines = fenced("n = int(input())\nprint(2)\nprint(2 * n)")
    tests = [{"input": f"{n}\n", "output": f"2 {2 * n}"} for n in (1, 2, 3)]
    assert agent("code_generator").act(env(tests=tests), lines).local == 0.0
    assert agent("code_generator").act(env(tests=tests, options={"compare": "tokens"}), lines).local == 1.0
    near = fenced("print(int(input()) * 2 + 0.0000001)")
    assert agent("code_generator").act(env(), near).local == 0.0
    assert agent("code_generator").act(env(tolerance=1e-6), near).local == 1.0


def test_a_program_that_never_ends_is_not_run_on_every_test():
    tests = [{"input": f"{n}\n", "output": f"{n}\n"} for n in range(400)]
    play = env(tests=tests, options={"seconds": 0.2})
    assert agent("code_generator").act(play, fenced("while True: pass")) == (0.0, "program_timeout")


def test_a_function_is_called_and_its_value_compared():
    tests = [{"input": [[1, n]], "output": [n, 1]} for n in (2, 3)]
    changes = {"function": "turn", "tests": tests, "samples": [], "golden": [], "wrong": []}
    right = fenced("def turn(row: List[int]) -> List[int]:\n    print('noise')\n    return row[::-1]")
    for program, reward in [
        (right, 1.0),
        (fenced("class Solution:\n    def turn(self, row):\n        return tuple(row[::-1])"), 1.0),
        (fenced("def turn(row):\n    return row"), 0.0),
        (fenced("def turn(row):\n    print(row[::-1])"), 0.0),
        (fenced("class A:\n    def __eq__(self, other): return True\ndef turn(row):\n    return A()"), 0.0),
        (fenced("def other(row):\n    return row[::-1]"), 0.0),
    ]:
        play = env(**changes)
        assert agent("code_generator").act(play, program).local == reward, program


# The tests


@pytest.mark.parametrize(
    ("text", "local", "reason"),
    [
        # Valid, and n + 2 gives something else.
        (case(7, 14), 1.0, "valid_tests"),
        # Valid, and n + 2 gives the same.
        (case(2, 4), 0.5, "valid_tests"),
        (case(7, 14) + case(2, 4), 0.75, "valid_tests"),
        (case(7, 15), 0.0, "no_valid_test"),
        # Each output comes once in four hidden tests: (1/2 - 1/4) / (1 - 1/4) * (0.5 + 0.5 * 1).
        (case(7, 14) + case(9, 19), 1 / 3, "some_invalid_tests"),
        # (1/4 - 1/4), as good as always expecting the same.
        (case(7, 14) + case(9, 19) + case(10, 21) + case(11, 23), 0.0, "some_invalid_tests"),
        # The known solution fails on it.
        (case("seven", 14), 0.0, "no_valid_test"),
        # The sample, with other white space; the same test twice.
        (case("4 ", 8), 0.0, "no_new_tests"),
        (case(7, 14) + case(" 7", 14) + case(7, 15) + case(4, 8), 1.0, "valid_tests"),
        (case("", ""), 0.0, "no_new_tests"),
        # The sample in other spellings, in another script, and with lines that nobody reads.
        *((case(given, 8), 0.0, "no_new_tests") for given in ("04", "+4", "0_4", "\u0664", "\n\n4\n\n")),
        *((case(given, 8), 0.0, "no_new_tests") for given in ("4\njunk", "4\n9", "04\n\n4", "4\n4\n4")),
        # What was added makes it invalid, or begins with another number.
        (case("4 9", 8), 0.0, "no_valid_test"),
        (case("44", 88), 1.0, "valid_tests"),
        # Both are one test: if the second counted, 1/2 would be valid.
        (case(7, 14) + case("7\n1", 15), 1.0, "valid_tests"),
        (case("7\n1", 14) + case("7\n2", 14), 1.0, "valid_tests"),
        ("", 0.0, "no_tests"),
        ("**Test Input:**\n7\n**Test Output:**\n14", 0.0, "no_tests"),
        (case(7, 14) + "**Test Input:**\n```\n9\n```\n", 0.0, "no_tests"),
        (case(7, 14).replace("Output", "output"), 0.0, "no_tests"),
    ],
)
def test_tests_earn_by_being_valid_and_by_telling_wrong_programs_from_right_ones(text, local, reason):
    outcome = agent("test_generator").act(env(), text)
    assert outcome.local == pytest.approx(local) and outcome.reason == reason


def test_the_plain_ratio_of_valid_tests_is_an_option():
    text = case(7, 14) + case(2, 4) + case(9, 19) + case(10, 21)
    play = env(options={"constant_output": "keep"})
    # 2 of 4 are valid, 1 of these 2 kills.
    assert agent("test_generator").act(play, text).local == 0.5 * (0.5 + 0.5 * 0.5)


def test_only_so_many_tests_count():
    wrong_at_the_end = "".join(case(n, 2 * n) for n in range(10, 20)) + case(50, 1)
    assert agent("test_generator").act(env(), wrong_at_the_end).local == 1.0
    play = env(options={"max_generated_tests": 2})
    agent("test_generator").act(play, wrong_at_the_end)
    assert [one.input for one in play.generated] == ["10\n", "11\n"]


def test_without_a_known_solution_there_is_no_local_reward():
    play = env(golden=None, wrong=None)
    assert agent("test_generator").act(play, case(7, 14)) == (None, "no_known_solution")
    assert play.generated


def test_without_wrong_programs_small_changes_of_the_solution_are_tried():
    play = env(wrong=[])
    # `* 2` becomes `+ 2` and `* 3`: 0 tells neither … `0 + 2` from it, and 7 all.
    assert agent("test_generator").act(play, case(7, 14)).local == 1.0
    assert agent("test_generator").act(env(wrong=[], golden="print(input())"), case(7, 7)).local == 0.5


def test_the_teams_own_wrong_program_is_one_to_be_found_out():
    play = env(wrong=["print(int(input()) * 2)"])
    assert agent("test_generator").act(play, case(7, 14)).local == 0.5
    agent("code_generator").act(play, fenced("n = int(input())\nprint(2 * n if n < 6 else 0)"))
    assert play.success(), "it passes the hidden tests: it counts as right"
    assert agent("test_generator").act(play, case(7, 14)).local == 0.5
    agent("code_generator").act(play, fenced("n = int(input())\nprint(2 * n if n < 3 else 0)"))
    assert agent("test_generator").act(play, case(7, 14)).local == 1.0


def test_a_test_that_begins_like_the_sample_counts_where_that_changes_the_output():
    row = {
        "golden": "print(sum(map(int, open(0).read().split())))",
        "samples": [{"input": "1 2", "output": "3"}],
        "wrong": ["print(0)"],
    }
    tester = agent("test_generator")
    assert tester.act(env(**row), case("1 2 3", 6)) == (1.0, "valid_tests")
    assert tester.act(env(**row), case("1 2 0", 3)) == (0.0, "no_new_tests")
    assert tester.act(env(**row), case("2 1", 3)) == (1.0, "valid_tests"), "another order is another test"
    play = env(**row)
    tester.act(play, case("1 2 0", 3) + case("1 2 3", 6) + case("1 2 3 0", 6))
    assert [one.input for one in play.generated] == ["1 2 3\n"], "nor are they shown to the coder"


def test_copies_of_arguments_are_no_tests():
    changes = {
        "function": "f",
        "tests": [{"input": [n], "output": 2 * n} for n in (2, 3)],
        "samples": [{"input": [4], "output": 8}],
        "golden": "def f(n, more=0):\n    return n * 2",
        "wrong": ["def f(n, more=0):\n    return 0"],
    }
    tester = agent("test_generator")
    for given in ("[4]", "[4.0]", "[ 4 ]", "[4, 1]"):
        assert tester.act(env(**changes), case(given, "8")) == (0.0, "no_new_tests"), given
    assert tester.act(env(**changes), case("[5]", "10")) == (1.0, "valid_tests")


def test_tests_of_a_function_are_json():
    tests = [{"input": [n], "output": [2 * n]} for n in (2, 3)]
    changes = {"function": "f", "tests": tests, "samples": [], "golden": "def f(n):\n    return [n * 2]"}
    play = env(**changes, wrong=["def f(n):\n    return [n + 2]"])
    tester = agent("test_generator")
    assert "JSON list of the arguments" in tester.observe(play)
    assert tester.act(play, case("[5]", "[10]")) == (1.0, "valid_tests")
    for text in (case("5", "[10]"), case("[5", "[10]"), case("[5]", "x"), case("[" * 9999, "1")):
        assert tester.act(play, text) == (0.0, "no_tests")


# Collusion


def test_agreement_ends_the_play_and_earns_nothing():
    play = env()
    coder, tester = agent("code_generator"), agent("test_generator")
    assert coder.act(play, fenced("print(0)")).local == 0.0
    assert tester.act(play, case(7, 0) + case(8, 0)).local == 0.0
    assert play.solved() and not play.success() and play.team_reward() == 0.0
    assert play.metrics() == {"agreement": 1.0, "agreed_but_wrong": 1.0}
    coder.act(play, fenced(DOUBLE))
    assert not play.solved() and play.success() and play.team_reward() == 1.0
    assert play.metrics() == {"agreement": 0.0, "agreed_but_wrong": 0.0}


def test_it_is_not_solved_before_there_are_tests_and_a_program():
    play = env()
    assert not play.solved() and play.metrics() == {}
    agent("test_generator").act(play, case(7, 14))
    assert not play.solved(), "nothing was tested yet"
    agent("code_generator").act(play, fenced(DOUBLE))
    assert play.solved()
    agent("code_generator").act(play, "nothing")
    assert not play.solved()
    agent("code_generator").act(play, fenced(DOUBLE))
    agent("test_generator").act(play, "nothing")
    assert not play.solved()


# What agents see


def test_the_coder_sees_which_tests_its_program_failed():
    play = env()
    coder, tester = agent("code_generator"), agent("test_generator")
    assert coder.observe(play) == tester.observe(play) == "Print twice the number."
    coder.act(play, fenced("n = int(input())\nprint(n + 2)"))
    assert tester.observe(play) == (
        "Print twice the number.\n\nThe program so far:\n```python\nn = int(input())\nprint(n + 2)\n```"
    )
    tester.act(play, case(7, 14) + case(2, 4))
    assert coder.observe(play).endswith(
        "```\nIt fails 1 of 2 tests:\nInput:\n7\nExpected:\n14\nThe program gave:\n9"
    )
    coder.act(play, fenced("1/0"))
    assert coder.observe(play).endswith("The program gave:\nfailed (error)")
    coder.act(play, fenced(DOUBLE))
    assert coder.observe(play).endswith("```\nIt passes all tests.")


def test_what_is_long_is_shown_in_part():
    play = env()
    agent("test_generator").act(play, case("7" * 9000, "1"))
    agent("code_generator").act(play, fenced("print(input())"))
    assert len(agent("code_generator").observe(play)) < 1500


def test_nothing_hidden_is_ever_shown():
    secret = [{"input": "31337\n", "output": "62674\n"}, {"input": "777\n", "output": "1554\n"}]
    play = env(tests=secret, golden="print(int(input()) * 2)  # golden", wrong=["print(1)  # wrong"])
    everyone = [agent(name) for name in ("code_generator", "test_generator", "code_selfverify_single_agent")]
    for text in ("", fenced("print(3)"), fenced(DOUBLE)):
        agent("code_generator").act(play, text)
        for tests in ("", case(5, 10), case(5, 11)):
            agent("test_generator").act(play, tests)
            shown = "".join(message.content for one in everyone for message in one.messages(play))
            assert not [word for word in ("31337", "62674", "1554", "golden", "# wrong") if word in shown]
    assert set(play.hidden) == {"tests", "golden", "wrong"}


def test_copy_is_independent():
    play = env()
    agent("code_generator").act(play, fenced("print(4)"))
    twin = play.copy()
    agent("code_generator").act(twin, fenced(DOUBLE))
    agent("test_generator").act(twin, case(7, 14))
    assert twin.success() and twin.solved()
    assert not play.success() and play.generated == () and play.program == "print(4)\n"


# The agents


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```py\nx = 1\n```\n```text\n5\n```", "x = 1\n"),
        ("```\n5\n```\n```python\nx = 1\n```", "x = 1\n"),
        ("```Python  \nx = 1\n```  ", "x = 1\n"),
        ("```python\ns = '```'\n```", "s = '```'\n"),
        ("```\nx\n```\n```\ny\n```", None),
        ("```js\nx\n```", None),
        ("```python x = 1```", None),
    ],
)
def test_one_program_is_read_from_an_answer(text, program):
    parsed = agent("code_generator").opinion(env(), text)
    assert parsed == (program and program.strip())


def test_opinions_of_testers_know_no_order():
    tester, play = agent("test_generator"), env()
    assert tester.opinion(play, case(1, 2) + case(3, 6)) == tester.opinion(play, case(3, 6) + case(1, 2))
    assert tester.opinion(play, case(1, 2)) != tester.opinion(play, case(1, 3))
    assert tester.opinion(play, "") is None


def test_one_agent_that_verifies_itself_writes_tests_and_mends():
    play, alone = env(), agent("code_selfverify_single_agent")
    asked = [alone.messages(play)[0].content]
    alone.act(play, fenced("print(int(input()) + 2)"))
    asked.append(alone.messages(play)[0].content)
    alone.act(play, case(7, 14))
    asked.append(alone.messages(play)[0].content)
    assert "It fails 1 of 1 tests" in alone.messages(play)[1].content
    assert ["program" in text.split(".")[0] for text in asked] == [True, False, True]
    assert not alone.skips(play)
    assert alone.act(play, fenced(DOUBLE)).local == 1.0
    assert alone.skips(play) and play.solved()


def test_a_single_agent_gives_the_final_answer_in_either_environment():
    play, alone = env(), agent("single_agent")
    assert alone.messages(play) == agent("code_generator").messages(play)
    assert alone.act(play, fenced(DOUBLE)) == (1.0, "passed")
    assert alone.opinion(play, fenced(DOUBLE)) == DOUBLE
    math = ENVS.load("math_env")
    question = math(Task("t", "train", {"question": "What is 2 + 3?", "answer": "5"}), math.Options())
    assert alone.observe(question) == "What is 2 + 3?" and alone.act(question, r"\boxed{5}").local == 1.0
    own_prompt = agent("single_agent", system_prompt="S").messages(question)
    assert own_prompt == agent("reasoning_generator", system_prompt="S").messages(question)


def test_a_single_agent_refuses_an_environment_in_which_it_has_no_role():
    with pytest.raises(Exception, match="single_agent has no role in dict"):
        agent("single_agent").observe({})


def test_data_of_a_task_is_json():
    assert json.loads(json.dumps(env().task.data)) == env().task.data


# Rows


def verified(*rows, **options):
    kind = ENVS.load("code_env")
    data = [own({"question": "Print twice the number.", "tests": TESTS} | row) for row in rows]
    return [one and (one.reason, one.text) for one in kind.verify(data, CodeOptions(**options))]


def test_a_known_solution_has_to_pass_the_hidden_tests_of_its_row():
    late = "n = int(input())\nprint(2 * n if n < 5 else 0)"
    rows = [{"golden": DOUBLE}, {"golden": "print(1)"}, {}, {"golden": late}, {"golden": "1/0"}]
    reasons = [one and one[1].rpartition(" test ")[2] for one in verified(*rows)]
    assert reasons == [None, "1 (wrong)", None, "4 (wrong)", "1 (program_error)"]
    assert {one[0] for one in verified(*rows) if one} == {"golden_fails"}
    assert verified({"golden": late}, verified_tests=3) == [None]
    assert verified({"golden": "1/0"}, verified_tests=0) == [None]


def test_tasks_that_a_constant_output_half_solves_are_told(caplog):
    tests = [{"input": f"{n}\n", "output": "yes" if n < 3 else "no"} for n in range(5)]
    verified({"tests": tests}, {})
    assert "1 of 2 tasks: a program that always prints the same passes more than half" in caplog.text
    caplog.clear()
    verified({}, {})
    assert caplog.text == ""


def test_tests_that_are_left_out_are_told(caplog):
    verified({}, {"tests": TESTS[:2]}, max_tests=2)
    assert "1 of 2 tasks: only the first max_tests hidden tests are used" in caplog.text


def test_apps_is_read_by_its_own_splits():
    assert PRESETS["apps"].files == {"train": ("train.jsonl",), "test": ("test.jsonl",)}


def test_apps_is_found_under_the_names_that_its_files_have(tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_DATA_DIR", str(tmp_path))
    folder = tmp_path / "codeparrot/apps"
    folder.mkdir(parents=True)
    (folder / "train .jsonl").write_text("")
    packed = {"input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]}), "starter_code": ""}
    for split, count in (("train", 40), ("test", 2)):
        rows = [packed | {"problem_id": n, "question": f"{split}: add {n}."} for n in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = ENVS.load("code_env").rows
    found = load_splits("apps", ["train", "test"], CodeOptions(), 0, own=read, benchmark=False)
    assert [task.data["question"] for task in found["test"]] == ["test: add 0.", "test: add 1."]
    assert all(task.data["question"].startswith("train: ") for task in found["train"])
