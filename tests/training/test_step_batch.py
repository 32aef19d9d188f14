"""What a step trains on: new tasks in place of those that teach nothing, and what is refused."""

from dataclasses import replace

import pytest
from plans import PLAIN, plans_of

from pettingllms.errors import InvariantError, RolloutError
from pettingllms.training.batch import refuse_without_rewards, step_batch
from pettingllms.training.tasks import TaskSchedule
from pettingllms.types import Completion, Episode, FinishReason, Reward, Sample, StopReason, Task, Turn

DAPO = {"filter_method": "dapo"}


def schedule(tasks=20, size=4):
    return TaskSchedule([Task(str(n), "train", {}) for n in range(tasks)], size, 1, None, seed=0)


def turn(index, agent, policy, rewards, version=0, prompt=(5, 6)):
    samples = tuple(
        Sample(
            Completion((7,), (-1.0,), FinishReason.STOP, version)
            if reward is not None
            else Completion((), (), FinishReason.FAILED, version, "too long"),
            "",
            0,
            number,
            None if reward is None else Reward(0.0, reward, reward, "given"),
            success=False,
            masked=None if reward is not None else "generation_failed",
        )
        for number, reward in enumerate(rewards)
    )
    return Turn(index, agent, policy, prompt, "", PLAIN, samples, 0)


def episode(task, place, *turns):
    return Episode(task, place, 0, turns, False, StopReason.MAX_TURNS)


class Player:
    """Plays tasks: those whose place is in `mixed` give different rewards to the agent of policy `a.b`."""

    def __init__(self, mixed):
        self.mixed, self.attempts = mixed, []

    def __call__(self, tasks, attempt):
        self.attempts.append((attempt, [place for place, _ in tasks]))
        return [
            episode(task, place, turn(0, "first", "a.b", (1, 0) if place in self.mixed else (1, 1)))
            for place, task in tasks
        ], {}


def batch(player, plans, tasks=None):
    tasks = tasks or schedule()
    versions = dict.fromkeys(plans, 0)
    return step_batch(tasks, 1, player, plans, versions, trained={"first", "second"}, tree=True)


def places(made):
    return sorted({group.place for group in made.groups})


def test_without_dapo_a_batch_is_what_was_drawn():
    player = Player({1})
    made = batch(player, plans_of())
    assert player.attempts == [(0, [0, 1, 2, 3])]
    assert places(made) == [0, 1, 2, 3] and made.played == {0, 1, 2, 3}


def test_uninformative_tasks_are_replaced_until_the_batch_is_full():
    player = Player({1, 4, 6, 7, 8})
    made = batch(player, plans_of(**DAPO))
    # The first batch has one of four, the second three of four: that is enough.
    assert [attempt for attempt, _ in player.attempts] == [0, 1]
    assert player.attempts[1][1] == [4, 5, 6, 7]
    assert places(made) == [1, 4, 6, 7]
    assert made.played == set(range(8)) and len(made.episodes) == 8


def test_what_is_more_than_a_batch_is_not_trained():
    made = batch(Player({0, 1, 2, 4, 5, 6, 7}), plans_of(**DAPO))
    assert places(made) == [0, 1, 2, 4]


def test_refilling_ends_at_its_limit_and_keeps_flat_tasks_that_are_then_filtered():
    player = Player({1})
    limited = plans_of(**DAPO, algorithm={"filter_groups": {"max_num_gen_batches": 2}})
    made = batch(player, limited)
    assert len(player.attempts) == 2
    assert places(made) == [0, 1, 2, 3]
    dropped = {group.place: {member.dropped for member in group.members} for group in made.groups}
    assert dropped == {0: {"dapo"}, 1: {None}, 2: {"dapo"}, 3: {"dapo"}}


def test_refilling_ends_when_there_are_no_more_tasks():
    player = Player(set())
    batch(player, plans_of(**DAPO, algorithm={"filter_groups": {"max_num_gen_batches": 9}}), schedule(6))
    assert [len(played) for _, played in player.attempts] == [4, 2]


def test_only_policies_that_are_filtered_so_ask_for_more():
    plans = {**plans_of(("a.b",)), **plans_of(("b",), **DAPO)}

    def play(tasks, attempt):
        assert attempt == 0, "every task teaches policy b"
        return [
            episode(
                task,
                place,
                turn(0, "first", "a.b", (1, 1)),
                turn(1, "second", "b", (0, 1)),
            )
            for place, task in tasks
        ], {}

    made = batch(play, plans)
    assert len(made.of_policy("a.b")) == len(made.of_policy("b")) == 4
    assert {m.dropped for group in made.of_policy("a.b") for m in group.members} == {None}


def test_what_was_sampled_by_older_weights_is_not_trained():
    def play(tasks, attempt):
        return [episode(task, place, turn(0, "first", "a.b", (1, 0))) for place, task in tasks], {}

    with pytest.raises(InvariantError, match="version 0"):
        step_batch(schedule(), 1, play, plans_of(), {"a.b": 1, "b": 0}, trained={"first"}, tree=True)


def test_a_step_in_which_nothing_succeeded_says_why():
    task = Task("t", "train", {})
    failed = episode(task, 0, turn(0, "first", "a.b", (None, None)))
    with pytest.raises(RolloutError, match="no action of step 3 could be carried out: too long"):
        refuse_without_rewards("step 3", [failed])
    with pytest.raises(RolloutError, match="all turns were skipped"):
        refuse_without_rewards("step 3", [episode(task, 0)])
    refuse_without_rewards("step 3", [failed, episode(task, 1, turn(0, "first", "a.b", (1,)))])


def test_more_failures_than_a_step_may_have_stop_it_and_the_reasons_are_counted():
    task = Task("t", "train", {})
    some = episode(task, 0, turn(0, "first", "a.b", (1, 1, None, None)))
    refuse_without_rewards("step 3", [some], 0.5)
    unshown = replace(episode(task, 1), error="ValueError: blind")
    with pytest.raises(
        RolloutError, match=r"3 of 5 actions of step 3 .* = 0\.5: too long \(2 times\); Val"
    ) as caught:
        refuse_without_rewards("step 3", [some, unshown], 0.5)
    assert "log.txt" in caught.value.help
    with pytest.raises(RolloutError, match=r"no action .* ValueError: blind \(1 times\)"):
        refuse_without_rewards("step 3", [unshown])
