import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import Plan, episode, group, plans, sample, turn

from pettingllms.advantages import ADVANTAGES
from pettingllms.advantages.grouping import check_groups, credit, groups_of
from pettingllms.config.ppo import AlgorithmConfig
from pettingllms.errors import InvariantError
from pettingllms.types import FinishReason, StopReason

GRPO, DR_GRPO = ADVANTAGES.load("grpo"), ADVANTAGES.load("dr_grpo")
TRAJECTORY = plans(grouping="trajectory")


def advantages(groups):
    return [[member.advantage for member in one.members] for one in groups]


def reasons(group):
    return [member.dropped for member in group.members]


def failed(candidate, tokens=0):
    finish = FinishReason.STOP if tokens else FinishReason.FAILED
    return sample(
        None, candidate, tokens=tokens, finish=finish, masked="infrastructure" if tokens else "engine"
    )


def play(tree, problems=3, samples=4, rounds=3):
    """Every problem, played by two agents in turn; the reward is unlike any other."""
    numbers = itertools.count()
    agents = ("tool", "reason") * rounds
    if tree:
        return [
            episode(
                f"p{p}",
                [turn(t, a, [next(numbers) for _ in range(samples)]) for t, a in enumerate(agents)],
                p,
            )
            for p in range(problems)
        ]
    return [
        episode(f"p{p}", [turn(t, a, [next(numbers)], (p, b, t)) for t, a in enumerate(agents)], p, b)
        for p in range(problems)
        for b in range(samples)
    ]


@pytest.mark.parametrize("tree", [True, False])
def test_c30_groups_are_the_turns_of_the_agents_of_each_problem(tree):
    # 3 problems x 4 samples x 2 agents x 3 turns of each: 72 samples, 18 groups of 4
    groups = groups_of(play(tree), plans())
    assert len(groups) == 18
    assert {len(one.members) for one in groups} == {4} == {len(one.rewards) for one in groups}
    agents = {0: "tool", 1: "reason"}
    assert {one.key for one in groups} == {
        (f"p{problem}", agents[index % 2], index) for problem in range(3) for index in range(6)
    }
    assert [(one.place, one.key.turn) for one in groups] == list(itertools.product(range(3), range(6)))
    assert all(one.policy == one.key.agent for one in groups)
    earned = [member.sample.reward.total for one in groups for member in one.members]
    assert sorted(earned) == list(range(72))


def test_a_trajectory_is_worth_what_all_agents_earned_in_its_episode():
    episodes = [
        episode("a", [turn(0, "tool", [1]), turn(1, "reason", [5]), turn(2, "tool", [2])], 0, 0),
        episode("a", [turn(0, "tool", [0]), turn(1, "reason", [6])], 0, 1),
    ]
    groups = groups_of(episodes, TRAJECTORY)
    assert [one.key for one in groups] == [("a", "tool", None), ("a", "reason", None)]
    # 1 + 5 + 2 and 0 + 6, for both agents
    assert [one.rewards for one in groups] == [(8, 6), (8, 6)]
    tool, reason = credit(groups, DR_GRPO)
    # mean 7; both samples of the tool agent's first branch get its advantage
    assert [member.advantage for member in tool.members] == [1, 1, -1]
    assert [member.prompt_ids for member in tool.members] == [(0,), (2,), (0,)]
    assert [member.advantage for member in reason.members] == [1, -1]


def test_a_return_counts_frozen_agents_and_those_that_are_grouped_by_turn():
    turns = [turn(0, "tool", [1]), turn(1, "reason", [5]), turn(2, "judge", [16])]
    mixed = plans("tool", grouping="trajectory") | plans("reason", "judge", grouping="agent_turn")
    groups = groups_of([episode("a", turns)], mixed, {"tool", "reason"})
    assert [(one.key, one.rewards) for one in groups] == [
        (("a", "tool", None), (22,)),
        (("a", "reason", 1), (5,)),
    ]


def test_only_the_own_penalties_are_taken_off_a_return():
    turns = [
        turn(0, "tool", [sample(1, penalty=0.25)]),
        turn(1, "reason", [sample(5, penalty=0.5)]),
        turn(2, "tool", [sample(2, penalty=0.125)]),
    ]
    # 8 - 1/4 - 1/8 and 8 - 1/2
    assert [one.rewards for one in groups_of([episode("a", turns)], TRAJECTORY)] == [(7.625,), (7.5,)]


