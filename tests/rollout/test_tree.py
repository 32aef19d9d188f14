"""The tree rollout against a recording engine: groups, order, branching, seeds."""

import re

import pytest

from pettingllms.agents.math import ReasoningGenerator, ToolGenerator, Verifier
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.math import MathEnv, MathOptions
from pettingllms.errors import RolloutError
from pettingllms.rollout.team import Member, Team
from pettingllms.rollout.tree import TreeRollout, TreeSettings
from pettingllms.types import Completion, FinishReason, StopReason, Task, TokenSampling

CLASSES = {"tool": ToolGenerator, "reason": ReasoningGenerator, "verify": Verifier}


class Characters:
    def chat(self, messages):
        return [ord(c) for c in "|".join(message.content for message in messages)]

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


class Recorder:
    """Answers with `reply(prompt, index of the candidate)`."""

    def __init__(self, reply):
        self.reply, self.calls = reply, []

    def generate(self, requests):
        self.calls.append(list(requests))
        seen = {}
        completions = []
        for request in requests:
            number = seen[request.prompt_ids] = seen.get(request.prompt_ids, -1) + 1
            text = self.reply("".join(map(chr, request.prompt_ids)), number)
            ids = tuple(map(ord, text))
            completions.append(Completion(ids, (-1.0,) * len(ids), FinishReason.STOP, 0))
        return completions


def member(name, **changes):
    sampling = TokenSampling(1.0, 64)
    settings = {"policy": f"{name}_policy", "trained": True, "train": sampling, "prompt_limit": 1000}
    settings |= {"evaluation": TokenSampling(0.0, 64)} | changes
    config = AgentConfig(name=name, policy_name="p", system_prompt="")
    return Member(name=name, agent=CLASSES[name](config), **settings)


def play(reply, order, *, turns, tasks=None, **changes):
    engine = Recorder(reply)
    settings = {"candidates": 4, "reward_alpha": 1.0, "greedy": True, "resolve": False}
    settings |= {"together": True, "evaluation": False, "seed": 0} | changes
    team = Team(tuple(member(name) if isinstance(name, str) else name for name in order), turns)
    rollout = TreeRollout(team, engine, Characters(), lambda task: MathEnv(task, MathOptions()), 2)
    tasks = tasks or [task(2, 3), task(4, 5)]
    progress = []
    episodes = rollout.play(tasks, TreeSettings(**settings), lambda *done: progress.append(done))
    return episodes, engine, progress


def task(a, b):
    return Task(f"{a}+{b}", "train", {"question": f"What is {a} + {b}?", "answer": str(a + b)})


def solver(prompt, number):
    """Candidate 2 is right, candidate 3 no program or answer, the others are wrong."""
    if "printed" in prompt or "failed" in prompt:
        right = re.findall(r"printed (\d+)", prompt)[-1]
        return [r"\boxed{1}", r"\boxed{2}", rf"\boxed{{{right}}}", "?"][number]
    a, b = re.search(r"What is (\d+) \+ (\d+)", prompt).groups()
    return ["```\nprint(0)\n```", "```\nprint(1)\n```", f"```\nprint({a} + {b})\n```", "?"][number]


def test_candidates_of_a_group_share_one_prompt_and_keep_their_own_rewards():
    episodes, _, progress = play(solver, ["tool", "reason"], turns=2)
    for episode in episodes:
        first, second = episode.turns
        assert [sample.reward.total for sample in first.samples] == [0.0, 0.0, 1.0, -1.0]
        assert [sample.reward.total for sample in second.samples] == [0.0, 0.0, 2.0, 0.0]
        assert (first.chosen, second.chosen) == (2, 2)
        assert episode.success
    assert progress == [(1, 2), (2, 2)]


def test_groups_never_mix_tasks():
    _, engine, _ = play(solver, ["tool", "reason"], turns=2)
    for call in engine.calls:
        prompts = [request.prompt_ids for request in call]
        assert prompts[:4] == [prompts[0]] * 4
        assert prompts[4:] == [prompts[4]] * 4
        assert prompts[0] != prompts[4]


def test_later_agent_is_prompted_with_the_chosen_candidates_state():
    episodes, _, _ = play(solver, ["tool", "reason"], turns=2)
    assert episodes[0].turns[1].prompt_text == "What is 2 + 3? A program printed 5."


def test_state_advances_over_rounds():
    episodes, _, _ = play(solver, ["tool", "reason"], turns=3, tasks=[task(2, 3)])
    assert [turn.agent for turn in episodes[0].turns] == ["tool", "reason", "tool"]
    assert "The proposed answer is 5." in episodes[0].turns[2].prompt_text


