"""`stateful_env`: what lists of actions earn, what both agents see, and the faults of the original."""

import copy
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig
from pettingllms.envs import DATASETS
from pettingllms.envs.stateful import StatefulEnv, StatefulOptions
from pettingllms.errors import RefusedError
from pettingllms.games import GAMES
from pettingllms.games.blocksworld import BlocksState
from pettingllms.games.frozen_lake import LakeState
from pettingllms.games.plan_path import PathState
from pettingllms.games.sokoban import StoreState
from pettingllms.games.sudoku import SudokuState
from pettingllms.types import Task

OPEN = PathState(("...", "...", "..."), (0, 0), (2, 2))
"""An empty square, from corner to corner: four moves."""
WIDE = PathState(("." * 20,) * 20, (19, 0), (0, 19))
SMALL = {"train_size": 40, "validation_size": 10, "test_size": 10}


def env_of(game, state, optimal=4, **options):
    data = {"game": game, "state": state, "solution": [], "optimal": optimal}
    return StatefulEnv(Task("t", "train", data), StatefulOptions(**options))


def agent(name):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p"))


def written(items):
    return f"#### {json.dumps(items)}"


def program(items):
    return f"```python\nprint('**Actions List**:', {items!r})\n```"


def tasks(game, split, seed=0, **options):
    return DATASETS.load(f"builtin:{game}")(split, StatefulOptions(**(SMALL | options)), seed)


# What a list earns.


def test_only_the_goal_itself_is_worth_anything():
    env = env_of("plan_path", OPEN)
    assert env.decide(written(["R", "R", "D"])) == (0.0, "unsolved")
    assert (env.success(), env.team_reward()) == (False, 0.0)
    assert env.decide(written(["D"])) == (1.0, "solved")
    assert (env.success(), env.team_reward(), env.solved()) == (True, 1.0, True)


def test_who_passes_the_goal_has_not_reached_it():
    env = env_of("plan_path", OPEN)
    assert env.decide(written(["R", "R", "D", "D", "L"])) == (0.0, "unsolved")


def test_a_solved_puzzle_is_left_alone_by_the_empty_list():
    env = env_of("plan_path", OPEN)
    assert env.decide("#### []") == (-0.5, "no_actions")
    env.decide(written(["R", "R", "D", "D"]))
    assert "It is solved" in agent("plan_agent").observe(env)
    assert env.run("print('#### []')") == (1.0, "already_solved")
    assert env.decide("#### []") == (1.0, "already_solved")
    assert env.decide(written(["U"])) == (0.0, "unsolved")
    assert env.team_reward() == 0.0


@pytest.mark.parametrize(
    ("bumps", "local"), [(1, -0.1), (3, -0.3), (5, -0.5), (6, -0.5), (200, -0.5)], ids=str
)
def test_each_action_that_is_not_allowed_costs_down_to_a_floor(bumps, local):
    env = env_of("plan_path", OPEN)
    outcome = env.decide(written(["U"] * bumps))
    assert outcome == (pytest.approx(local), "refused_actions")
    assert env.state == OPEN


def test_the_price_of_a_detour_over_walls_does_not_change_the_team_reward():
    env = env_of("plan_path", OPEN)
    assert env.decide(written(["U", "L", "R", "R", "D", "D"])) == (pytest.approx(0.8), "solved")
    assert env.team_reward() == 1.0


