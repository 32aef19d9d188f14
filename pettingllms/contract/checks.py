"""The checks: each takes a subject, and raises ContractError with what is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from pettingllms.contract.observed import act, chat, is_shared, named, seen, state, total
from pettingllms.contract.subject import ContractError, Subject, digest, plain
from pettingllms.envs.base import Env

GARBAGE = {
    "an empty text": "",
    "white space": " \n\t ",
    "one megabyte": "1" * 2**20,
    "a NUL": "\0",
    "half a character": "\ud800\\boxed{\udfff}",
    "braces without end": "\\boxed{" * 1000 + "{" * 1000,
    "braces without begin": "}" * 1000,
    "fences without end": "```python\n" * 1001,
    "tags without end": "<answer><search>[[[[((((" * 100,
    "unusual digits": "\\boxed{٣}②½Ⅷ",
    "every control character": "".join(map(chr, range(32))),
}
"""Texts that a model may write, by what they are; none of them is an attempt."""
_NUMBER, _WORD = 918273, "zqxjkv"
"""What stands for a hidden number or word when it is looked whether an agent is shown them."""


def check(subject: Subject) -> None:
    """Run all checks. Raises ContractError for the first that fails."""
    for one in CHECKS:
        one(subject)


def check_options(subject: Subject) -> None:
    """The environment types its options, and refuses keys that it does not have."""
    with named("Options"):
        subject.kind.Options(**subject.options)
    try:
        subject.kind.Options.model_validate({**subject.options, "no_such_option": 1})
    except ValidationError:
        return
    raise ContractError("Options takes a key that it does not have, so that nobody learns of a misspelt one")


def check_tasks(subject: Subject) -> None:
    """Every task is one of its split, has what is hidden, and no two splits share one."""
    with named("tasks"):
        splits = subject.splits
    if not splits["train"]:
        raise ContractError("there are no training tasks")
    homes: dict[str, str] = {}
    for split, tasks in splits.items():
        if len({task.id for task in tasks}) < len(tasks):
            raise ContractError(f"two tasks of {split} have one id")
        for task in tasks:
            if task.split != split:
                raise ContractError(f"the task {task.id!r} of {split} says that it is of {task.split}")
            if missing := [key for key in subject.kind.hidden if key not in task.data]:
                raise ContractError(f"the task {task.id!r} has no {missing[0]!r}, which `hidden` names")
            for what, content in (("the id of", task.id), ("the data of", plain(task.data))):
                if homes.setdefault(content, split) != split:
                    raise ContractError(f"{what} the task {task.id!r} is in {homes[content]} and in {split}")


def check_same_tasks_elsewhere(subject: Subject) -> None:
    """Other processes make the same tasks, whatever the order of their sets."""
    asked = [subject.environment, subject.dataset, dict(subject.options), list(subject.plugins)]
    code = "import sys; from pettingllms.contract.subject import digest; print(digest(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps(asked)]
    found = [digest(json.dumps(asked))]
    for seed in "12":
        found_here = os.pathsep.join(filter(None, sys.path))
        variables = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": found_here}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ContractError(f"another process cannot make the tasks: {done.stderr.strip()[-500:]}")
        found.append(done.stdout.split()[-1])
    if len(set(found)) > 1:
        raise ContractError(
            "the same seed gives other tasks in another process; use random.Random(f'…/{seed}')"
        )


def check_copies(subject: Subject) -> None:
    """A copy is like its original, and neither sees what is done to the other."""
    for name, start in subject.states():
        env, example = start, subject.examples[name]
        before = seen(subject, env)
        for text in (example.right(env), example.wrong(env)):
            twin, other = _copied(env), _copied(env)
            if seen(subject, twin) != before:
                raise ContractError("a copy is not like its original")
            act(subject, name, twin, text)
            if seen(subject, env) != before:
                raise ContractError(f"what {name} does to a copy changes the original")
            act(subject, name, env, text)
            if seen(subject, other) != before:
                raise ContractError(f"what {name} does to the original changes a copy")
            if seen(subject, _copied(env)) != seen(subject, env):
                raise ContractError(f"a copy is not like its original after {name} has acted")
            env = other


def _copied(env: Env) -> Env:
    with named("copy"):
        twin = env.copy()
    if type(twin) is not type(env) or twin is env:
        raise ContractError(f"copy gives {twin!r:.80}, which is no new {type(env).__name__}")
    shared = [key for key, value in vars(twin).items() if is_shared(key, value, env)]
    if shared:
        raise ContractError(f"a copy shares the {type(vars(env)[shared[0]]).__name__} `{shared[0]}`")
    return twin


def check_observations(subject: Subject) -> None:
    """What agents see is text, is the same when they look again, and changes nothing."""
    for name, env in subject.states():
        agent, before = subject.agents[name], state(env)
        if chat(agent, env) != chat(agent, env):
            raise ContractError(f"{name} is shown something else when it looks again")
        own = env.seen_by(agent)
        if own is not None and not isinstance(agent.skips(own), bool):
            raise ContractError(f"skips of {name} gives no bool")
        if state(env) != before:
            raise ContractError(f"to show {name} the environment changes it")


def check_hidden(subject: Subject) -> None:
    """What agents see does not depend on what is hidden, and holds nothing of it after they have acted."""
    for task in subject.some_tasks():
        hidden = subject.kind.hidden
        data = {key: _other(value) if key in hidden else value for key, value in task.data.items()}
        with named("a task with another hidden answer"):
            first, changed = subject.start(task), subject.start(replace(task, data=data))
        for name, agent in subject.agents.items():
            if chat(agent, first) != chat(agent, changed):
                raise ContractError(
                    f"what {name} is shown depends on what is hidden: {chat(agent, changed)!r}"
                )
        for name, example in subject.examples.items():
            text = example.wrong(first)
            for env in (first, changed):
                act(subject, name, env, text)
            for other, agent in subject.agents.items():
                content = "\n".join(message.content for message in chat(agent, changed))
                if str(_NUMBER) in content or _WORD in content:
                    raise ContractError(f"{other} is shown what is hidden: {content!r}")


def check_rewards(subject: Subject) -> None:
    """Rewards are in range and repeat; right answers solve the task, and earn no less than wrong ones."""
    for task in subject.some_tasks():
        right, wrong = subject.start(task), subject.start(task)
        if right.success():
            raise ContractError(f"the task {task.id!r} is solved before anybody has acted")
        for name, example in subject.examples.items():
            best, worst = example.right(right), example.wrong(right)
            again, other = right.copy(), right.copy()
            outcome = act(subject, name, right, best)
            if (outcome, seen(subject, right)) != (act(subject, name, again, best), seen(subject, again)):
                raise ContractError(
                    f"the same answer of {name} comes to something else when it is given again"
                )
            if total(outcome, right) < total(act(subject, name, other, worst), other):
                raise ContractError(f"a wrong answer of {name} earns more than the right one: {worst!r:.80}")
            act(subject, name, wrong, example.wrong(wrong))
        if not right.success():
            raise ContractError(f"right answers of all agents do not solve the task {task.id!r}")
        if wrong.success():
            raise ContractError(f"wrong answers of all agents solve the task {task.id!r}")
        if right.team_reward() <= wrong.team_reward():
            raise ContractError("the team earns no more for right answers than for wrong ones")


def check_garbage(subject: Subject) -> None:
    """No text makes an agent raise, and none that is no attempt earns more than an honest wrong one."""
    for name, env in subject.states():
        agent = subject.agents[name]
        if (own := env.seen_by(agent)) is None:
            continue
        honest = env.copy()
        bound = total(act(subject, name, honest, subject.examples[name].wrong(env)), honest)
        for what, text in GARBAGE.items():
            twin, before = env.copy(), state(env)
            with named(f"opinion of {name} on {what}"):
                # What cannot be counted raises here.
                hash(agent.opinion(own, text))
            if state(env) != before:
                raise ContractError(f"opinion of {name} changes the environment")
            earned = total(act(subject, name, twin, text, what), twin)
            if earned > bound:
                raise ContractError(f"{name} earns {earned:g} for {what}, and {bound:g} for a wrong answer")
            seen(subject, twin)


def _other(value: Any) -> Any:
    """Something of the same kind that is nowhere else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + _NUMBER
    if isinstance(value, str):
        return str(_NUMBER) if re.fullmatch(r"-?\d+(\.\d+)?", value) else _WORD
    if isinstance(value, Mapping):
        return {key: _other(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_other(one) for one in value])
    return value


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_options,
    check_tasks,
    check_same_tasks_elsewhere,
    check_copies,
    check_observations,
    check_hidden,
    check_rewards,
    check_garbage,
)
"""All checks, cheapest first."""
