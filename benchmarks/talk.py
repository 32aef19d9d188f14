"""A game for measurements: agents talk in turn, and each is shown all that was said, as one growing chat."""

import time

from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.base import Env, Outcome
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.team import Member, Team
from pettingllms.types import Message, Task, TokenSampling


class Talk(Env):
    """What was said so far. `task.data["seconds"]`: how long each turn takes, if it is there."""

    said = ()

    @classmethod
    def tasks(cls, dataset, split, options, seed):  # noqa: ARG003 - there are no data sets
        return ()

    def copy(self):
        twin = Talk(self.task, self.options)
        twin.said = self.said
        return twin

    def team_reward(self):
        return 0.5

    def success(self):
        return False

    def solved(self):
        return False


class Speaker(Agent):
    """Says something; after each answer the environment tells `task.data["news"]`."""

    system_prompt = "You are one of several who talk about numbers. Say something new in each of your turns."

    def messages(self, env):
        chat = [Message("system", self._system), Message("user", self.observe(env))]
        for turn, text in enumerate(env.said):
            news = f"{env.task.data.get('news', '')} Go on; this is turn {turn + 2}."
            chat += [Message("assistant", text), Message("user", news)]
        return chat

    def observe(self, env):
        return env.task.data["question"]

    def act(self, env, text):
        seconds = env.task.data.get("seconds", ())
        if seconds:
            time.sleep(seconds[len(env.said)])
        env.said = (*env.said, text)
        return Outcome(len(set(text)) / 1000, "said")


def tasks(number, **data):
    """Places and tasks; each asks about a number of its own."""
    return [
        (place, Task(f"t{place}", "train", {"question": f"What is special about {place + 10}?"} | data))
        for place in range(number)
    ]


def unheard(done, total):
    """Progress that nobody watches."""


FEW_TOKENS = TokenSampling(1.0, 8)


def rollout(engine, tokenizer, *, turns, workers, phases, agents=1, sampling=FEW_TOKENS):
    """A rollout of `agents` that share one policy."""
    names = [f"speaker {number}" for number in range(agents)]
    order = [
        Member(
            name=name,
            agent=Speaker(AgentConfig(name=name, policy_name="shared")),
            policy="shared",
            trained=True,
            train=sampling,
            evaluation=sampling,
            prompt_limit=100_000,
        )
        for name in names
    ]
    return Rollout(
        Team(tuple(order), turns),
        engine,
        {"shared": tokenizer},
        lambda task: Talk(task, None),
        workers,
        phases,
        False,
    )


def settings(mode="tree", candidates=1, seed=0):
    """How it is played."""
    return RolloutSettings(mode, candidates, 1.0, True, False, True, False, seed)