def test_first_candidate_continues_when_not_greedy():
    episodes, _, _ = play(solver, ["tool", "reason"], turns=2, greedy=False)
    assert [turn.chosen for turn in episodes[0].turns] == [0, 0]
    assert episodes[0].turns[1].prompt_text.endswith("A program printed 0.")


def test_ties_are_broken_by_the_seed_alone():
    def equal(prompt, number):
        return f"```\nprint({number})\n```"

    def chosen(seed):
        tasks = [task(90, number) for number in range(8)]
        episodes, _, _ = play(equal, ["tool"], turns=1, tasks=tasks, seed=seed)
        return [episode.turns[0].chosen for episode in episodes]

    assert chosen(1) == chosen(1)
    assert len(set(chosen(1))) > 1
    assert chosen(1) != chosen(2)


def test_every_request_has_its_own_seed():
    seeds = [
        r.seed
        for seed in (0, 1)
        for c in play(solver, ["tool", "reason"], turns=2, seed=seed)[1].calls
        for r in c
    ]
    assert len(set(seeds)) == len(seeds) == 32


def test_repeated_tasks_get_different_seeds():
    _, engine, _ = play(solver, ["tool"], turns=1, tasks=[task(2, 3)] * 3, candidates=1)
    assert len({request.seed for request in engine.calls[0]}) == 3


def test_evaluation_does_not_branch_and_uses_its_own_sampling():
    episodes, engine, _ = play(solver, ["tool", "reason"], turns=2, candidates=1, evaluation=True)
    assert all(len(turn.samples) == 1 for episode in episodes for turn in episode.turns)
    assert {request.sampling.temperature for call in engine.calls for request in call} == {0.0}


@pytest.mark.parametrize(
    ("resolve", "turns", "stop"), [(True, 2, StopReason.SOLVED), (False, 4, StopReason.MAX_TURNS)]
)
def test_solved_episode_ends_early_only_when_asked(resolve, turns, stop):
    episodes, _, _ = play(solver, ["tool", "reason"], turns=4, tasks=[task(2, 3)], resolve=resolve)
    assert len(episodes[0].turns) == turns
    assert episodes[0].stop_reason is stop
    assert len(episodes[0].turns[-1].samples) == 4, "the samples of the last turn are kept"


def test_one_solved_episode_does_not_end_the_others():
    def reply(prompt, number):
        return (
            "```\nprint(1)\n```" if "4 + 5" in prompt and "printed" not in prompt else solver(prompt, number)
        )

    def stubborn(prompt, number):
        if "4 + 5" in prompt and "printed" in prompt:
            return r"\boxed{77}"
        return reply(prompt, number)

    episodes, _, _ = play(stubborn, ["tool", "reason"], turns=4, resolve=True)
    assert [len(episode.turns) for episode in episodes] == [2, 4]


def test_environments_may_be_set_up_when_they_first_act():
    made = []

    def make(one):
        made.append(one.id)
        return MathEnv(one, MathOptions())

    team = Team((member("tool"),), 1)
    for together in (True, False):
        rollout = TreeRollout(team, Recorder(solver), Characters(), make, 1)
        rollout.play([task(2, 3)], TreeSettings(4, 1.0, True, False, together, False, 0), lambda *_: None)
    assert made == ["2+3", "2+3"]


def test_reward_alpha_weighs_the_team_reward():
    episodes, _, _ = play(solver, ["tool", "reason"], turns=2, reward_alpha=0.5)
    assert [sample.reward.total for sample in episodes[0].turns[1].samples] == [0.0, 0.0, 1.5, 0.0]


def test_stop_string_ends_what_the_agent_reads_but_not_what_is_trained():
    stopping = member("reason", train=TokenSampling(1.0, 64, stop=("END",)))
    episodes, _, _ = play(lambda *_: r"\boxed{5}END\boxed{6}", [stopping], turns=1, tasks=[task(2, 3)])
    sample = episodes[0].turns[0].samples[0]
    assert sample.text == r"\boxed{5}"
    assert len(sample.completion.token_ids) == len(r"\boxed{5}END\boxed{6}")


def test_failing_agent_is_named():
    class Broken(ToolGenerator):
        def act(self, env, text):
            raise ZeroDivisionError("boom")

    broken = member("tool")
    object.__setattr__(broken, "agent", Broken(AgentConfig(name="tool", policy_name="p")))
    with pytest.raises(RolloutError, match=r"agent 'tool' failed on task 2\+3: ZeroDivisionError: boom"):
        play(solver, [broken], turns=1, tasks=[task(2, 3)])
