"""The roles of `stateful_env`: propose actions by a program, decide on the actions that are made."""

from __future__ import annotations

from collections.abc import Hashable

from pettingllms.agents.base import Agent
from pettingllms.agents.code import program_of
from pettingllms.envs.base import Outcome
from pettingllms.envs.stateful import StatefulEnv, shown_list
from pettingllms.envs.stateful_plans import plan_in
from pettingllms.types import Message

SHOWN_CHARACTERS = 400
"""Of a proposal and of what a program printed; more is cut in the middle."""


class _Player(Agent):
    """What both roles share."""

    def messages(self, env: StatefulEnv) -> list[Message]:
        """The chat; the system message begins with the rules, and without one there are none."""
        *earlier, newest = super().messages(env)
        if env.multi_modal:
            newest = newest._replace(images=(env.image(),))
        if not earlier or earlier[0].role != "system":
            return [*earlier, newest]
        rules = env.game.picture_rules if env.multi_modal else env.game.rules
        system, *examples = earlier
        return [Message("system", f"{rules}\n{system.content}"), *examples, newest]

    def skips(self, env: StatefulEnv) -> bool:
        """Nothing can be done any more."""
        return env.lost


class ToolCallAgent(_Player):
    """Answers with one fenced Python program that prints a list of actions; it is only tried."""

    runs_programs = True
    system_prompt = (
        "Write one Python program that finds the actions, in a ```python block. It reads nothing. Its last "
        "line of output is **Actions List**: followed by the list."
    )

    def observe(self, env: StatefulEnv) -> str:
        """The state, and what came of the last list that was carried out."""
        return _puzzle(env)

    def act(self, env: StatefulEnv, text: str) -> Outcome:
        """Run the only fenced program of `text`."""
        return env.run(*program_of(text))

    def opinion(self, env: StatefulEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The program as it is written; it is not run to find out what it prints."""
        return (program_of(text).program or "").strip() or None


class PlanAgent(_Player):
    """Answers with `#### [actions]`, which are carried out, having seen what a program proposes."""

    system_prompt = "Decide on the actions. End with #### followed by the list of all of them."

    def observe(self, env: StatefulEnv) -> str:
        """The state, what the program printed and proposed."""
        return _puzzle(env) + _proposed(env)

    def act(self, env: StatefulEnv, text: str) -> Outcome:
        """Carry out the last list of `text`."""
        return env.decide(text)

    def opinion(self, env: StatefulEnv, text: str) -> Hashable | None:
        """The list."""
        items = plan_in(text, env.options.max_actions).items
        return None if items is None else shown_list(items)


def _puzzle(env: StatefulEnv) -> str:
    """The state, unless an image shows it, and what came of the last list."""
    text = "The image shows the state." if env.multi_modal else env.game.show(env.state)
    if env.success():
        text += "\nIt is solved: the right list is []."
    elif env.last is not None:
        text += (
            f"\nThe last list had {env.last.actions} actions, of which {env.last.refused} were not allowed."
        )
    return text


def _proposed(env: StatefulEnv) -> str:
    if not env.ran:
        return ""
    if env.proposal is not None:
        return f"\nA program proposes {_short(shown_list(env.proposal))}."
    if env.printed is None or not env.printed.strip():
        return "\nA program was tried and failed."
    return f"\nA program printed no list of actions but: {_short(env.printed.strip())}"


def _short(text: str) -> str:
    half = SHOWN_CHARACTERS // 2
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:half]} … {text[-half:]}"
    # Halves of characters are no text that a model can read.
    return cut.encode("utf-8", errors="replace").decode()
