"""Who acts when, with how many completions, and how far the play is."""

import threading
from collections import defaultdict
from types import SimpleNamespace

import pytest
from stub_rollout import (
    Characters,
    LogAgent,
    LogEnv,
    StubEngine,
    hashed,
    member,
    play,
    rollout_settings,
    task,
    text_of,
)

from pettingllms.agents.base import Agent
from pettingllms.agents.math import ReasoningGenerator, ToolGenerator, Verifier
from pettingllms.config.agents import AgentConfig, AgentPolicyConfigs, InteractionConfig, TokenSamplingConfig
from pettingllms.errors import Interrupted
from pettingllms.rollout.play import Rollout
from pettingllms.rollout.team import Team, build_team
from pettingllms.rollout.tree import most_said
from pettingllms.types import StopReason

A, B = LogAgent("a"), LogAgent("b")


class Silent(LogAgent):
    """Skips where nobody spoke before."""

    def skips(self, env):
        return not env.log


@pytest.mark.parametrize(("parallel", "turns"), [(False, [1, 2, 3]), (True, [1, 2, 3])])
def test_skipped_turn_counts_and_leaves_no_record(parallel, turns):
    # Parallel: the round starts with an empty log, so that both would be silent; B speaks.
    (episode,) = play([Silent("a"), B], [task("one")], turns=4, parallel=parallel).episodes
    assert [turn.index for turn in episode.turns] == turns
    assert [turn.agent for turn in episode.turns] == ["b", "a", "b"]
    assert episode.metrics["skipped_turns"] == 1


def test_skipping_is_decided_on_the_state_that_would_be_shown():
    order = [B, Silent("a")]
    (one_by_one,) = play(order, [task("one")]).episodes
    (at_once,) = play(order, [task("one")], parallel=True).episodes
    assert [turn.agent for turn in one_by_one.turns] == ["b", "a"]
    assert [turn.agent for turn in at_once.turns] == ["b"]


def test_episode_in_which_all_skip_has_the_success_of_its_first_state():
    class Solved(LogEnv):
        def success(self):
            return True

    played = play([Silent("a")], [task("one")], turns=3, make_env=Solved)
    (episode,) = played.episodes
    assert (episode.turns, episode.success) == ((), True)
    assert episode.stop_reason is StopReason.MAX_TURNS
    assert played.engine.calls == []
    assert played.progress[-1] == (3, 3)


def test_parallel_round_is_generated_at_once_and_the_last_one_may_be_partial():
    played = play([A, B], [task("one")], turns=3, parallel=True, candidates=2)
    assert [len(call) for call in played.engine.calls] == [4, 2]
    assert [turn.agent for turn in played.episodes[0].turns] == ["a", "b", "a"]


def test_parallel_episode_ends_after_the_round_that_solves_it():
    class Quick(LogEnv):
        def solved(self):
            return len(self.log) == 3

    order = [A, B]
    (at_once,) = play(order, [task("one")], turns=6, parallel=True, resolve=True, make_env=Quick).episodes
    # After the first agent of round 2 the log has 3 entries, after the round 4: it is not solved there.
    assert (len(at_once.turns), at_once.stop_reason) == (6, StopReason.MAX_TURNS)
    (one_by_one,) = play(order, [task("one")], turns=6, resolve=True, make_env=Quick).episodes
    assert (len(one_by_one.turns), one_by_one.stop_reason) == (3, StopReason.SOLVED)


def test_independent_branches_are_plays_of_their_own():
    made = []

    def make(one):
        made.append(one.id)
        return LogEnv(one)

    played = play([A, B], [task("one"), task("two")], mode="independent", candidates=3, make_env=make)
    assert sorted(made) == ["one"] * 3 + ["two"] * 3
    assert all(len(turn.samples) == 1 for episode in played.episodes for turn in episode.turns)
    seconds = [episode.turns[1].prompt_text for episode in played.episodes]
    assert len(set(seconds)) == 6, "each branch goes on from its own state"


def test_environments_may_all_be_set_up_before_anything_is_generated():
    for together in (True, False):
        events, asked = [], threading.Event()

        def make(one, events=events, asked=asked):
            if one.id == "t0":
                # The first to be set up is the slowest: the others are asked meanwhile, or wait for it.
                asked.wait(0.2)
            events.append("made")
            return LogEnv(one)

        def reply(request, events=events, asked=asked):
            events.append("asked")
            asked.set()
            return hashed(request)

        tasks = [task(f"t{number}") for number in range(20)]
        play([A], tasks, make_env=make, engine=StubEngine(reply), together=together, candidates=1)
        assert sorted(events) == ["asked"] * 20 + ["made"] * 20
        assert (events == ["made"] * 20 + ["asked"] * 20) is together


def test_places_must_tell_plays_apart():
    with pytest.raises(ValueError, match="places"):
        play([A], [(3, task("one")), (3, task("one"))])


def test_episodes_come_by_place_whatever_the_order_of_the_tasks():
    one, two = task("one"), task("two")
    forth = play([A], [(0, one), (5, two)]).episodes
    back = play([A], [(5, two), (0, one)]).episodes
    assert forth == back
    assert [episode.place for episode in back] == [0, 5]


def test_progress_counts_turns_of_all_episodes_and_grows():
    played = play([A, B], [task(f"t{number}") for number in range(100)], turns=4, candidates=1)
    done = [one for one, total in played.progress]
    assert {total for _, total in played.progress} == {400}
    assert done == sorted(done) and done[-1] == 400
    # News at whole percents: 100 times at most, and once more after each long wait.
    assert len(set(done)) <= 101


