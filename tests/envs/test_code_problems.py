import pytest

from pettingllms.envs.code import CodeOptions
from pettingllms.envs.code_cases import cases_of
from pettingllms.envs.code_compare import constant_share, same_output
from pettingllms.envs.code_problems import PROBLEMS, generate
from pettingllms.envs.code_problems.problem import HIDDEN, Problem
from pettingllms.errors import RefusedError

SPLITS = ("train", "val", "test")


def names(split, seed=0, **options):
    return [task.data["id"] for task in generate(split, CodeOptions(**options), seed)]


def test_there_are_enough_problems_and_each_is_named_and_stated_once():
    assert len(PROBLEMS) >= 60
    assert len({problem.name for problem in PROBLEMS}) == len(PROBLEMS)
    assert len({problem.statement for problem in PROBLEMS}) == len(PROBLEMS)
    assert len({problem.data()["golden"] for problem in PROBLEMS}) >= len(PROBLEMS) - 5
    per_level = [sum(problem.level == level for problem in PROBLEMS) for level in (1, 2, 3)]
    assert per_level[0] >= 40 and min(per_level) >= 15


def test_splits_share_no_problem_and_hold_all():
    seen = [set(names(split, validation_size=7, test_size=9)) for split in SPLITS]
    assert [len(split) for split in seen] == [len(PROBLEMS) - 16, 7, 9]
    assert set().union(*seen) == {problem.name for problem in PROBLEMS}


def test_same_seed_same_tasks_other_seed_others():
    assert generate("test", CodeOptions(), 3) == generate("test", CodeOptions(), 3)
    assert names("test", 3) != names("test", 4)


def test_levels_choose_problems():
    easy = {problem.name for problem in PROBLEMS if problem.level == 1}
    assert set(names("train", levels=[1])) < easy
    assert len(names("train", levels=[1])) == len(easy) - 32
    with pytest.raises(RefusedError, match="too few beside 90 held-out ones"):
        generate("train", CodeOptions(levels=[3], validation_size=40, test_size=50), 0)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_tests_of_a_problem_tell_programs_apart(problem, run_programs):
    data = problem.data()
    hidden = cases_of(data["tests"])
    assert 8 <= len(hidden) <= HIDDEN and len({case.input for case in hidden}) == len(hidden)
    (sample,) = cases_of(data["samples"])
    assert sample.input not in {case.input for case in hidden}, "the sample is shown: it is no hidden test"
    assert sample.input.strip() in data["question"] and problem.statement in data["question"]
    assert constant_share(case.output for case in hidden) <= 0.5, "printing always the same pays"
    golden = data["golden"]
    assert golden not in data["question"]
    assert len(data["wrong"]) >= 2

    def passed(source):
        results = run_programs(source, [case.input for case in hidden])
        return [
            result.status == "ok" and same_output(case.output, result.stdout)
            for case, result in zip(hidden, results, strict=True)
        ]

    assert all(passed(golden))
    for wrong in data["wrong"]:
        assert not all(passed(wrong)), wrong


def test_outputs_are_what_the_golden_program_prints():
    problem = Problem(
        "sums",
        1,
        "Add.",
        golden="""
            a = int(input())
            print(a, a + int(input()), sep="-", end="!")
        """,
        wrong=("print(1)", "print(2)"),
        draw=lambda source: "1\n2\n",
        edges=("3\n4\n", "3\n4\n", "5\n5\n"),
    )
    data = problem.data()
    assert data["samples"] == [{"input": "1\n2\n", "output": "1-3!"}]
    assert data["tests"] == [{"input": "3\n4\n", "output": "3-7!"}, {"input": "5\n5\n", "output": "5-10!"}]
    assert data["golden"] == 'a = int(input())\nprint(a, a + int(input()), sep="-", end="!")'
    assert data["question"] == "Add.\n\nExample input:\n1\n2\nExample output:\n1-3!"
