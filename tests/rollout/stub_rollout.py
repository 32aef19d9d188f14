"""Stand-ins for tests of the rollout: characters as tokens, an engine in memory, a game that is a log."""

import hashlib
import random
from collections import defaultdict
from types import SimpleNamespace

from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.base import Env, Outcome
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.team import Member, Team
from pettingllms.types import Completion, FinishReason, Task, TokenSampling


class Characters:
    """One token per character."""

    def chat(self, messages):
        return [ord(c) for c in "|".join(message.content for message in messages)]

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


def text_of(request):
    return Characters().decode(request.prompt_ids)


def completion(text, reason=FinishReason.STOP):
    ids = tuple(map(ord, text))
    return Completion(ids, (-1.0,) * len(ids), reason, 0)


FAILED = Completion((), (), FinishReason.FAILED, 0, "no memory left")


def digest(*parts):
    """A short text that depends on all `parts`."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def hashed(request):
    """A reply that only the request decides; other seed, other text."""
    return digest(request.policy, request.prompt_ids, request.seed)


class StubEngine:
    """Answers with `reply(request)`: a text, or a whole completion.

    `shuffle`: a seed; answers come one at a time in a random order, else all at once as submitted.
    """

    def __init__(self, reply=hashed, shuffle=None):
        self.reply = reply
        self.calls = []
        self.pending = []
        self.random = None if shuffle is None else random.Random(shuffle)

    @property
    def requests(self):
        return [request for call in self.calls for request in call]

    def submit(self, requests):
        numbers = [number for number, _ in [*self.pending, *requests]]
        assert len(set(numbers)) == len(numbers)
        self.calls.append([request for _, request in requests])
        self.pending += requests

    def collect(self, wait=True):
        if self.random and self.pending:
            self.random.shuffle(self.pending)
            done = [self.pending.pop()]
        else:
            done, self.pending = self.pending, []
        return [(number, self.answer(request)) for number, request in done]

    def forget_prompts(self):
        assert not self.pending

    def answer(self, request):
        reply = self.reply(request)
        return completion(reply) if isinstance(reply, str) else reply


class OnePolicyEngine(StubEngine):
    """Takes requests of a second policy only when nothing of the first is pending."""

    def submit(self, requests):
        super().submit(requests)
        assert len({request.policy for _, request in self.pending}) == 1


class LogEnv(Env):
    """The state is what was said so far; the team's reward is made of all of it."""

    def __init__(self, task, options=None):
        super().__init__(task, options)
        self.log = ()

    @classmethod
    def tasks(cls, dataset, split, options, seed):
        return ()

    def copy(self):
        twin = type(self)(self.task, self.options)
        twin.log = self.log
        return twin

    def shown(self):
        return render(self.task, self.log)

    def team_reward(self):
        return part(self.log) / 2

    def success(self):
        return part(self.log) > 0.5

    def solved(self):
        return len(self.log) > 2 and part(self.log, "solved") > 0.7


def part(*parts):
    """A number in [0, 1) that depends on all `parts`."""
    return int(digest(*parts), 16) / 2**32


def render(task, log):
    return f"{task.id}<" + " ".join(f"{name}:{text}" for name, text in log) + ">"


class LogAgent(Agent):
    """Adds its text to the log; the reason of its reward is the state that it acted on."""

    system_prompt = ""

    def __init__(self, name, skip=None):
        super().__init__(AgentConfig(name=name, policy_name="p"))
        self.skip = skip

    def skips(self, env):
        return self.skip is not None and len(env.log) % self.skip == 1

    def observe(self, env):
        return f"{self.name}@{env.shown()}"

    def opinion(self, env, text):
        return None if text[0] in "01" else ord(text[0]) % 3

    def act(self, env, text):
        before = env.shown()
        env.log = (*env.log, (self.name, text))
        return Outcome(part(text) / 2, before)


SAMPLING = TokenSampling(1.0, 64)


def member(agent, **changes):
    values = {"policy": f"{agent.name}_policy", "trained": True, "train": SAMPLING, "prompt_limit": 5000}
    values |= {"evaluation": TokenSampling(0.0, 64), "sample_num": 1} | changes
    return Member(name=agent.name, agent=agent, **values)


def rollout_settings(**changes):
    values = {"mode": "tree", "candidates": 4, "reward_alpha": 1.0, "greedy": True, "resolve": False}
    return RolloutSettings(**(values | {"together": True, "evaluation": False, "seed": 0} | changes))


def task(name, **data):
    return Task(name, "train", data)


def play(order, tasks, *, engine=None, turns=None, parallel=False, make_env=LogEnv, **changes):
    """Play with `order` (agents or members); returns episodes, engine and the progress that was told."""
    members = tuple(one if isinstance(one, Member) else member(one) for one in order)
    team = Team(members, turns if turns is not None else len(members), parallel)
    workers, phases = changes.pop("workers", 2), changes.pop("phases", False)
    merged = changes.pop("merged", False)
    engine = engine or StubEngine()
    rollout = Rollout(team, engine, defaultdict(Characters), make_env, workers, phases, merged)
    progress = []
    places = tasks if isinstance(tasks[0], tuple) else list(enumerate(tasks))
    settings = rollout_settings(**changes)
    episodes = rollout.play(places, settings, lambda *told: progress.append(told))
    return SimpleNamespace(episodes=episodes, engine=engine, progress=progress, team=team, settings=settings)
