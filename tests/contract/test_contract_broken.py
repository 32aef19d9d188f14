"""Each way to break the contract is found by its check, and said in words."""

import re

import pytest

from pettingllms.cli.new_env import scaffold
from pettingllms.contract import ContractError, Example, Subject, check, checks

TEXT = scaffold("reverse")["reverse_env.py"]
SUCCESS = "    def success(self):\n"
ACT = "        env.answer = text.strip() or None\n"
GOLD = 'env.task.data["gold"]'
SHARED_LIST = """\
    def __init__(self, task, options):
        super().__init__(task, options)
        self.log = []

    def copy(self):
        twin = type(self)(self.task, self.options)
        twin.answer, twin.log = self.answer, self.log
        return twin

"""
BROKEN = {
    "options take anything": (
        "class ReverseOptions(ConfigModel):",
        "class ReverseOptions(ConfigModel, extra='allow'):",
        checks.check_options,
        "takes a key that it does not have",
    ),
    "a task says another split": (
        'Task(f"{split}/{word}", split,',
        'Task(f"{split}/{word}", "train",',
        checks.check_tasks,
        "of val says that it is of train",
    ),
    "splits share tasks": (
        '[("test", "val", "train").index(split) :: 3]',
        "",
        checks.check_tasks,
        "the data of the task 'val/.*' is in train and in val",
    ),
    "ids are shared": (
        'Task(f"{split}/{word}", split,',
        "Task(word[:2], split,",
        checks.check_tasks,
        "two tasks of train have one id",
    ),
    "what is hidden is missing": (
        'hidden = ("gold",)',
        'hidden = ("golden",)',
        checks.check_tasks,
        "has no 'golden', which `hidden` names",
    ),
    "tasks depend on the order of a set": (
        "words = dict.fromkeys(",
        "words = set(",
        checks.check_same_tasks_elsewhere,
        "other tasks in another process",
    ),
    "tasks raise": (
        "words = dict.fromkeys(",
        "words = 1 / 0 or dict.fromkeys(",
        checks.check_tasks,
        "tasks raises ZeroDivisionError",
    ),
    "a copy is itself": (
        SUCCESS,
        f"    def copy(self):\n        return self\n\n{SUCCESS}",
        checks.check_copies,
        "which is no new ReverseEnv",
    ),
    "a copy shares a list": (SUCCESS, SHARED_LIST + SUCCESS, checks.check_copies, "shares the list `log`"),
    "a copy forgets": (
        SUCCESS,
        f"    def copy(self):\n        return type(self)(self.task, self.options)\n\n{SUCCESS}",
        checks.check_copies,
        "a copy is not like its original after reverse_writer has acted",
    ),
    "state is shared by the class": (
        ACT,
        f"{ACT}        type(env).answer = env.answer\n",
        checks.check_copies,
        "changes the original",
    ),
    "a prompt changes the state": (
        '        return f"The word',
        "        env.seen = getattr(env, 'seen', 0) + 1\n        return f\"The word",
        checks.check_observations,
        "changes it",
    ),
    "a prompt is drawn": (
        '        return f"The word',
        '        return f"{random.random()} The word',
        checks.check_observations,
        "something else when it looks again",
    ),
    "a prompt shows the answer": (
        "['word']}\"",
        "['word']} {env.task.data['gold'][0]}\"",
        checks.check_hidden,
        "depends on what is hidden",
    ),
    "a prompt shows the answer later": (
        "['word']}\"",
        "['word']}\" + (env.task.data['gold'] if env.answer else '')",
        checks.check_hidden,
        "reverse_writer is shown what is hidden: .*The word: [a-f]+zqxjkv'",
    ),
    "skips gives a number": (
        "    def observe",
        "    def skips(self, env):\n        return 0\n\n    def observe",
        checks.check_observations,
        "skips of reverse_writer gives no bool",
    ),
    "a reward is out of range": (
        'Outcome(0.0, "right"',
        'Outcome(2.0, "right"',
        checks.check_rewards,
        "the local reward of reverse_writer is 2.0",
    ),
    "a team reward is not finite": (
        SUCCESS,
        f"    def team_reward(self):\n        return float('nan')\n\n{SUCCESS}",
        checks.check_rewards,
        "team_reward is nan",
    ),
    "a reason is a sentence": (
        '"right" if',
        '"That was right." if',
        checks.check_rewards,
        "is no short identifier",
    ),
    "act gives a number": (
        'Outcome(0.0, "right" if env.success() else "wrong")',
        "0.0",
        checks.check_rewards,
        "gives 0.0, not an Outcome",
    ),
    "any answer is right": (
        'return self.answer == self.task.data["gold"]',
        "return self.answer is not None",
        checks.check_rewards,
        "wrong answers of all agents solve",
    ),
    "no answer is right": (
        'return self.answer == self.task.data["gold"]',
        "return False",
        checks.check_rewards,
        "right answers of all agents do not solve",
    ),
    "a wrong answer pays more": (
        'Outcome(0.0, "right" if env.success() else "wrong")',
        'Outcome(-1.0, "right") if env.success() else Outcome(1.0, "wrong")',
        checks.check_rewards,
        "a wrong answer of reverse_writer earns more",
    ),
    "rewards are drawn": (
        'Outcome(0.0, "right"',
        'Outcome(random.random(), "right"',
        checks.check_rewards,
        "comes to something else when it is given again",
    ),
    "no answer pays": (
        'Outcome(0.0, "no_answer")',
        'Outcome(0.1, "no_answer")',
        checks.check_garbage,
        "earns 0.1 for an empty text, and 0 for a wrong answer",
    ),
    "long answers pay": (
        'Outcome(0.0, "right" if',
        'Outcome(min(1.0, len(text) / 1000), "right" if',
        checks.check_garbage,
        "for one megabyte",
    ),
    "garbage raises": (
        ACT,
        f"{ACT}        env.first = text[0]\n",
        checks.check_garbage,
        "act of reverse_writer on an empty text raises IndexError",
    ),
    "half a character is shown": (
        "['word']}\"",
        "['word']} {env.answer}\"",
        checks.check_garbage,
        "the prompt of reverse_writer raises UnicodeEncodeError",
    ),
    "an opinion cannot be counted": (
        "    def observe",
        "    def opinion(self, env, text):\n        return [text]\n\n    def observe",
        checks.check_garbage,
        "opinion of reverse_writer on an empty text raises TypeError",
    ),
}


def subject(folder, text):
    (folder / "reverse_env.py").write_text(text)
    answers = Example(lambda env: env.task.data["word"][::-1], lambda env: "wrong")
    plugins = [str(folder / "reverse_env.py")]
    return Subject("reverse_env", "words", {"reverse_writer": answers}, {}, plugins, tasks=1)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found_by_its_check(name, tmp_path):
    old, new, broken, words = BROKEN[name]
    assert TEXT.count(old) == 1
    with pytest.raises(ContractError) as caught:
        broken(subject(tmp_path, TEXT.replace(old, new)))
    assert re.search(words, str(caught.value))


def test_all_checks_are_one_call(tmp_path):
    check(subject(tmp_path, TEXT))
    old, new, _, words = BROKEN["no answer pays"]
    with pytest.raises(AssertionError, match=words):
        check(subject(tmp_path, TEXT.replace(old, new)))
