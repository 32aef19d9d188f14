"""The tree rollout of the mathematics team: order, branching, what later agents are shown, how it ends."""

import re

import pytest
from stub_rollout import StubEngine, member, play, text_of
from stub_rollout import task as any_task

from pettingllms.agents.math import ReasoningGenerator, ToolGenerator
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.math import MathEnv, MathOptions
from pettingllms.types import StopReason, TokenSampling

CLASSES = {"tool": ToolGenerator, "reason": ReasoningGenerator}


def math_member(name, **changes):
    return member(CLASSES[name](AgentConfig(name=name, policy_name="p", system_prompt="")), **changes)


class Numbered:
    """Makes `reply(prompt, number of the candidate)` a reply to requests."""

    def __init__(self, reply):
        self.reply, self.seen = reply, {}

    def __call__(self, request):
        prompt = text_of(request)
        self.seen[prompt] = self.seen.get(prompt, -1) + 1
        return self.reply(prompt, self.seen[prompt] % 4)


def solve(reply, order, *, turns, tasks=None, **changes):
    order = [math_member(one) if isinstance(one, str) else one for one in order]
    tasks = tasks or [problem(2, 3), problem(4, 5)]
    changes.setdefault("make_env", lambda one: MathEnv(one, MathOptions()))
    return play(order, tasks, engine=StubEngine(Numbered(reply)), turns=turns, **changes)


def problem(a, b):
    return any_task(f"{a}+{b}", question=f"What is {a} + {b}?", answer=str(a + b))


def solver(prompt, number):
    """Candidate 2 is right, candidate 3 no program or answer, the others are wrong."""
    if "printed" in prompt or "failed" in prompt:
        right = re.findall(r"printed (\d+)", prompt)[-1]
        return [r"\boxed{1}", r"\boxed{2}", rf"\boxed{{{right}}}", "?"][number]
    a, b = re.search(r"What is (\d+) \+ (\d+)", prompt).groups()
    return ["```\nprint(0)\n```", "```\nprint(1)\n```", f"```\nprint({a} + {b})\n```", "?"][number]


def test_candidates_of_a_group_share_one_prompt_and_keep_their_own_rewards():
    played = solve(solver, ["tool", "reason"], turns=2)
    for episode in played.episodes:
        first, second = episode.turns
        assert [sample.reward.total for sample in first.samples] == [0.0, 0.0, 1.0, -1.0]
        assert [sample.reward.total for sample in second.samples] == [0.0, 0.0, 2.0, 0.0]
        assert [sample.candidate for sample in first.samples] == [0, 1, 2, 3]
        assert (first.chosen, second.chosen) == (2, 2)
        assert episode.success


def test_later_agent_is_prompted_with_the_chosen_candidates_state():
    played = solve(solver, ["tool", "reason"], turns=2)
    assert played.episodes[0].turns[1].prompt_text == "What is 2 + 3? A program printed 5."


def test_state_advances_over_rounds():
    (episode,) = solve(solver, ["tool", "reason"], turns=3, tasks=[problem(2, 3)]).episodes
    assert [turn.agent for turn in episode.turns] == ["tool", "reason", "tool"]
    assert [turn.index for turn in episode.turns] == [0, 1, 2]
    assert "The proposed answer is 5." in episode.turns[2].prompt_text


def test_first_candidate_continues_when_not_greedy():
    (episode,) = solve(solver, ["tool", "reason"], turns=2, tasks=[problem(2, 3)], greedy=False).episodes
    assert [turn.chosen for turn in episode.turns] == [0, 0]
    assert episode.turns[1].prompt_text.endswith("A program printed 0.")


def test_ties_are_broken_by_the_seed_alone():
    def equal(prompt, number):
        return f"```\nprint({number})\n```"

    def chosen(seed):
        tasks = [problem(90, number) for number in range(8)]
        played = solve(equal, ["tool"], turns=1, tasks=tasks, seed=seed)
        return [episode.turns[0].chosen for episode in played.episodes]

    assert chosen(1) == chosen(1)
    assert len(set(chosen(1))) > 1
    assert chosen(1) != chosen(2)


@pytest.mark.parametrize(
    ("resolve", "turns", "stop"), [(True, 2, StopReason.SOLVED), (False, 4, StopReason.MAX_TURNS)]
)
def test_solved_episode_ends_early_only_when_asked(resolve, turns, stop):
    (episode,) = solve(solver, ["tool", "reason"], turns=4, tasks=[problem(2, 3)], resolve=resolve).episodes
    assert len(episode.turns) == turns
    assert episode.stop_reason is stop
    assert len(episode.turns[-1].samples) == 4, "the samples of the last turn are kept"


def test_one_solved_episode_does_not_end_the_others():
    def stubborn(prompt, number):
        if "4 + 5" in prompt:
            return r"\boxed{77}" if "printed" in prompt else "```\nprint(1)\n```"
        return solver(prompt, number)

    played = solve(stubborn, ["tool", "reason"], turns=4, resolve=True)
    assert [len(episode.turns) for episode in played.episodes] == [2, 4]
    # Turns that the first episode does without are done with, too.
    assert played.progress[-1] == (8, 8)


def test_stop_string_ends_what_the_agent_reads_but_not_what_is_trained():
    stopping = math_member("reason", train=TokenSampling(1.0, 64, stop=("END", "zzz")))
    reply = r"\boxed{5}END\boxed{6}"
    (episode,) = solve(lambda *_: reply, [stopping], turns=1, tasks=[problem(2, 3)]).episodes
    sample = episode.turns[0].samples[0]
    assert sample.text == r"\boxed{5}"
    assert len(sample.completion.token_ids) == len(reply)
    assert episode.turns[0].sampling.stop == ("END", "zzz")