def test_a_return_counts_an_action_of_several_completions_once():
    voted = [sample(1, penalty=0.25), failed(0), sample(1, penalty=0.25)]
    turns = [turn(0, "tool", voted), turn(1, "reason", [sample(5), sample(5)])]
    tool, reason = credit(
        groups_of([episode("a", turns), episode("a", turns[:1], 0, 1)], TRAJECTORY), DR_GRPO
    )
    # 1 + 5 - 1/4 and 1 - 1/4 have mean 13/4; both completions that have tokens get their branch's advantage.
    assert tool.rewards == (5.75, 0.75)
    assert [member.advantage for member in tool.members] == [2.5, 2.5, -2.5, -2.5]
    # The second branch ended before the other agent acted.
    assert (reason.rewards, reason.failed, len(reason.members)) == ((6,), 0, 2)


def test_the_grouping_is_a_setting_of_the_policy():
    mixed = {
        "tool": Plan(AlgorithmConfig(grouping="trajectory")),
        "reason": Plan(AlgorithmConfig(grouping="agent_turn")),
    }
    keys = [one.key for one in groups_of(play(tree=False, problems=1, rounds=2), mixed)]
    assert keys == [("p0", "tool", None), ("p0", "reason", 1), ("p0", "reason", 3)]


def test_only_trained_agents_have_groups():
    groups = groups_of(play(tree=True), plans("reason"), {"reason"})
    assert {one.key.agent for one in groups} == {"reason"} and len(groups) == 9


def test_a_task_that_is_in_the_batch_twice_has_two_baselines():
    episodes = [episode("a", [turn(0, "tool", [0, 1])], place) for place in (4, 2)]
    assert [(one.key, one.place) for one in groups_of(episodes, plans())] == [
        (("a", "tool", 0), 2),
        (("a", "tool", 0), 4),
    ]


def test_the_first_branch_may_end_before_the_others():
    turns = [turn(0, "tool", [1]), turn(1, "reason", [1]), turn(2, "tool", [0])]
    episodes = [episode("a", turns[:1], 0, 0, StopReason.SOLVED), episode("a", turns, 0, 1)]
    assert [(one.key.turn, len(one.rewards)) for one in groups_of(episodes, plans())] == [
        (0, 2),
        (1, 1),
        (2, 1),
    ]


def test_a_turn_that_the_first_branch_skipped_keeps_its_place():
    turns = [turn(0, "tool", [1]), turn(1, "reason", [1]), turn(2, "tool", [0])]
    episodes = [episode("a", [turns[0], turns[2]], 0, 0), episode("a", turns, 0, 1)]
    assert [one.key.turn for one in groups_of(episodes, plans())] == [0, 1, 2]


def test_an_action_of_several_completions_is_one_reward():
    # Two candidates of three completions each, in mixed order: rewards 1, 0; dr_grpo +-1/2 for all of each
    samples = [sample(1 - candidate, candidate) for candidate in (1, 0, 0, 1, 1, 0)]
    (found,) = credit(groups_of([episode("a", [turn(0, "tool", samples)])], plans()), DR_GRPO)
    assert found.rewards == (1, 0)
    assert [member.sample.candidate for member in found.members] == [0, 0, 0, 1, 1, 1]
    assert [member.advantage for member in found.members] == [0.5, 0.5, 0.5, -0.5, -0.5, -0.5]


def test_what_the_trainer_takes_off_is_part_of_the_reward():
    samples = [sample(1.0, 0, penalty=0.25), sample(0.5, 1)]
    (found,) = groups_of([episode("a", [turn(0, "tool", samples)])], plans())
    assert found.rewards == (0.75, 0.5)


def test_failed_candidate_is_in_no_baseline():
    # Eight candidates, the third without an answer: 7 rewards, of which three are 1. Mean 3/7.
    samples = [sample(r, n) for n, r in enumerate([1, 0, 0, 1, 0, 1, 0, 0])]
    samples[2] = failed(2)
    (found,) = credit(groups_of([episode("a", [turn(0, "tool", samples)])], plans()), DR_GRPO)
    assert (len(found.rewards), found.failed, len(found.members)) == (7, 1, 7)
    assert found.members[0].advantage == pytest.approx(4 / 7)
    assert found.members[1].advantage == pytest.approx(-3 / 7)
    # One whose environment failed has tokens: kept for the record, with nothing to learn from.
    samples[2] = failed(2, tokens=3)
    (found,) = credit(groups_of([episode("a", [turn(0, "tool", samples)])], plans()), DR_GRPO)
    assert (len(found.rewards), found.failed, len(found.members)) == (7, 1, 8)
    assert (found.members[2].advantage, found.members[2].dropped) == (0.0, "infrastructure")
    assert found.members[0].advantage == pytest.approx(4 / 7)


