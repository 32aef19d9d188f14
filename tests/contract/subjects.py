"""Every shipped environment with its agents, as the contract is checked: a new one adds a row here."""

import json

from pettingllms.contract import Example, Subject


def boxed(text):
    return f"\\boxed{{{text}}}"


def program(text):
    return f"```python\nprint({text})\n```"


def gold(env):
    return int(env.task.data["answer"])


def verdict(env, *, right):
    return boxed("yes" if env.success() == right else "no")


def is_to_verify(env):
    return env.answer is not None and env.approved is None


def reasoned(off):
    return lambda env: boxed(gold(env) + off)


def computed(off):
    return lambda env: program(gold(env) + off)


MATH = Subject(
    environment="math_env",
    dataset="builtin:arithmetic",
    options={"digits": 2, "operations": ["+", "-", "*"], "train_size": 64},
    examples={
        "tool_generator": Example(computed(0), computed(1)),
        "reasoning_generator": Example(reasoned(0), reasoned(1)),
        "verifier": Example(lambda env: verdict(env, right=True), lambda env: verdict(env, right=False)),
        "sample_reasoning_agent": Example(reasoned(0), reasoned(1)),
        "sample_tool_agent": Example(computed(0), computed(1)),
        **dict.fromkeys(
            ("aggregator", "aggreted_agent", "aggregation_agent"), Example(reasoned(0), reasoned(1))
        ),
        "math_selfverify_single_agent": Example(
            lambda env: verdict(env, right=True) if is_to_verify(env) else boxed(gold(env)),
            lambda env: verdict(env, right=False) if is_to_verify(env) else boxed(gold(env) + 1),
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


def of_part(math, code):
    return lambda env: math(env) if env.name == "math" else code(env)


MIXED = Subject(
    environment="mixed_env",
    dataset="builtin:parts",
    options={
        "parts": {
            "math": {"dataset": "builtin:arithmetic", "options": {"train_size": 64, "validation_size": 8}},
            "code": {"dataset": "builtin:code", "ratio": 0.25, "options": {"levels": [1]}},
        }
    },
    examples={
        "reasoning_generator": Example(
            of_part(lambda env: boxed(gold(env)), golden), of_part(lambda env: boxed(gold(env) + 1), mistaken)
        ),
        "single_agent": Example(
            of_part(lambda env: boxed(gold(env)), golden), of_part(lambda env: boxed(gold(env) + 1), mistaken)
        ),
    },
    tasks=2,
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


def prints_list(items):
    return written(f"print('**Actions List**:', {items!r})")


def solution(env):
    return env.game.write(env.state, env.game.solve(env.state))


def mistake(env):
    """The solution without its last action; a single one is taken back. It is allowed, and too little."""
    actions = env.game.solve(env.state)
    if len(actions) > 1:
        return env.game.write(env.state, actions[:-1])
    if actions:
        return [*actions, {"U": "D", "D": "U", "L": "R", "R": "L"}[actions[0]]]
    return [next(move for move in "UDLR" if env.game.step(env.state, move) is not None)]


STATEFUL = Subject(
    environment="stateful_env",
    dataset="builtin:plan_path",
    options={"map_size": 4, "validation_size": 8, "test_size": 8, "train_size": 32},
    examples={
        "tool_call_agent": Example(
            lambda env: prints_list(solution(env)), lambda env: prints_list(mistake(env))
        ),
        "plan_agent": Example(
            lambda env: f"#### {json.dumps(solution(env))}", lambda env: f"#### {json.dumps(mistake(env))}"
        ),
        "single_agent": Example(
            lambda env: f"#### {json.dumps(solution(env))}", lambda env: f"#### {json.dumps(mistake(env))}"
        ),
    },
    tasks=1,
)

SUBJECTS = {
    "math_env": MATH,
    "code_env": CODE,
    "search_env": SEARCH,
    "stateful_env": STATEFUL,
    "mixed_env": MIXED,
}
