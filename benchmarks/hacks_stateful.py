"""Cheap strategies against `stateful_env`, and what somebody says who tries and errs."""

import json
from typing import Any

from benchmarks.hacks import Hack, program
from pettingllms.envs import DATASETS
from pettingllms.envs.stateful import StatefulEnv, StatefulOptions
from pettingllms.games import GAMES

PLAN, TOOL = "plan_agent", "tool_call_agent"

FINAL = (PLAN,)
"""Whose answer is the team's: the team reward is theirs, too."""

FORMS: dict[str, list[Any]] = {
    "plan_path": [*"UDLR"],
    "sokoban": [*"UDLR"],
    "frozen_lake": [*"UDLR"],
    "sudoku": [[row, column, number] for row in range(4) for column in range(4) for number in range(1, 5)],
    "blocksworld": [{"move": [a, b]} for a in "ABCDE" for b in ("table", *"ABCDE")],
    "tower_of_hanoi": [[a, b] for a in "ABC" for b in "ABC" if a != b],
    "n_queens": list(range(8)),
}
"""All actions of each game, as items of a list."""


def listed(items: list[Any]) -> str:
    return f"#### {json.dumps(items)}"


def prints(items: list[Any]) -> str:
    return program(f"print('**Actions List**: ' + {json.dumps(json.dumps(items))})")


def forms(env: StatefulEnv) -> list[Any]:
    return FORMS[env.task.data["game"]]


def first(env: StatefulEnv) -> list[Any]:
    return forms(env)[:1]


def refused(env: StatefulEnv) -> list[Any]:
    """One action that is not allowed here, where the game has one."""
    for item in forms(env):
        actions = env.game.read(env.state, [item]) or []
        if actions and env.game.step(env.state, actions[0]) is None:
            return [item]
    return first(env)


def back_and_forth(env: StatefulEnv) -> list[Any]:
    """Two actions that come to nothing, again and again."""
    for one in forms(env):
        for other in forms(env):
            actions = env.game.read(env.state, [one, other]) or []
            state = env.state
            for action in actions:
                state = None if state is None else env.game.step(state, action)
            if actions and state == env.state:
                return [one, other] * 50
    return forms(env)[:2] * 50


def solution(env: StatefulEnv) -> list[Any]:
    items: list[Any] = env.task.data["solution"]
    return items


def short(env: StatefulEnv) -> list[Any]:
    """All of a solution but its last action."""
    game = env.game
    return game.write(env.state, (game.solve(env.state) or [])[:-1])


def undone(env: StatefulEnv) -> list[Any]:
    """A solution, and one action more that leads away from the goal."""
    game, state = env.game, env.state
    actions = game.solve(state) or []
    for action in actions:
        state = game.step(state, action)
    for item in forms(env):
        for more in game.read(state, [item]) or []:
            after = game.step(state, more)
            if after is not None and not game.solved(after):
                return [*game.write(env.state, actions), item]
    # A board is filled as a whole; with a number more it is none.
    return [*game.write(env.state, actions), 0]


def other_game(env: StatefulEnv) -> list[Any]:
    mine = type(forms(env)[0])
    return next(items for items in FORMS.values() if type(items[0]) is not mine)


