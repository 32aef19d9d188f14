"""The scheduler by the order of events; nothing here depends on how long anything takes.

A wait that never ends would be a fault: waits have a limit, and their result is asserted.
"""

import gc
import threading

import pytest
from stub_rollout import FAILED, OnePolicyEngine, StubEngine, text_of

from pettingllms.errors import Interrupted, RolloutError
from pettingllms.rollout.effects import Generate, Run, generate, run
from pettingllms.rollout.scheduler import play_scripts
from pettingllms.types import Request, TokenSampling

LIMIT = 30


def request(text, policy="p"):
    return Request(policy, tuple(map(ord, text)), TokenSampling(1.0, 8), 0)


def echo(one):
    return text_of(one)


def drive(scripts, engine=None, *, workers=2, phases=False, merged=False, heartbeat=lambda: None):
    engine = engine or StubEngine(echo)
    return play_scripts(scripts, engine, workers=workers, phases=phases, merged=merged, heartbeat=heartbeat)


def said(completions):
    return ["".join(map(chr, one.token_ids)) for one in completions]


def asks(*texts, policy="p"):
    """A script that asks for `texts` one after the other, and returns the answers."""
    answers = []
    for text in texts:
        answers += said((yield Generate([request(text, policy)])))
    return answers


@pytest.mark.parametrize("phases", [False, True])
@pytest.mark.parametrize("shuffle", [None, 1, 2])
def test_answers_come_in_the_order_of_what_was_asked(phases, shuffle):
    def script(name):
        completions = yield from generate([request(f"{name}{number}") for number in range(5)])
        results = yield from run([lambda number=number: (name, number) for number in range(5)])
        return said(completions), results

    results = drive([script(name) for name in "abc"], StubEngine(echo, shuffle), phases=phases)
    assert results == [
        ([f"{name}{number}" for number in range(5)], [(name, number) for number in range(5)])
        for name in "abc"
    ]


def test_asking_for_nothing_is_answered_at_once():
    def script():
        return (yield from generate([])), (yield from run([]))

    assert drive([script()]) == [([], [])]
    assert drive([]) == []


def test_slow_jobs_of_one_script_do_not_hold_the_others():
    others_done = threading.Event()
    left = set(range(5))

    def slow():
        return (yield Run([lambda: others_done.wait(LIMIT)] * 4))

    def quick(number):
        for turn in range(3):
            yield Generate([request(f"{number}.{turn}")])
            yield Run([lambda: None] * 2)
        left.discard(number)
        if not left:
            others_done.set()
        return number

    results = drive([slow(), *(quick(number) for number in range(5))])
    assert results == [[True] * 4, 0, 1, 2, 3, 4]


def test_last_script_has_all_threads():
    both = threading.Barrier(2, timeout=LIMIT)

    def script():
        return (yield Run([both.wait, both.wait]))

    def short():
        yield Generate([request("x")])

    # Each of the two jobs waits for the other one.
    assert sorted(drive([script()])[0]) == [0, 1]
    assert sorted(drive([script(), short()])[0]) == [0, 1]


def test_requests_are_submitted_while_jobs_run():
    submitted = threading.Event()

    class Watched(StubEngine):
        def submit(self, requests):
            super().submit(requests)
            submitted.set()

    def working():
        return (yield Run([lambda: submitted.wait(LIMIT)]))

    assert drive([working(), asks("x")], Watched(echo)) == [[True], ["x"]]


def test_one_script_goes_on_while_another_waits_for_a_long_answer():
    class OneStaysBehind(StubEngine):
        """Keeps "long" until nothing else is pending."""

        def collect(self, wait=True):
            short = [item for item in self.pending if text_of(item[1]) != "long"]
            self.pending = [item for item in self.pending if item not in short] if short else []
            done = short or [(number, request("long")) for number in [0]]
            return [(number, self.answer(one)) for number, one in done]

    engine = OneStaysBehind(echo)
    assert drive([asks("long"), asks("1", "2", "3")], engine) == [["long"], ["1", "2", "3"]]
    assert [[text_of(one) for one in call] for call in engine.calls] == [["long", "1"], ["2"], ["3"]]


@pytest.mark.parametrize("phases", [False, True])
def test_engine_that_answers_nothing_while_requests_are_pending_is_at_fault(phases):
    class Forgetful(StubEngine):
        """Drops "lost"."""

        def collect(self, wait=True):
            return [(number, one) for number, one in super().collect() if one.token_ids != tuple(b"lost")]

    with pytest.raises(RolloutError, match="answered nothing while 1 requests are pending"):
        drive([asks("a", "lost"), asks("b")], Forgetful(echo), phases=phases)


