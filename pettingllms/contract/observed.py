"""Agents and environments at work, as the checks see them: each thing that they give is looked at."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real

from pettingllms.agents.base import Agent
from pettingllms.contract.subject import ContractError, Subject
from pettingllms.envs.base import Env, Outcome
from pettingllms.types import Message

REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")


@contextmanager
def named(what: str) -> Iterator[None]:
    """What plug-in code raises becomes a ContractError that begins with `what`."""
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(f"{what} raises {type(error).__name__}: {error}"[:500]) from error


def act(subject: Subject, name: str, env: Env, text: str, what: str = "") -> Outcome:
    """Let an agent act, and check what it says that came of it."""
    with named(f"act of {name}" + (f" on {what}" if what else "")):
        own = env.seen_by(subject.agents[name])
        outcome = Outcome(0.0, "no_state") if own is None else subject.agents[name].act(own, text)
        team, success, solved = env.team_reward(), env.success(), env.solved()
    if not isinstance(outcome, Outcome):
        raise ContractError(f"act of {name} gives {outcome!r:.80}, not an Outcome")
    if not isinstance(outcome.reason, str) or not REASON.fullmatch(outcome.reason):
        raise ContractError(
            f"the reason {outcome.reason!r:.80} of {name} is no short identifier like no_answer"
        )
    if outcome.local is not None and not _is_between(-1, outcome.local):
        raise ContractError(f"the local reward of {name} is {outcome.local!r:.80}, not in [-1, 1]")
    if not _is_between(0, team):
        raise ContractError(f"team_reward is {team!r:.80} after {name} has acted, not in [0, 1]")
    if not all(type(one).__name__ in ("bool", "bool_") for one in (success, solved)):
        raise ContractError(f"success and solved are {success!r:.80} and {solved!r:.80}, not true or false")
    return outcome


def _is_between(least: float, value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value) and least <= float(value) <= 1


def total(outcome: Outcome, env: Env) -> float:
    """What is trained on with `reward_alpha` = 1."""
    team = env.team_reward()
    return team + (team if outcome.local is None else outcome.local)


def chat(agent: Agent, env: Env) -> list[Message]:
    """What an agent is shown, each message a text that can be encoded."""
    with named(f"the prompt of {agent.name}"):
        own = env.seen_by(agent)
        messages = [] if own is None else agent.messages(own)
        for message in messages:
            # A tokenizer takes no half of a character.
            message.content.encode("utf-8")
    return messages


def seen(subject: Subject, env: Env) -> object:
    """All that can be seen of a state from outside."""
    chats = [chat(agent, env) for agent in subject.agents.values()]
    return chats, env.team_reward(), env.success(), env.solved()


def state(env: Env) -> object:
    """What changes when an attribute does."""
    own = {key: value for key, value in vars(env).items() if key not in ("task", "options")}
    try:
        return pickle.dumps(own)
    except Exception:
        return repr(own)


def is_shared(key: str, value: object, env: Env) -> bool:
    """Whether an attribute of a copy is one changeable object with that of `env`, and no part of the task."""
    if key in ("task", "options") or not isinstance(value, list | dict | set | bytearray):
        return False
    of_task = any(value is one for one in env.task.data.values())
    return vars(env).get(key) is value and not of_task