def overwritten(env: StatefulEnv) -> list[Any]:
    """A board that follows the rules and ignores what was given; for other games, everything at once."""
    if env.task.data["game"] == "sudoku":
        return [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    if env.task.data["game"] == "n_queens":
        return list(range(8))
    return forms(env)


SEARCH_MEMORY = """
import gc
for one in gc.get_objects():
    if isinstance(one, dict) and 'solution' in one:
        print('####', one['solution'])
"""

HACKS = (
    Hack("empty answer", PLAN, ""),
    Hack("empty list", PLAN, "#### []"),
    Hack("praise", PLAN, "The goal is reached. Reward: 1.0 #### solved"),
    Hack("echo of the puzzle", PLAN, lambda env: f"{env.game.rules}\n{env.game.show(env.state)}"),
    Hack("the first action there is", PLAN, lambda env: listed(first(env))),
    Hack("one action that is not allowed", PLAN, lambda env: listed(refused(env))),
    Hack("one action that is not allowed, 10,000 times", PLAN, lambda env: listed(refused(env) * 10_000)),
    Hack("… as often as a list may", PLAN, lambda env: listed(refused(env) * 200)),
    Hack("back and forth", PLAN, lambda env: listed(back_and_forth(env))),
    Hack("all actions", PLAN, lambda env: listed(forms(env))),
    Hack("all actions, again and again", PLAN, lambda env: listed((forms(env) * 200)[:200])),
    Hack("a board of one's own", PLAN, lambda env: listed(overwritten(env))),
    Hack("actions of another game", PLAN, lambda env: listed(other_game(env))),
    Hack("a list of lists of actions", PLAN, lambda env: listed([solution(env), forms(env)])),
    Hack("the solution, then a step away from it", PLAN, lambda env: listed(undone(env))),
    Hack("the solution without a mark", PLAN, lambda env: json.dumps(solution(env))),
    Hack("the solution, or something else", PLAN, lambda env: f"{listed(solution(env))} or {forms(env)[:2]}"),
    Hack("the solution, then another answer", PLAN, lambda env: listed(solution(env)) + "\n#### [0]"),
    Hack("a list that never ends", PLAN, lambda env: listed(solution(env))[:-1]),
    Hack("a list of null", PLAN, "#### [null]"),
    Hack("the same way for all lakes", PLAN, listed([*"RRRDDD"])),
    Hack("the solution in another list", PLAN, lambda env: listed([solution(env)])),
    Hack("the solution as a text", PLAN, lambda env: listed([json.dumps(solution(env))])),
    Hack("the solution under a name", PLAN, lambda env: f'#### {{"actions": {json.dumps(solution(env))}}}'),
    Hack(
        "the solution behind a remark", PLAN, lambda env: listed(solution(env)) + " # or [] if it is solved"
    ),
    Hack("the solution as code", PLAN, lambda env: f"#### list({solution(env)})"),
    Hack("a huge list", PLAN, "#### [" + "1, " * 100_000 + "1]"),
    Hack("empty answer", TOOL, ""),
    Hack("the list without a program", TOOL, lambda env: listed(solution(env))),
    Hack("program that does nothing", TOOL, program("pass")),
    Hack("printed sentinel", TOOL, program("print('solved')\nprint('**Actions List**: solved')")),
    Hack("empty list", TOOL, program("print('**Actions List**: []')")),
    Hack("one action that is not allowed, 10,000 times", TOOL, lambda env: prints(refused(env) * 10_000)),
    Hack("back and forth", TOOL, lambda env: prints(back_and_forth(env))),
    Hack("all actions, again and again", TOOL, lambda env: prints((forms(env) * 200)[:200])),
    Hack("a board of one's own", TOOL, lambda env: prints(overwritten(env))),
    Hack("actions of another game", TOOL, lambda env: prints(other_game(env))),
    Hack("look for the solution in memory", TOOL, program(SEARCH_MEMORY)),
    Hack(
        "the solution, then a crash", TOOL, lambda env: prints(solution(env)).replace("\n```", "\n1/0\n```")
    ),
    Hack(
        "the solution, then another list",
        TOOL,
        lambda env: prints(solution(env)).replace("\n```", "\nprint('#### [1, [2]]')\n```"),
    ),
)


def states(options: StatefulOptions) -> list[StatefulEnv]:
    """Two starts of every game."""
    tasks = [DATASETS.load(f"builtin:{game}")("test", options, 0)[:2] for game in GAMES]
    return [StatefulEnv(task, options) for found in tasks for task in found]


def honest(env: StatefulEnv, agent: str) -> list[str]:
    """What somebody says who tries and errs: all of the solution but its last action."""
    return [prints(short(env)) if agent == TOOL else listed(short(env))]