def test_the_prices_are_options():
    env = env_of(
        "plan_path", OPEN, invalid_action_reward=-0.2, invalid_actions_floor=-0.3, unparsable_reward=-1.0
    )
    assert env.decide(written(["U"])).local == pytest.approx(-0.2)
    assert env.decide(written(["U", "U"])).local == pytest.approx(-0.3)
    assert env.decide("nothing").local == -1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_actions"),
        ('["R", "D"]', "no_actions"),
        ("#### R, D", "bad_list"),
        ('#### ["R"] * 4', "bad_list"),
        ('#### ```["R"]``` or ["D"]', "bad_list"),
        ("#### ```json\nand so on\n```", "bad_list"),
        ('#### ["R", "D"', "bad_list"),
        ('#### ["R", "D"] or ["D", "R"]', "bad_list"),
        ('#### [["R", "D"], ["D", "R"]]', "bad_action"),
        ('#### ["R", "east"]', "bad_action"),
        ('#### ["R", 1]', "bad_action"),
        ("#### [NaN]", "bad_action"),
        ('#### {"moves": ["R"]}', "bad_list"),
        ("#### " + "[" * 5000, "bad_list"),
        ("#### [" + "1" * 5000 + "]", "bad_list"),
        ("#### [" + ", ".join(['"R"'] * 201) + "]", "too_many_actions"),
        ("#### [" + ", ".join(['"R"'] * 20000) + "]", "bad_list"),
        ('#### ["R"]\nNo, better:\n#### R', "bad_list"),
        ("#### [[1, 2, 3]]", "bad_action"),
        ('#### [{"move": ["A", "B"]}]', "bad_action"),
    ],
)
def test_what_is_no_list_of_actions_is_said_and_changes_nothing(text, reason):
    env = env_of("plan_path", OPEN)
    assert env.decide(text) == (-0.5, reason)
    assert env.state == OPEN


@pytest.mark.parametrize(
    "text",
    [
        '#### ["R", "R", "D", "D"]',
        '**Actions List**: ["R", "R", "D", "D"]',
        "I think so. ####\n['R', 'R', 'D', 'D'].\nThat is it.",
        '#### ["U"]\n#### ["R",\n "R", "D",\n "D"]',
        "#### ('R', 'R', 'D', 'D')",
        '**Actions List**:\n```json\n["R", "R", "D", "D"]\n```\nThat is it.',
        '#### `["R", "R", "D", "D"]`',
        '**#### ["R", "R", "D", "D"]**',
    ],
)
def test_the_documented_forms_are_read(text):
    assert env_of("plan_path", OPEN).decide(text) == (1.0, "solved")


# Shaping.


@given(seed=st.integers(0, 500), rounds=st.lists(st.lists(st.sampled_from("UDLR"), min_size=1), max_size=6))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("game", ["plan_path", "sokoban", "frozen_lake"])
def test_shaping_telescopes(game, seed, rounds):
    task = tasks(game, "train", map_size=5)[seed % 20]
    off = {"invalid_action_reward": 0.0, "max_actions": 1000}
    env = StatefulEnv(task, StatefulOptions(shaping=0.5, **off))
    earned = 0.0
    for moves in rounds:
        outcome = env.decide(written(moves))
        earned += outcome.local - 0.5 * env.success()
    # From -1 at the start to where it ends: whatever was done between, only the two ends count.
    assert earned == pytest.approx(0.5 * (env._potential(env.state, lost=env.lost) + 1))
    assert -0.5 <= earned <= 0.5


def test_the_potential_is_the_way_that_is_left_by_hand():
    env = env_of("plan_path", OPEN, shaping=0.5)
    # 4 steps away; after one step 3: -3/4 + 4/4 = 1/4 of one half.
    assert env.decide(written(["R"])).local == pytest.approx(0.125)
    assert env.decide(written(["L"])).local == pytest.approx(-0.125)
    # All the way: one half for the goal, one half for the way.
    assert env.decide(written(["R", "R", "D", "D"])).local == pytest.approx(1.0)


@pytest.mark.parametrize("shaping", [0.0, 0.5])
def test_bumping_into_walls_earns_nothing_however_often_and_however_far(shaping):
    env = env_of("plan_path", WIDE, optimal=38, shaping=shaping, max_actions=10_000)
    # The original paid 0.08 for each bump at this distance, 10,000 times in one list.
    assert env.decide(written(["D"] * 10_000)).local == pytest.approx(-0.5)
    free = env_of("plan_path", WIDE, shaping=shaping, invalid_action_reward=0.0, max_actions=10_000)
    assert free.decide(written(["D", "L"] * 5_000)).local == 0.0


@pytest.mark.parametrize("shaping", [0.0, 0.5])
def test_going_back_and_forth_earns_nothing(shaping):
    env = env_of("plan_path", OPEN, shaping=shaping)
    assert sum(env.decide(written(["R", "L"] * 50)).local for _ in range(5)) == 0.0
    steps = [env.decide(written([move])).local for move in "RL" * 10]
    assert sum(steps) == pytest.approx(0.0)