def test_a_completion_that_failed_does_not_fail_its_action():
    samples = [sample(1, 0), failed(0, tokens=1), sample(0, 1), sample(None, 1)]
    (found,) = credit(groups_of([episode("a", [turn(0, "tool", samples)])], plans()), DR_GRPO)
    assert (found.rewards, found.failed) == ((1, 0), 0)
    # Without a reason of its own it is `failed`.
    assert reasons(found) == [None, "infrastructure", None, "failed"]


def test_a_group_of_failures_has_nothing():
    (found,) = credit(groups_of([episode("a", [turn(0, "tool", [failed(0), failed(1)])])], plans()), GRPO)
    assert (found.rewards, found.failed, found.members, found.flat) == ((), 2, (), True)


def test_a_branch_that_failed_has_no_return():
    good = [turn(0, "tool", [1]), turn(1, "reason", [1]), turn(2, "tool", [1])]
    episodes = [
        episode("a", good, 0, 0),
        # The tool agent fails at its second turn: its first sample belongs to no return.
        episode("a", [*good[:2], turn(2, "tool", [failed(0, tokens=1)])], 0, 1, StopReason.FAILED),
        # The other agent fails: the tool agent's later turns are missing.
        episode("a", [good[0], turn(1, "reason", [failed(0)])], 0, 2, StopReason.FAILED),
        # The environment fails before the other agent can be asked.
        episode("a", good[:1], 0, 3, StopReason.FAILED),
        episode("a", [*good[:2], turn(2, "tool", [0])], 0, 4),
    ]
    tool, reason = credit(groups_of(episodes, TRAJECTORY), DR_GRPO)
    # 1 + 1 + 1 and 1 + 1 + 0
    assert (tool.rewards, tool.failed) == ((3, 2), 3)
    assert [member.advantage for member in tool.members] == [0.5, 0.5, 0, 0, 0, 0, -0.5, -0.5]
    assert reasons(tool) == [None, None, "failed", "infrastructure", "failed", "failed", None, None]
    assert (reason.rewards, reason.failed) == ((3, 2), 2)
    # By turns, what was earned before the failure counts.
    first = groups_of(episodes, plans())[0]
    assert (first.key.turn, first.rewards, first.failed) == (0, (1, 1, 1, 1, 1), 0)


def test_a_frozen_agent_that_fails_leaves_no_return():
    turns = [turn(0, "tool", [1]), turn(1, "reason", [failed(0)])]
    (found,) = groups_of([episode("a", turns, stop=StopReason.FAILED)], TRAJECTORY, {"tool"})
    assert (found.rewards, found.failed, reasons(found)) == ((), 1, ["failed"])


def test_c40_truncated_samples_are_trained_masked_or_penalised():
    long = sample(0.5, 1, tokens=9, finish=FinishReason.LENGTH)
    penalised = replace(long, reward=replace(long.reward, penalty=0.25))

    def played(cut, **algorithm):
        made = [episode("a", [turn(0, "tool", [sample(1.0, 0), cut, sample(0.0, 2)])])]
        groups = groups_of(made, plans(**algorithm))
        assert len(groups) == 1
        return credit(groups, DR_GRPO)[0]

    # Trained like any other: rewards 1, 1/2, 0 have mean 1/2.
    train = played(long)
    assert reasons(train) == [None, None, None]
    assert [member.advantage for member in train.members] == [0.5, 0, -0.5]
    # Masked: out of the loss, still in the baseline, so that the others' advantages do not move.
    mask = played(long, mask_truncated_samples=True)
    assert reasons(mask) == [None, "truncated", None]
    assert mask.rewards == train.rewards and advantages([mask]) == advantages([train])
    # Penalised by 1/4: rewards 1, 1/4, 0 have mean 5/12.
    lower = played(penalised)
    assert reasons(lower) == [None, None, None]
    assert lower.rewards == (1.0, 0.25, 0.0)
    assert [member.advantage for member in lower.members] == pytest.approx([7 / 12, -1 / 6, -5 / 12])


