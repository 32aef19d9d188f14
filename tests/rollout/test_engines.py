"""Several engines as one: requests are dealt by policy, and engines work side by side."""

import threading

import pytest
from stub_rollout import StubEngine

from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import generate
from pettingllms.rollout.engines import Engines
from pettingllms.types import Completion, FinishReason, Request, TokenSampling

SAMPLING = TokenSampling(1.0, 4)


class Noted:
    """An engine that answers one request at a time and notes what it is told, and in which thread."""

    def __init__(self, name, meeting=None):
        self.name, self.meeting = name, meeting
        self.told, self.pending, self.threads = [], [], set()

    def submit(self, requests):
        self.pending += requests

    def collect(self, wait=True):
        self.threads.add(threading.current_thread())
        if self.meeting is not None:
            # Nobody gets past this alone: all engines are at work at once.
            self.meeting.wait(timeout=30)
        number, request = self.pending.pop(0)
        return [(number, Completion((ord(self.name), request.seed), (0.0, 0.0), FinishReason.STOP, 0))]

    def load_policy(self, policy, version, folder):
        self.told.append((policy, version))

    def __getattr__(self, name):
        return lambda: self.told.append(name)


def requests(*policies):
    return [Request(policy, (1,), SAMPLING, seed) for seed, policy in enumerate(policies)]


def test_each_request_is_answered_by_the_engine_of_its_policy():
    a, b = Noted("a"), Noted("b")
    engines = Engines({"one": a, "two": b, "three": a})
    answers = generate(engines, requests("one", "two", "three", "two", "one"))
    assert [chr(answer.token_ids[0]) for answer in answers] == ["a", "b", "a", "b", "a"]
    assert [answer.token_ids[1] for answer in answers] == [0, 1, 2, 3, 4]
    assert engines.collect() == []


def test_engines_work_at_the_same_time():
    meeting = threading.Barrier(2)
    engines = Engines({"one": Noted("a", meeting), "two": Noted("b", meeting)})
    assert len(generate(engines, requests("one", "two"))) == 2


def test_one_engine_alone_stays_in_the_callers_thread():
    a, b = Noted("a"), Noted("b")
    engines = Engines({"one": a, "two": b})
    generate(engines, requests("one", "one", "one"))
    assert a.threads == {threading.current_thread()} and b.threads == set()


def test_requests_come_in_while_engines_are_at_work():
    a, b = Noted("a"), Noted("b")
    engines = Engines({"one": a, "two": b})
    engines.submit(list(enumerate(requests("one", "two", "one"))))
    done, number = dict(engines.collect()), 3
    while len(done) < 8:
        if number < 8:
            engines.submit([(number, Request("one" if number % 2 else "two", (1,), SAMPLING, number))])
            number += 1
        done |= dict(engines.collect(wait=number < 6))
    assert {n: answer.token_ids[1] for n, answer in done.items()} == {n: n for n in range(8)}
    assert all(chr(done[n].token_ids[0]) == "ba"[n % 2] for n in range(3, 8))


def test_weights_go_to_their_engine_and_everything_else_to_all():
    a, b = Noted("a"), Noted("b")
    engines = Engines({"one": a, "two": b, "three": a})
    engines.load_policy("three", 4, None)
    for name in ("forget_prompts", "sleep", "wake", "restore", "close"):
        getattr(engines, name)()
    assert a.told == [("three", 4), "forget_prompts", "sleep", "wake", "restore", "close"]
    assert b.told == ["forget_prompts", "sleep", "wake", "restore", "close"]


def test_what_an_engine_raises_reaches_the_caller():
    class Broken(Noted):
        def collect(self, wait=True):
            raise RolloutError("broken")

    engines = Engines({"one": Noted("a"), "two": Broken("b")})
    with pytest.raises(RolloutError, match="broken"):
        generate(engines, requests("one", "two"))


def test_an_answer_does_not_depend_on_how_many_engines_there_are():
    asked = requests("one", "two", "one", "two")
    alone = StubEngine()
    wanted = generate(Engines({"one": alone, "two": alone}), asked)
    assert generate(Engines({"one": StubEngine(), "two": StubEngine()}), asked) == wanted