def test_a_block_that_is_moved_off_and_back_earns_nothing():
    start = BlocksState((("A", "B"), ("C",)), (("A", "B", "C"),))
    env = env_of("blocksworld", start, optimal=1, shaping=0.5)
    off, back = ([{"move": ["B", to]}] for to in ("table", "A"))
    assert sum(env.decide(written(one)).local for one in (off, back) * 5) == pytest.approx(0.0)
    assert env.state == start
    assert env.decide(written([{"move": ["B", "B"]}])) == (pytest.approx(-0.1), "refused_actions")
    assert env.decide(written([{"move": ["C", "B"]}])) == (1.0, "solved")


def test_wrong_numbers_in_a_sudoku_are_no_progress_even_where_no_rule_forbids_them():
    # The only solution is 1234 / 3412 / 2143 / 4321.
    grid = (1, 2, 3, 4, 3, 4, 1, 2, 2, 0, 4, 3, 4, 0, 0, 1)
    env = env_of("sudoku", SudokuState(grid, grid), optimal=3, shaping=0.5)
    assert env.decide(written([[3, 1, 2]])).local == 0.0, "2 stands in no row, column or box of that cell"
    assert env.decide(written([[3, 1, 3]])).local == pytest.approx(0.5 / 3)
    assert env.decide(written([[3, 1, 2]])).local == pytest.approx(-0.5 / 3)
    full = [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    assert env.decide(written(full)) == (1.0, "solved")


def test_given_numbers_cannot_be_written_over():
    grid = (1, 2, 3, 4, 3, 4, 1, 2, 2, 0, 4, 3, 4, 0, 0, 1)
    env = env_of("sudoku", SudokuState(grid, grid), optimal=3)
    other = [[2, 1, 4, 3], [4, 3, 2, 1], [1, 2, 3, 4], [3, 4, 1, 2]]
    assert env.decide(written(other)) == (pytest.approx(-0.5), "refused_actions")
    assert not env.success() and env.state.given == grid
    assert all(kept == number for kept, number in zip(grid, env.state.grid, strict=True) if kept)


def test_a_deadlock_and_a_hole_end_the_play_and_are_no_success():
    store = StoreState(("#####", "#   #", "#   #", "#   #", "#####"), (3, 1), ((2, 1),), ((2, 2),))
    env = env_of("sokoban", store, shaping=0.5)
    assert env.decide(written(["U"])) == (pytest.approx(0.0), "lost"), "it was as far as can be before"
    lake = env_of("frozen_lake", LakeState(("FH", "FF"), (0, 0), (1, 1)), 2)
    assert lake.decide(written(["R", "L", "D", "R", "U"])) == (0.0, "lost")
    for one in (env, lake):
        assert (one.lost, one.solved(), one.success(), one.team_reward()) == (True, True, False, 0.0)
        assert agent("plan_agent").skips(one) and agent("tool_call_agent").skips(one)
        assert one.metrics()["lost"] == 1.0


def test_the_bonus_for_few_actions_is_off_and_never_lifts_the_reward_above_one():
    long, short = ["R", "L", "R", "R", "D", "D"], ["R", "R", "D", "D"]
    assert env_of("plan_path", OPEN).decide(written(long)).local == 1.0
    rewarded = {"optimal_bonus": 0.5}
    assert env_of("plan_path", OPEN, **rewarded).decide(written(long)).local == 0.5
    assert env_of("plan_path", OPEN, **rewarded).decide(written(short)).local == 1.0
    env = env_of("plan_path", OPEN, **rewarded)
    env.decide(written(long[:2]))
    assert env.decide(written(short)).local == 0.5, "what was done in earlier turns counts, too"


def test_optimality_is_measured_only():
    env = env_of("plan_path", OPEN)
    env.decide(written(["U", "R", "L", "R", "R", "D", "D"]))
    assert env.metrics() == {"lost": 0.0, "refused_actions": 1.0, "optimality": 4 / 7}
    assert "optimality" not in env_of("plan_path", OPEN).metrics()


# The two agents.


def test_the_proposal_is_tried_on_a_copy_of_the_state_that_the_plan_starts_from():
    env = env_of("plan_path", OPEN)
    before = env.state_hash
    outcome = agent("tool_call_agent").act(env, program(["R", "R", "D", "D"]))
    assert outcome == (1.0, "solved")
    assert (env.state_hash, env.success(), env.team_reward(), env.actions) == (before, False, 0.0, 0)
    assert 'A program proposes ["R", "R", "D", "D"].' in agent("plan_agent").observe(env)
    assert "proposes" not in agent("tool_call_agent").observe(env)
    assert agent("plan_agent").act(env, written(["R", "R", "D", "L"])) == (0.0, "unsolved")
    assert env.state_hash != before
    assert "proposes" not in agent("plan_agent").observe(env), "that was for the state before"
    assert "of which 0 were not allowed" in agent("tool_call_agent").observe(env)


@pytest.mark.parametrize(
    ("text", "reason", "shown"),
    [
        ("no program", "no_program", "A program was tried and failed."),
        ("```python\n1/0\n```", "program_error", "A program was tried and failed."),
        ("```python\nprint('stuck')\n```", "no_actions", "no list of actions but: stuck"),
        ("```python\nprint('#### [1]')\n```", "bad_action", "no list of actions but: #### [1]"),
        ("```python\npass\n```\n```python\npass\n```", "several_programs", "A program was tried and failed."),
        ("```python\nprint('#### []')\n```", "no_actions", "no list of actions but: #### []"),
    ],
)
def test_what_a_program_did_wrong_is_said(text, reason, shown):
    env = env_of("plan_path", OPEN)
    assert agent("tool_call_agent").act(env, text) == (-0.5, reason)
    assert shown in agent("plan_agent").observe(env)


def test_the_program_is_given_nothing_and_finds_no_solution_around_it():
    env = env_of("plan_path", OPEN)
    env.run("import os, sys\nprint(sys.stdin.read(), os.listdir('.'), dict(os.environ))")
    assert "optimal" not in env.printed and "state" not in env.printed


def test_the_rules_are_in_the_system_message_and_left_out_with_it():
    env, examples = env_of("plan_path", OPEN), [{"user": "a", "assistant": "b"}]
    for name in ("tool_call_agent", "plan_agent", "single_agent"):
        default = agent(name).messages(env)
        assert [one.role for one in default] == ["system", "user"]
        assert default[0].content.startswith(env.game.rules) and "####" in default[0].content + "####"
        told = AGENTS.load(name)(AgentConfig(name=name, policy_name="p", system_prompt="Be brief."))
        assert told.messages(env)[0].content == f"{env.game.rules}\nBe brief."
        silent = AGENTS.load(name)(
            AgentConfig(name=name, policy_name="p", system_prompt="", examples=examples)
        )
        assert [one.role for one in silent.messages(env)] == ["user", "assistant", "user"]
        assert "Walk from" not in str(silent.messages(env))


def test_single_agent_plans_alone():
    env = env_of("plan_path", OPEN)
    assert agent("single_agent").observe(env) == agent("plan_agent").observe(env)
    assert agent("single_agent").act(env, written(["R", "R", "D", "D"])) == (1.0, "solved")


def test_the_same_list_is_one_opinion():
    env, plan = env_of("plan_path", OPEN), agent("plan_agent")
    assert plan.opinion(env, "#### ['R']") == plan.opinion(env, 'So: **Actions List**: ["R"]') is not None
    assert plan.opinion(env, "R") is None


def test_a_copy_leaves_no_trace():
    env = env_of("plan_path", OPEN)
    env.run("print('#### [\"R\"]')")
    before = copy.deepcopy(env.__dict__)
    twin = env.copy()
    twin.decide(written(["R", "D"]))
    assert env.state_hash != twin.state_hash
    assert {key: value for key, value in env.__dict__.items() if key != "game"} == {
        key: value for key, value in before.items() if key != "game"
    }


def test_slips_are_the_same_for_all_who_try_from_one_state():
    lake = LakeState(("FFFF",) * 4, (0, 0), (3, 3))
    env = env_of("frozen_lake", lake, frozen_lake={"slippery": True})
    moves = ["R", "D"] * 10
    ends = set()
    for _ in range(3):
        twin = env.copy()
        twin.decide(written(moves))
        ends.add(twin.state)
    assert (len(ends) == 1 and twin.state.at != (3, 3)) or twin.success()
    assert 0 < env.metrics()["best_chance"] <= 1
    assert "best_chance" not in env_of("frozen_lake", lake).metrics()


# Tasks.


@pytest.mark.parametrize("game", sorted(GAMES))
def test_splits_share_no_instance_even_turned_or_renamed(game):
    kind = GAMES.load(game)
    one = kind(kind.Options())
    played = {split: tasks(game, split) for split in SPLITS}
    forms = {split: [one.canonical(task.data["state"]) for task in found] for split, found in played.items()}
    assert [len(forms[split]) for split in SPLITS] == [40, 10, 10]
    assert len(set(itertools.chain(*forms.values()))) == 60
    # No game rests on a file that may be missing, so that all its instances would be one.
    assert tasks(game, "test", 1) != tasks(game, "test", 0)


SPLITS = ("train", "val", "test")


@pytest.mark.parametrize("game", sorted(GAMES))
def test_stored_solutions_solve_as_fast_as_said(game):
    for task in tasks(game, "test"):
        env = StatefulEnv(task, StatefulOptions())
        assert env.decide(written(task.data["solution"])) == (1.0, "solved")
        assert env.actions == task.data["optimal"]


def test_training_shrinks_where_a_game_has_few_instances():
    found = tasks("tower_of_hanoi", "train", map_size=4, train_size=1024, tower_of_hanoi={"least_disks": 3})
    # Classes of all starts but the goal under renaming of pegs, (3^n - 1) / 2: 13 of 3 disks and 40 of 4.
    assert len(found) + 20 == 13 + 40


def test_too_few_instances_and_options_that_do_not_fit_are_refused():
    with pytest.raises(RefusedError, match="has only 13 instances"):
        tasks("tower_of_hanoi", "train", map_size=3, test_size=100)
    with pytest.raises(RefusedError, match="the size is 5") as refused:
        tasks("sudoku", "train", map_size=5)
    assert refused.value.help == "sizes: 4 or 9"
    (misfit,) = StatefulEnv.misfits("builtin:sudoku", StatefulOptions(map_size=5))
    assert misfit == (("map_size",), "sudoku cannot be played: the size is 5", "sizes: 4 or 9")
    assert list(StatefulEnv.misfits("builtin:plan_path", StatefulOptions(map_size=5))) == []


def test_the_instances_of_a_game_are_made_once_for_all_splits(monkeypatch):
    made = []
    kind = GAMES.load("blocksworld")
    generate = kind.generate
    monkeypatch.setattr(kind, "generate", lambda *words: made.append(1) or generate(*words))
    options = StatefulOptions(**SMALL)
    alone = {split: tasks("blocksworld", split) for split in SPLITS}
    first, made[:] = len(made), []
    assert StatefulEnv.split_tasks("builtin:blocksworld", SPLITS, options, 0) == alone
    assert len(made) < first


def test_large_stores_of_many_boxes_are_tasks_as_all_others():
    found = tasks("sokoban", "val", map_size=12, sokoban={"boxes": 4, "least_pushes": 5}, train_size=1)
    for task in found:
        env = StatefulEnv(task, StatefulOptions(max_actions=10_000, shaping=0.5, optimal_bonus=0.2))
        assert env.decide(written(task.data["solution"])) == (1.0, "solved")
        assert env.metrics()["optimality"] == 1.0


def test_options_set_the_difficulty():
    found = tasks("plan_path", "train", map_size=8, plan_path={"walls": 0.4, "least_distance": 6})
    assert all(task.data["optimal"] >= 6 and len(task.data["state"].rows) == 8 for task in found)
    found = tasks("sokoban", "train", sokoban={"boxes": 2, "least_pushes": 4})
    assert all(len(task.data["state"].boxes) == 2 for task in found)
    found = tasks("sudoku", "train", sudoku={"least_empty": 6, "most_empty": 6})
    assert all(task.data["state"].grid.count(0) == 6 for task in found)
    found = tasks("n_queens", "train", n_queens={"least_missing": 2, "most_missing": 3})
    assert all(task.data["optimal"] in (2, 3) for task in found)