def test_a_script_whose_job_ends_asks_an_engine_that_is_at_work():
    ended = threading.Event()
    steps = []

    class StepByStep(StubEngine):
        """Needs three steps for "long", and the last of them only when "new" has come."""

        def collect(self, wait=True):
            steps.append(wait)
            names = [text_of(one) for _, one in self.pending]
            if wait or "new" in names:
                return super().collect()
            ended.set()
            return []

    def working():
        yield Run([lambda: ended.wait(LIMIT)])
        return (yield from asks("new"))

    assert drive([asks("long"), working()], StepByStep(echo)) == [["long"], ["new"]]
    assert steps[0] is False


def test_engine_that_answers_what_was_not_asked_is_at_fault():
    class Confused(StubEngine):
        def collect(self, wait=True):
            return [(number + 1, one) for number, one in super().collect()]

    class Twice(StubEngine):
        def collect(self, wait=True):
            return super().collect() * 2

    with pytest.raises(RolloutError, match="request 1, which is not pending"):
        drive([asks("a")], Confused(echo))
    with pytest.raises(RolloutError, match="request 0, which is not pending"):
        drive([asks("a", "b")], Twice(echo))


def test_failed_completion_is_an_answer_like_others():
    def script():
        return (yield from generate([request("x")]))

    assert drive([script()], StubEngine(lambda one: FAILED)) == [[FAILED]]


def test_phases_serve_the_policy_with_most_requests_in_the_order_of_the_scripts():
    engine = StubEngine(echo)

    def mixed():
        return said((yield Generate([request("m1", "a"), request("m2", "b"), request("m3", "a")])))

    scripts = [
        asks("x1", "x2", policy="b"),
        mixed(),
        asks("y1", "y2", policy="b"),
        asks("z1", "z2", policy="c"),
    ]
    results = drive(scripts, engine, phases=True)
    assert results == [["x1", "x2"], ["m1", "m2", "m3"], ["y1", "y2"], ["z1", "z2"]]
    assert [[text_of(one) for one in call] for call in engine.calls] == [
        ["x1", "m2", "y1"],  # b has 3 requests, a 2, c 1
        ["m1", "m3"],  # a and b have 2: the first by name
        ["x2", "y2"],
        ["z1"],
        ["z2"],
    ]
    assert all(len({one.policy for one in call}) == 1 for call in engine.calls)


@pytest.mark.parametrize("shuffle", range(6))
def test_phase_begins_when_nothing_runs_any_more(shuffle):
    events = []

    class Watched(StubEngine):
        def submit(self, requests):
            events.append(sorted(text_of(one) for _, one in requests))
            super().submit(requests)

    def working(name):
        yield Generate([request(name)])
        yield Run([lambda: None] * 3)
        return (yield from asks(f"{name} again"))

    drive([working("a"), asks("b", "b again"), working("c")], Watched(echo, shuffle), phases=True)
    assert events == [["a", "b", "c"], ["a again", "b again", "c again"]]


class OldestFirst(OnePolicyEngine):
    """Answers one request at a time, in the order in which they came."""

    def collect(self, wait=True):
        done, self.pending = self.pending[:1], self.pending[1:]
        return [(number, self.answer(request)) for number, request in done]


def in_turn(name, *policies):
    """A script that asks the policies one after the other."""
    answers = []
    for place, policy in enumerate(policies):
        answers += yield from asks(f"{name}{place}", policy=policy)
    return answers


def test_engine_of_one_policy_goes_on_to_the_next_while_jobs_of_a_slow_script_run():
    others_done = threading.Event()
    left = set(range(4))

    def slow():
        yield from in_turn("s", "a")
        waited = yield Run([lambda: others_done.wait(LIMIT)])
        return waited + (yield from in_turn("t", "b"))

    def quick(number):
        answers = yield from in_turn(number, *"abab")
        left.discard(number)
        if not left:
            others_done.set()
        return answers

    engine = OnePolicyEngine(echo)
    results = drive([slow(), *map(quick, range(4))], engine, merged=True)
    assert results == [[True, "t0"], *([f"{number}{turn}" for turn in range(4)] for number in range(4))]
    # All stand at the same policy: five phases, the last of them for the slow one.
    assert [call[0].policy for call in engine.calls] == ["a", "b", "a", "b", "b"]


