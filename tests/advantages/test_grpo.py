import pytest

from pettingllms.advantages.grouping import agent_turn_groups
from pettingllms.advantages.grpo import grpo
from pettingllms.types import Completion, Episode, FinishReason, Reward, Sample, StopReason, Task, Turn


def test_advantages_are_standardised_with_the_sample_deviation():
    # rewards 1,0,0,1: mean 1/2, sample std 1/sqrt(3) -> +-sqrt(3)/2
    assert grpo([1, 0, 0, 1]) == pytest.approx([0.8660254, -0.8660254, -0.8660254, 0.8660254])
    # two members 0/1: mean 1/2, sample std 1/sqrt(2) -> -+1/sqrt(2)
    assert grpo([0, 1]) == pytest.approx([-0.7071068, 0.7071068])


@pytest.mark.parametrize("rewards", [[0.1] * 3, [5.0], [0.0, 0.0], [1 / 3] * 8])
def test_groups_without_difference_give_exactly_zero(rewards):
    assert grpo(rewards) == [0.0] * len(rewards)


def turn(index, agent, rewards):
    completion = Completion((1, 2), (-0.5, -0.5), FinishReason.STOP, 0)
    samples = tuple(Sample(completion, "x", 0, Reward(r, 0.0, r, ""), False) for r in rewards)
    return Turn(index, agent, f"{agent}_policy", (7,), "p", samples, 0)


def test_each_task_turn_and_agent_is_its_own_group():
    task = Task("a", "train", {})
    episodes = [
        Episode(task, (turn(0, "tool", [1, 0]), turn(1, "reason", [3, 3])), True, StopReason.MAX_TURNS),
        Episode(Task("b", "train", {}), (turn(0, "tool", [0, 9]),), True, StopReason.MAX_TURNS),
    ]
    groups = agent_turn_groups(episodes, {"tool_policy": grpo, "reason_policy": grpo})
    assert [tuple(group.key) for group in groups] == [("a", 0, "tool"), ("a", 1, "reason"), ("b", 0, "tool")]
    assert [group.flat for group in groups] == [False, True, False]
    # the 9 of task b moves nothing in task a: both differ by the same standardised amount
    assert [s.advantage for s in groups[0].samples] == pytest.approx([0.7071068, -0.7071068])
    assert [s.advantage for s in groups[1].samples] == [0.0, 0.0]
    assert [s.advantage for s in groups[2].samples] == pytest.approx([-0.7071068, 0.7071068])
