"""What environments measure beside success: kept with the episode, and averaged over those that have it."""

import math

import pytest
from stub_rollout import LogAgent, LogEnv, play, task

from pettingllms.training.records import episode_metrics


class Measured(LogEnv):
    """Says how much was said, where the task asks for it."""

    def metrics(self):
        return {"said": len(self.log)} if self.task.data.get("measured") else {}


def test_the_state_that_goes_on_is_measured_and_means_are_over_those_that_measure():
    tasks = [task("a", measured=True), task("b", measured=True), task("c")]
    episodes = play([LogAgent("x"), LogAgent("y")], tasks, turns=3, make_env=Measured).episodes
    assert [one.metrics.get("env/said") for one in episodes] == [3.0, 3.0, None]
    first = play([LogAgent("x")], [task("a", measured=True)], make_env=Measured).episodes
    assert episode_metrics("val", [*episodes, *first])["val/env/said"] == pytest.approx(7 / 3)
    assert not [name for name in episode_metrics("val", episodes[2:]) if "env/" in name]


@pytest.mark.parametrize("given", [None, 3, {"said": "much"}, {"said": math.nan}, {"said": None}])
def test_what_is_no_measure_costs_the_action(given):
    class Odd(LogEnv):
        def metrics(self):
            return given

    (episode,) = play([LogAgent("x")], [task("a")], make_env=Odd).episodes
    assert {sample.masked for sample in episode.turns[0].samples} == {"error"}
    assert all("metrics gave" in sample.error for sample in episode.turns[0].samples)