def test_progress_may_end_the_play():
    def on_progress(done, total):
        if done >= total // 4:
            raise Interrupted(2)

    engine = StubEngine()
    rollout = Rollout(
        Team((member(A), member(B)), 4), engine, defaultdict(Characters), LogEnv, 2, False, False
    )
    tasks = list(enumerate(task(f"t{number}") for number in range(200)))
    with pytest.raises(Interrupted):
        rollout.play(tasks, rollout_settings(candidates=1), on_progress)
    assert 0 < len(engine.requests) < 200 * 4


def test_progress_is_told_while_nothing_but_an_environment_works():
    told = threading.Event()

    class Slow(LogAgent):
        def act(self, env, text):
            assert told.wait(30)
            return super().act(env, text)

    rollout = Rollout(
        Team((member(Slow("a")),), 1), StubEngine(), defaultdict(Characters), LogEnv, 2, False, False
    )
    rollout.play([(0, task("one"))], rollout_settings(), lambda done, total: told.set())


def opinions(agent, texts):
    return most_said(agent, None, texts)


def test_most_frequent_opinion_acts_with_its_first_text():
    agent = ReasoningGenerator(AgentConfig(name="r", policy_name="p"))
    box = r"\boxed{%s}"
    assert opinions(agent, [box % 1, "so " + box % "2.0", "?", box % 2]) == "so " + box % "2.0"
    # One vote each: the first that says something.
    assert opinions(agent, ["?", box % 3, box % 4]) == box % 3
    # Nothing usable: the first text.
    assert opinions(agent, ["?", "!", "?"]) == "?"
    # Zero is an answer, an empty box is none.
    assert opinions(agent, [box % "", box % "", box % 0]) == box % 0


def test_one_completion_is_no_vote():
    class Silent(LogAgent):
        def opinion(self, env, text):
            raise AssertionError("not asked")

    (episode,) = play([Silent("a")], [task("one")]).episodes
    assert episode.turns[0].chosen is not None


def test_opinions_of_the_mathematics_team():
    config = AgentConfig(name="x", policy_name="p")
    verifier, tool = Verifier(config), ToolGenerator(config)
    reason = ReasoningGenerator(config)
    texts = [r"\boxed{no}", r"\boxed{Yes}", r"I say \boxed{yes}", r"\boxed{maybe}", ""]
    assert [verifier.opinion(None, text) for text in texts] == [False, True, True, None, None]
    assert tool.opinion(None, "see\n```python\nprint(1)\n```") == "print(1)"
    assert tool.opinion(None, "```\nprint(1)\n\n```") == "print(1)"
    assert tool.opinion(None, "print(1)") is None
    assert reason.opinion(None, r"\boxed{1/2}") == reason.opinion(None, r"\boxed{0.5}")
    assert reason.opinion(None, r"\boxed{ x }") == "x"
    assert Agent.opinion(reason, None, "  said ") == "said"
    assert Agent.opinion(reason, None, "  ") is None


def test_each_completion_of_an_action_is_a_sample_with_its_seed():
    played = play([member(A, sample_num=3)], [task("one")], candidates=2)
    (turn,) = played.episodes[0].turns
    assert [sample.candidate for sample in turn.samples] == [0, 0, 0, 1, 1, 1]
    assert len({sample.seed for sample in turn.samples}) == 6
    assert turn.samples[0].reward is turn.samples[2].reward
    assert {text_of(request) for request in played.engine.requests} == {turn.prompt_text}


def team_of(max_turns, turn_unit, **changes):
    rollout = SimpleNamespace(top_p=1.0, top_k=-1, min_p=0.0)
    plan = SimpleNamespace(
        name="p", temperature=1.0, max_response_length=8, max_prompt_length=9, rollout=rollout
    )
    configs = {
        f"agent_{number}": AgentConfig(
            name=name,
            policy_name="p",
            agent="verifier",
            sample_num=number + 1,
            train_llm_config=TokenSamplingConfig(stop=["x"]),
        )
        for number, name in enumerate("ab")
    }
    agents = AgentPolicyConfigs(num_agents=2, agent_configs=configs)
    interaction = InteractionConfig(turn_order=["a", "b", "a"], **changes)
    return build_team(agents, interaction, {"p": plan}, max_turns, turn_unit)


@pytest.mark.parametrize(("unit", "turns"), [("agent", 4), ("round", 12)])
def test_turns_count_what_the_file_says(unit, turns):
    team = team_of(4, unit)
    assert team.max_turns == turns
    assert [move.turn for moves in team.moves() for move in moves] == list(range(turns))


def test_team_takes_what_the_file_says_of_its_agents():
    team = team_of(4, "agent", parallel=True)
    assert team.parallel and [one.sample_num for one in team.members] == [1, 2]
    assert [[(move.turn, move.member.name) for move in moves] for moves in team.moves()] == [
        [(0, "a"), (1, "b"), (2, "a")],
        [(3, "a")],
    ]
    assert [len(moves) for moves in team_of(4, "agent").moves()] == [1, 1, 1, 1]
    first = team.order[0]
    assert (first.prompt_limit, first.train.stop, first.evaluation.temperature) == (9, ("x",), 0.0)


def test_cut_prompts_are_counted():
    (episode,) = play([member(A, prompt_limit=5), B], [task("a long name of a task")]).episodes
    assert len(episode.turns[0].prompt_ids) == 5
    assert episode.metrics["cut_prompts"] == 1
