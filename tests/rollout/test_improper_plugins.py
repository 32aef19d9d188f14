"""F6: agents and environments that raise, or give what is no reward: it costs their samples and no others."""

import math
import re
import subprocess

import numpy as np
import pytest
from stub_rollout import LogAgent, LogEnv, StubEngine, member, play, task

from pettingllms.envs.base import Outcome
from pettingllms.training.records import episode_metrics, rollout_metrics
from pettingllms.types import Message, Reward, StopReason

TASKS = [task("bad"), task("good")]
MASKS = ("error", None)


def gives(value):
    return lambda self, *arguments: value


def raises(error):
    def method(self, *arguments):
        raise error

    return method


def played(agent=None, env=None, **changes):
    """Play with an agent and an environment, methods of which are others where the task is `bad`."""

    def only_on_bad(base, methods):
        def chosen(name, method):
            plain = getattr(base, name)

            def either(self, *arguments):
                state = self if isinstance(self, LogEnv) else arguments[0]
                return (method if state.task.id == "bad" else plain)(self, *arguments)

            return either

        return type("Odd", (base,), {name: chosen(name, method) for name, method in (methods or {}).items()})

    ask = member(only_on_bad(LogAgent, agent)("a"), sample_num=2)
    make_env = only_on_bad(LogEnv, env)
    return play([ask], TASKS, make_env=make_env, resolve=True, turns=2, **changes).episodes


