"""What fails: the engine, the machinery around an environment, or a plug-in."""

import pytest
from stub_rollout import FAILED, LogAgent, LogEnv, StubEngine, hashed, member, play, task

from pettingllms.errors import InfrastructureError, Interrupted, RolloutError
from pettingllms.types import StopReason

A, B = LogAgent("a"), LogAgent("b")
ONE = [task("one")]


class Troubled(LogAgent):
    """Raises `error` where `when(env, text)`."""

    def __init__(self, name, error, when=lambda env, text: True):
        super().__init__(name)
        self.error, self.when = error, when

    def act(self, env, text):
        if self.when(env, text):
            raise self.error
        return super().act(env, text)


MACHINERY = [InfrastructureError("sandbox gone"), TimeoutError("too slow"), ConnectionResetError("peer")]


@pytest.mark.parametrize("error", MACHINERY, ids=lambda error: type(error).__name__)
def test_machinery_that_fails_masks_the_sample_and_is_counted(error, caplog):
    texts = iter(["bad", "x", "bad", "y"])
    troubled = Troubled("a", error, lambda env, text: text == "bad")
    (episode,) = play([troubled], ONE, engine=StubEngine(lambda request: next(texts))).episodes
    (turn,) = episode.turns
    assert [sample.masked for sample in turn.samples] == ["infrastructure", None, "infrastructure", None]
    assert [sample.reward is None for sample in turn.samples] == [True, False, True, False]
    assert not any(sample.success for sample in turn.samples if sample.masked)
    assert turn.chosen in (1, 3)
    assert turn.samples[0].completion.token_ids == tuple(map(ord, "bad"))
    assert episode.metrics["failed_actions"] == 2
    assert episode.stop_reason is StopReason.MAX_TURNS
    assert f"agent 'a' failed on task one: {type(error).__name__}: {error}" in caplog.text


@pytest.mark.parametrize("parallel", [False, True])
def test_episode_ends_as_failed_where_every_candidate_fails(parallel):
    troubled = Troubled("b", InfrastructureError("gone"))
    played = play([A, troubled, A], ONE, turns=6, parallel=parallel)
    (episode,) = played.episodes
    assert [turn.agent for turn in episode.turns] == ["a", "b"]
    assert [turn.chosen is None for turn in episode.turns] == [False, True]
    assert episode.stop_reason is StopReason.FAILED
    assert episode.success is episode.turns[0].samples[episode.turns[0].chosen].success
    assert episode.metrics["failed_actions"] == 4
    assert played.progress[-1] == (6, 6)


def test_failed_generations_alone_end_an_episode_and_no_other():
    def fails(request):
        return FAILED if "two" in "".join(map(chr, request.prompt_ids)) else hashed(request)

    first, second = play([A, B], [task("one"), task("two")], engine=StubEngine(fails)).episodes
    assert (first.stop_reason, len(first.turns)) == (StopReason.MAX_TURNS, 2)
    assert (second.stop_reason, len(second.turns)) == (StopReason.FAILED, 1)
    assert second.metrics["failed_generations"] == 4
    assert second.metrics["failed_actions"] == 0, "nothing was carried out"


def test_first_usable_candidate_goes_on_when_not_greedy():
    def fails(request):
        fails.count += 1
        return FAILED if fails.count == 1 else hashed(request)

    fails.count = 0
    (episode,) = play([A], ONE, engine=StubEngine(fails), greedy=False).episodes
    assert episode.turns[0].chosen == 1


def test_action_of_several_completions_fails_only_without_any():
    class Solved(LogEnv):
        def success(self):
            return True

    answers = iter([FAILED, "3x", FAILED, FAILED])
    ask = member(A, sample_num=2)
    engine = StubEngine(lambda request: next(answers))
    (episode,) = play([ask], ONE, engine=engine, candidates=2, make_env=Solved).episodes
    samples = episode.turns[0].samples
    assert [sample.candidate for sample in samples] == [0, 0, 1, 1]
    assert [sample.masked for sample in samples] == [
        "generation_failed",
        None,
        "generation_failed",
        "generation_failed",
    ]
    assert [sample.reward is None for sample in samples] == [True, False, True, True]
    assert [sample.success for sample in samples] == [False, True, False, False]
    assert episode.turns[0].chosen == 0
    assert episode.metrics["failed_generations"] == 3


def test_action_of_several_completions_that_is_let_down_counts_once():
    troubled = member(Troubled("a", InfrastructureError("gone")), sample_num=3)
    (episode,) = play([troubled], ONE, candidates=2).episodes
    assert [sample.masked for sample in episode.turns[0].samples] == ["infrastructure"] * 6
    assert episode.metrics["failed_actions"] == 2


class NoState(LogEnv):
    def __init__(self, one, options=None):
        super().__init__(one, options)
        if one.id == "bad":
            raise InfrastructureError("no server")


@pytest.mark.parametrize("together", [True, False])
def test_environment_that_cannot_be_set_up_is_a_failed_episode(together):
    bad, good = play([A], [task("bad"), task("good")], make_env=NoState, together=together).episodes
    assert (bad.turns, bad.stop_reason, bad.success) == ((), StopReason.FAILED, False)
    assert bad.metrics["failed_actions"] == 1
    assert good.stop_reason is StopReason.MAX_TURNS


def test_state_that_cannot_be_shown_ends_the_episode():
    class Blind(LogAgent):
        def observe(self, env):
            raise TimeoutError("no picture")

    (episode,) = play([A, Blind("b")], ONE).episodes
    assert [turn.agent for turn in episode.turns] == ["a"]
    assert episode.stop_reason is StopReason.FAILED
    assert episode.metrics["failed_actions"] == 1


def test_errors_of_the_package_mean_the_whole_run():
    with pytest.raises(RolloutError, match="no licence"):
        play([Troubled("a", RolloutError("no licence"))], ONE)


def test_stop_request_that_a_plugin_notices_is_no_fault_of_it():
    with pytest.raises(Interrupted):
        play([Troubled("a", Interrupted(2))], ONE)
