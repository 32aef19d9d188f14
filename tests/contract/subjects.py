"""Every shipped environment with its agents, as the contract is checked: a new one adds a row here."""

from pettingllms.contract import Example, Subject


def boxed(text):
    return f"\\boxed{{{text}}}"


def program(text):
    return f"```python\nprint({text})\n```"


def gold(env):
    return int(env.task.data["answer"])


MATH = Subject(
    environment="math_env",
    dataset="builtin:arithmetic",
    options={"digits": 2, "operations": ["+", "-", "*"], "train_size": 64},
    examples={
        "tool_generator": Example(lambda env: program(gold(env)), lambda env: program(gold(env) + 1)),
        "reasoning_generator": Example(lambda env: boxed(gold(env)), lambda env: boxed(gold(env) + 1)),
        "verifier": Example(
            lambda env: boxed("yes" if env.success() else "no"),
            lambda env: boxed("no" if env.success() else "yes"),
        ),
    },
    tasks=1,
)

SUBJECTS = {"math_env": MATH}
