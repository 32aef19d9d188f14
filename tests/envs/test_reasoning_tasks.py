"""Tasks of reasoning-gym: what its generators give as gold is right, and what another task has is not."""

import sys
import warnings

import pytest

from pettingllms.envs.grading import Verdict
from pettingllms.envs.math import MathEnv, MathOptions
from pettingllms.envs.reasoning import NAMES, REFUSED, generate
from pettingllms.errors import RefusedError

OPTIONS = MathOptions(train_size=12, validation_size=2, test_size=2)


@pytest.mark.parametrize(
    "name",
    [
        *("gsm_symbolic", "simple_equations", "gcd", "lcm", "prime_factorization", "fraction_simplification"),
        *("polynomial_equations", "simple_integration", "basic_arithmetic", "decimal_arithmetic"),
    ],
)
def test_the_gold_answer_is_right_and_that_of_another_task_is_wrong(name):
    tasks = generate(f"reasoning_gym:{name}", "train", OPTIONS, 3)
    assert len(tasks) == 12 and len({task.id for task in tasks}) == 12
    for task, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
        env = MathEnv(task, OPTIONS)
        assert env.propose(f" {task.data['answer']}").reason == Verdict.CORRECT
        if other.data["answer"] != task.data["answer"]:
            assert env.propose(other.data["answer"]).reason != Verdict.CORRECT


def test_the_question_is_no_answer():
    (task, *_) = generate("reasoning_gym:basic_arithmetic", "test", OPTIONS, 0)
    env = MathEnv(task, OPTIONS)
    assert env.propose(f"{task.data['answer']} + 0").reason == Verdict.WRONG
    lenient = OPTIONS.model_copy(update={"require_simplified": False})
    assert MathEnv(task, lenient).propose(f"{task.data['answer']} + 0").reason == Verdict.CORRECT


def test_splits_share_no_question_and_one_seed_gives_one_set():
    found = [generate("reasoning_gym:gsm_symbolic", split, OPTIONS, 0) for split in ("train", "val", "test")]
    questions = [task.data["question"] for split in found for task in split]
    assert len(set(questions)) == 16
    assert found[0] == generate("reasoning_gym:gsm_symbolic", "train", OPTIONS, 0)


def test_parts_of_a_score_are_no_success():
    (task, *_) = generate("reasoning_gym:countdown", "test", OPTIONS, 0)
    env = MathEnv(task, OPTIONS)
    # It gives 0.05 for an expression of other numbers, and 0.01 for nothing at all.
    assert env.propose("1 + 1").local == 0.0 and not env.success()
    assert env.propose(f"({task.data['answer']}) + 0 * 1").local == 0.0
    assert env.propose(f"({task.data['answer']})").reason == Verdict.CORRECT, "written another way"


@pytest.mark.parametrize(
    "answer", ["exec(chr(112))", "().__class__", "a.b", "print", "open(x)", "[1 for x in y]", "'1'"]
)
def test_an_answer_that_a_scorer_would_run_does_not_reach_it(answer):
    (task, *_) = generate("reasoning_gym:countdown", "test", OPTIONS, 0)
    assert MathEnv(task, OPTIONS).propose(answer).reason == Verdict.UNPARSABLE


@pytest.mark.parametrize("name", REFUSED)
def test_tasks_without_gold_or_that_change_are_refused_by_name(name):
    with pytest.raises(RefusedError, match=f"reasoning_gym:{name} cannot be used: "):
        generate(f"reasoning_gym:{name}", "train", OPTIONS, 0)


def test_an_unknown_name_and_a_missing_package_are_told():
    with pytest.raises(RefusedError, match="no tasks 'gsm_symbolics'") as caught:
        generate("reasoning_gym:gsm_symbolics", "train", OPTIONS, 0)
    assert "gsm_symbolic" in caught.value.help


def test_without_the_package_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(RefusedError, match="not installed") as caught:
        generate("reasoning_gym:gcd", "train", OPTIONS, 0)
    assert "uv sync --extra reasoning" in caught.value.help


def test_the_linter_knows_the_names_of_the_package():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from reasoning_gym.factory import DATASETS as KNOWN
    assert sorted(KNOWN) == NAMES and set(REFUSED) <= set(NAMES)
