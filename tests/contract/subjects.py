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


def written(source):
    return f"```python\n{source}\n```"


def tested(env, output):
    one = env.task.data["tests"][0]
    wanted = one["output"] if output is None else output
    return f"**Test Input:**\n```\n{one['input']}```\n**Test Output:**\n```\n{wanted.rstrip()}\n```"


def golden(env):
    return written(env.task.data["golden"])


def mistaken(env):
    return written(env.task.data["wrong"][0])


def is_to_test(env):
    return env.program is not None and not env.mismatches


CODE = Subject(
    environment="code_env",
    dataset="builtin:code",
    options={"levels": [1]},
    examples={
        "code_generator": Example(golden, mistaken),
        "test_generator": Example(lambda env: tested(env, None), lambda env: tested(env, "something else")),
        "code_selfverify_single_agent": Example(
            lambda env: tested(env, None) if is_to_test(env) else golden(env),
            lambda env: tested(env, "something else") if is_to_test(env) else mistaken(env),
        ),
        "single_agent": Example(golden, mistaken),
    },
    tasks=1,
)


def tagged(tag, text):
    return f"<{tag}>{text}</{tag}>"


def right_answer(env):
    return tagged("answer", env.task.data["answers"][0])


SEARCH = Subject(
    environment="search_env",
    dataset="builtin:wiki",
    options={"entities": 60, "validation_size": 8, "test_size": 8},
    examples={
        "web_search_agent": Example(
            lambda env: tagged("search", " ".join(env.task.data["supporting"])),
            lambda env: tagged("search", "nothing like it"),
        ),
        "search_reasoning_agent": Example(right_answer, lambda env: tagged("answer", "somewhere else")),
        "search_single_agent": Example(right_answer, lambda env: tagged("answer", "somewhere else")),
        "single_agent": Example(right_answer, lambda env: tagged("answer", "somewhere else")),
    },
    tasks=2,
)

SUBJECTS = {"math_env": MATH, "code_env": CODE, "search_env": SEARCH}