def test_masking_truncated_samples_is_a_setting_of_the_policy():
    cut = [sample(r, n, finish=FinishReason.LENGTH) for n, r in enumerate([0, 1])]
    mixed = {
        "tool": Plan(AlgorithmConfig(mask_truncated_samples=True)),
        "reason": Plan(AlgorithmConfig(mask_truncated_samples=False)),
    }
    groups = groups_of([episode("a", [turn(0, "tool", cut), turn(1, "reason", cut)])], mixed)
    assert [reasons(one) for one in groups] == [["truncated"] * 2, [None] * 2]


def test_a_masked_sample_keeps_its_own_reason():
    cut = replace(sample(0, 0, finish=FinishReason.LENGTH), masked="unread")
    (found,) = groups_of([episode("a", [turn(0, "tool", [cut])])], plans(mask_truncated_samples=True))
    assert reasons(found) == ["unread"]


@pytest.mark.parametrize("trained", ["tool", "reason"])
def test_several_candidates_at_a_turn_are_no_trajectory(trained):
    turns = [turn(0, "tool", [0]), turn(1, "reason", [0, 1])]
    with pytest.raises(InvariantError, match="task a: branch 0 has several candidates at turn 1"):
        groups_of([episode("a", turns)], TRAJECTORY, {trained})


def test_an_episode_comes_once():
    with pytest.raises(InvariantError, match="branch 0 of place 0 comes twice"):
        groups_of(play(tree=True, problems=1) * 2, plans())


def test_advantages_are_given_once():
    with pytest.raises(InvariantError, match="advantages already"):
        credit([group([0, 1])], GRPO)


@pytest.mark.parametrize("grouping", ["agent_turn", "trajectory"])
@given(seed=st.integers(0, 2**32))
def test_the_order_of_episodes_does_not_matter(grouping, seed):
    episodes = play(tree=False, problems=2, samples=3, rounds=2)
    shuffled = random.Random(seed).sample(episodes, len(episodes))
    settings = plans(grouping=grouping)
    assert groups_of(shuffled, settings) == groups_of(episodes, settings)


@pytest.mark.parametrize("grouping", ["agent_turn", "trajectory"])
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    lost=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 5))),
)
def test_every_sample_with_tokens_is_in_one_group(grouping, lengths, lost):
    episodes = [
        episode(
            "a",
            [
                turn(t, ("tool", "reason")[t % 2], [failed(0, tokens=t % 2) if (b, t) in lost else b + t])
                for t in range(length)
            ],
            0,
            b,
        )
        for b, length in enumerate(lengths)
    ]
    groups = credit(groups_of(episodes, plans(grouping=grouping)), GRPO)
    found = Counter(id(member.sample) for one in groups for member in one.members)
    sampled = [s for e in episodes for t in e.turns for s in t.samples if s.completion.token_ids]
    assert found == Counter(map(id, sampled))
    for one in groups:
        assert all(member.advantage == 0 for member in one.members if member.dropped)


def check(groups, version=3, lag=1, one_prompt=True):
    check_groups(groups, {"tool": version}, lag=lag, one_prompt=one_prompt)


def made(*samples, prompts=((1,),)):
    branches = [episode("a", [turn(2, "tool", samples, prompt)], 0, b) for b, prompt in enumerate(prompts)]
    return groups_of(branches, plans())


def test_what_was_sampled_can_be_trained():
    check(made(sample(1, 0, version=2), sample(0, 1, version=3)))
    check([])


def test_members_of_a_tree_group_saw_the_same_prompt():
    different = made(sample(1, version=3), prompts=((1,), (1, 2)))
    with pytest.raises(InvariantError, match=r"task a \(place 0\), agent tool, turn 2: .* different prompts"):
        check(different)
    check(different, one_prompt=False)
    # The turns of one trajectory have prompts of their own.
    whole = groups_of(play(tree=False, problems=1), TRAJECTORY, {"tool"})
    check(whole, version=0)


def test_tokens_and_log_probabilities_are_as_many():
    short = sample(1, 0, version=3)
    short = replace(short, completion=replace(short.completion, logprobs=(-0.5,)))
    with pytest.raises(InvariantError, match="2 tokens have 1 log-probabilities"):
        check(made(short, sample(0, 1, version=3)))


@pytest.mark.parametrize("sampled", [1, 4])
def test_samples_are_of_the_weights_that_are_trained(sampled):
    with pytest.raises(InvariantError, match=f"version {sampled} of tool sampled, and version 3 is to be"):
        check(made(sample(1, 0, version=sampled), sample(0, 1, version=3)))


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_rewards_are_finite(reward):
    with pytest.raises(InvariantError, match="no finite number"):
        check(made(sample(reward, 0, version=3), sample(0, 1, version=3)))