CASES = {
    "act raises": (
        {"act": raises(ZeroDivisionError("boom"))},
        {},
        r"ZeroDivisionError: boom \(test_imp.*py:\d+\)",
    ),
    "act ends the program": ({"act": raises(SystemExit("boom"))}, {}, "SystemExit: boom"),
    "act has no memory": ({"act": raises(MemoryError())}, {}, "MemoryError"),
    "opinion raises": ({"opinion": raises(KeyError("gold"))}, {}, "KeyError: 'gold'"),
    "opinion is no key": ({"opinion": gives([])}, {}, "TypeError: unhashable"),
    "act gives None": ({"act": gives(None)}, {}, "act gave None, not an Outcome"),
    "act gives a number": ({"act": gives(0.5)}, {}, "act gave 0.5, not an Outcome"),
    "act gives one of two": ({"act": gives((0.5,))}, {}, r"act gave \(0.5,\), not an Outcome"),
    "local is a text": ({"act": gives(Outcome("1", "x"))}, {}, "act gave the reward '1', which is no number"),
    "local is a list": ({"act": gives(Outcome([1.0, 0.0], "x"))}, {}, r"act gave the reward \[1.0, 0.0\]"),
    "local is NaN": ({"act": gives(Outcome(math.nan, "x"))}, {}, "not finite: local = nan"),
    "local is huge": ({"act": gives(Outcome(10**400, "x"))}, {}, "OverflowError"),
    "reason is None": ({"act": gives(Outcome(1.0, None))}, {}, "not an Outcome of a number and a text"),
    "team raises": ({}, {"team_reward": raises(subprocess.CalledProcessError(1, "x"))}, "CalledProcessError"),
    "team is None": ({}, {"team_reward": gives(None)}, "team_reward gave the reward None"),
    "team is infinite": ({}, {"team_reward": gives(math.inf)}, "not finite: local = .*, team = inf"),
    "team is an array": ({}, {"team_reward": gives(np.ones(2))}, "team_reward gave the reward array"),
    "success raises": ({}, {"success": raises(AttributeError("gold"))}, "AttributeError: gold"),
    "success is None": ({}, {"success": gives(None)}, "success gave None, which is neither true nor false"),
    "solved is a number": ({}, {"solved": gives(0.3)}, "solved gave 0.3, which is neither true nor false"),
    "copy raises": ({}, {"copy": raises(RecursionError("deep"))}, "RecursionError: deep"),
    "copy gives None": ({}, {"copy": gives(None)}, "AttributeError"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_samples_say_why_they_failed_and_the_others_live(case, caplog):
    agent, env, reason = CASES[case]
    bad, good = played(agent, env)
    (turn,) = bad.turns
    assert (bad.stop_reason, turn.chosen) == (StopReason.FAILED, None)
    for sample in turn.samples:
        assert (sample.reward, sample.success, sample.masked) == (None, False, "error")
        assert re.search(reason, sample.error)
        assert "\n" not in sample.error
    assert bad.metrics["failed_actions"] == 4
    assert re.search(f"agent 'a' failed on task bad: .*{reason}", caplog.text)
    assert good == played()[1]
    assert good.metrics["failed_actions"] == 0


@pytest.mark.parametrize(
    ("agent", "env", "reason"),
    [
        ({"observe": raises(ValueError("blind"))}, {}, "ValueError: blind"),
        ({"skips": raises(ValueError("blind"))}, {}, "ValueError: blind"),
        ({"observe": gives(None)}, {}, "the prompt is no list of messages with texts"),
        ({"messages": gives([{"role": "user", "content": "x"}])}, {}, "no list of messages"),
        ({"messages": gives([Message("user", 3)])}, {}, "no list of messages"),
        ({"messages": gives(None)}, {}, "TypeError"),
        ({"observe": gives("a\ud800")}, {}, r"the prompt holds half a character: '\\ud800'"),
        ({}, {"__init__": raises(KeyError("gold"))}, "KeyError: 'gold'"),
    ],
)
def test_what_cannot_even_be_asked_is_one_failed_action(agent, env, reason):
    if "__init__" in env:

        class Unmade(LogEnv):
            def __init__(self, one, options=None):
                super().__init__(one, options)
                if one.id == "bad":
                    raise KeyError("gold")

        bad, good = play([member(LogAgent("a"), sample_num=2)], TASKS, make_env=Unmade, turns=2).episodes
    else:
        bad, good = played(agent, env)
    assert (bad.turns, bad.stop_reason) == ((), StopReason.FAILED)
    assert re.search(reason, bad.error)
    assert bad.metrics["failed_actions"] == 1
    assert good.stop_reason is not StopReason.FAILED and good.error is None


def test_one_candidate_that_fails_leaves_its_siblings_their_rewards():
    texts = ["w", "x", "y", "z"]

    class Picky(LogAgent):
        def act(self, env, text):
            return Outcome(math.nan, "odd") if text == "x" else super().act(env, text)

    def rewards(agent):
        replies = iter(texts)
        (episode,) = play([agent], [task("one")], engine=StubEngine(lambda _: next(replies))).episodes
        return [sample.reward for sample in episode.turns[0].samples]

    plain = rewards(LogAgent("a"))
    assert rewards(Picky("a")) == [plain[0], None, *plain[2:]]


@pytest.mark.parametrize("number", [1, True, np.float32(1), np.float64(1), np.int64(1)])
def test_numbers_of_all_kinds_are_rewards(number):
    class Exact(LogAgent):
        def act(self, env, text):
            return Outcome(number, "right")

    class Sure(LogEnv):
        def success(self):
            return np.True_

    (episode,) = play([Exact("a")], [task("one")], make_env=Sure).episodes
    assert [type(sample.reward.local) for sample in episode.turns[0].samples] == [float] * 4
    assert episode.success is True


@pytest.mark.parametrize(("alpha", "total"), [(1.0, 0.5), (0.0, 0.25), (0.5, 0.375)])
def test_without_a_local_reward_its_weight_goes_to_the_team(alpha, total):
    # Team 0.25: (alpha + 1) x 0.25, as the weight of a local reward is 1.
    class Unjudged(LogAgent):
        def act(self, env, text):
            return Outcome(None, "no_reference")

    class Quarter(LogEnv):
        def team_reward(self):
            return 0.25

    (episode,) = play([Unjudged("a")], [task("one")], make_env=Quarter, reward_alpha=alpha).episodes
    rewards = {sample.reward for sample in episode.turns[0].samples}
    assert rewards == {Reward(local=None, team=0.25, total=total, reason="no_reference")}
    assert episode_metrics("train", [episode])["train/reward/a"] == total
    assert rollout_metrics([episode], [], {0})["train/no_local/a"] == 1.0
    judged = play([LogAgent("a")], [task("one")]).episodes
    assert "train/no_local/a" not in rollout_metrics(judged, [], {0})