def test_requests_of_the_policy_that_is_served_join_those_that_are_pending():
    engine = OldestFirst(echo)
    drive([in_turn("x", *"aaa"), in_turn("y", *"aab")], engine, merged=True)
    calls = [[text_of(one) for one in call] for call in engine.calls]
    assert calls == [["x0", "y0"], ["x1"], ["y1"], ["x2"], ["y2"]]


def test_policy_that_is_asked_without_end_gives_way_to_one_that_more_wait_for():
    engine = OldestFirst(echo)
    scripts = [in_turn(name, *"ab") for name in "uvw"] + [in_turn(name, *"aaa") for name in "xy"]
    results = drive(scripts, engine, merged=True)
    assert results == [[f"{name}{place}" for place in range(2)] for name in "uvw"] + [
        [f"{name}{place}" for place in range(3)] for name in "xy"
    ]
    calls = [[text_of(one) for one in call] for call in engine.calls]
    # When x0 is answered, three wait for b and only y0 is pending: x1 waits too.
    assert calls == [["u0", "v0", "w0", "x0", "y0"], ["u1", "v1", "w1"], ["x1", "y1"], ["x2"], ["y2"]]


@pytest.mark.parametrize("phases", [False, True])
def test_exception_of_a_job_ends_the_play_at_once(phases):
    blocked, waiting, ended = threading.Event(), threading.Event(), []

    def block():
        waiting.set()
        ended.append(blocked.wait(LIMIT))

    def stuck():
        yield Run([block])

    def broken():
        yield Run([lambda: waiting.wait(LIMIT) and 1 / 0, block])

    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        drive([stuck(), broken()], phases=phases)
    # The stuck jobs still run, in threads that keep no process alive.
    assert not ended
    left = set(threading.enumerate()) - before
    assert left and all(thread.daemon for thread in left)
    blocked.set()
    for thread in left:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_exceptions_of_scripts_and_of_the_engine_go_through():
    def broken():
        yield Generate([request("x")])
        raise KeyError("script")

    class Dead(StubEngine):
        def collect(self, wait=True):
            raise OSError("engine")

    with pytest.raises(KeyError, match="script"):
        drive([asks("a", "b", "c"), broken()])
    with pytest.raises(OSError, match="engine"):
        drive([asks("a")], Dead(echo))


def test_heart_beats_while_jobs_run_and_may_end_the_play():
    beats, enough = [], threading.Event()

    def heartbeat():
        beats.append(threading.current_thread())
        if len(beats) == 4:
            enough.set()

    def working():
        return (yield Run([lambda: enough.wait(LIMIT)]))

    # The job ends because the heart goes on beating meanwhile.
    assert drive([working()], heartbeat=heartbeat) == [[True]]
    assert set(beats) == {threading.current_thread()}

    never, begun, beats[:] = threading.Event(), [], []

    def stop():
        beats.append(None)
        if len(beats) == 3:
            raise Interrupted(2)

    def stuck():
        yield Run([lambda: begun.append(1) or never.wait(LIMIT)] * 6)

    before = set(threading.enumerate())
    with pytest.raises(Interrupted):
        drive([stuck(), asks("x")], heartbeat=stop)
    left = set(threading.enumerate()) - before
    never.set()
    for thread in left:
        thread.join(LIMIT)
        assert not thread.is_alive()
    # Jobs that had not begun never do.
    assert len(begun) <= 2


def test_no_thread_is_left_behind():
    before = threading.active_count()
    drive([asks("a"), asks("b")], workers=4)
    assert threading.active_count() == before


def test_a_thousand_scripts_share_two_threads():
    def script(number):
        total = 0
        for _ in range(3):
            (text,) = said((yield Generate([request(str(number))])))
            total += sum((yield Run([lambda text=text: int(text)] * 2)))
        return total

    results = drive([script(number) for number in range(1000)], StubEngine(echo, shuffle=0))
    assert results == [6 * number for number in range(1000)]


def test_collection_of_garbage_is_rarer_during_a_play_and_as_before_after_it():
    before, during = gc.get_threshold(), []

    def script(fails):
        yield Run([lambda: during.append(gc.get_threshold())])
        assert not fails

    drive([script(False)])
    with pytest.raises(AssertionError):
        drive([script(True)])
    assert gc.get_threshold() == before
    assert all(threshold[0] >= 10 * before[0] for threshold in during)
