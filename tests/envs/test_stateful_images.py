"""`stateful_env` with `env.multi_modal`: the state as an image."""

import json

import pytest

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig
from pettingllms.envs import DATASETS
from pettingllms.envs.stateful import StatefulEnv, StatefulOptions
from pettingllms.games import DRAWN, GAMES
from pettingllms.games.pictures import png
from pettingllms.games.plan_path import PathState
from pettingllms.types import Task

pytest.importorskip("PIL")

OPEN = PathState(("...", "...", "..."), (0, 0), (2, 2))
SMALL = {"train_size": 10, "validation_size": 3, "test_size": 5}


def env_of(game, state, **options):
    data = {"game": game, "state": state, "solution": [], "optimal": 4}
    return StatefulEnv(Task("t", "train", data), StatefulOptions(**options))


def agent(name):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p"))


def written(items):
    return f"#### {json.dumps(items)}"


def tasks(game, split, seed=0):
    return DATASETS.load(f"builtin:{game}")(split, StatefulOptions(**SMALL), seed)


def seen(env, name="plan_agent"):
    env.multi_modal = True
    return agent(name).messages(env)


def pixels(file):
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(file)).convert("RGB")


def test_with_images_the_state_is_drawn_and_not_written():
    system, user = seen(env_of("plan_path", PathState(("#.", ".."), (1, 0), (0, 1)), cell_pixels=10))
    assert system.content.startswith("The image shows a map from above.") and system.images == ()
    assert user.content == "The image shows the state."
    (file,) = user.images
    drawn = pixels(file)
    assert drawn.size == (20, 20)
    middles = [drawn.getpixel((x, y)) for y in (5, 15) for x in (5, 15)]
    assert middles == [(0x30,) * 3, (0x2F, 0xA8, 0x4F), (0x24, 0x57, 0xD6), (0xE8,) * 3]


def test_the_image_is_of_the_state_that_is_reached():
    env = env_of("plan_path", OPEN)
    (before,) = seen(env)[-1].images
    env.decide(written(["R", "L", "L"]))
    (same,) = seen(env)[-1].images
    assert same == before and "of which 1 were not allowed" in seen(env)[-1].content
    env.decide(written(["R"]))
    assert seen(env)[-1].images != (before,)
    assert env.copy().multi_modal


@pytest.mark.parametrize("cell", [4, 16, 64])
@pytest.mark.parametrize("name", DRAWN)
def test_every_kind_of_cell_looks_different(name, cell):
    tiles = GAMES.load(name).tiles
    assert len({png([mark], tiles, cell) for mark in tiles}) == len(tiles)


@pytest.mark.parametrize("name", GAMES)
def test_games_that_are_drawn_say_what_of(name):
    game = GAMES.load(name)
    assert bool(game.tiles) == bool(game.picture_rules) == (name in DRAWN)
    assert (f"builtin:{name}" in StatefulEnv.draws) == (name in DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_all_states_of_a_walk_can_be_drawn(name):
    for one in tasks(name, "test"):
        env = StatefulEnv(one, StatefulOptions())
        game = env.game
        state = one.data["state"]
        size = len(game.tiled(state))
        for action in game.read(state, one.data["solution"]):
            assert pixels(png(game.tiled(state), game.tiles, 8)).size == (8 * size, 8 * size)
            state = game.step(state, action)
        assert game.solved(state) and set("".join(game.tiled(state))) <= set(game.tiles)


@pytest.mark.parametrize(
    ("size", "cell", "most"), [(32, 32, None), (32, 33, 32), (16, 64, None), (17, 64, 60)]
)
def test_images_have_at_most_1024_pixels_a_side(size, cell, most):
    found = list(StatefulEnv.misfits("builtin:plan_path", StatefulOptions(map_size=size, cell_pixels=cell)))
    assert [(one.path, one.help) for one in found] == (
        [] if most is None else [(("cell_pixels",), f"set it to at most {most}")]
    )
    assert not list(StatefulEnv.misfits("builtin:sudoku", StatefulOptions(map_size=9, cell_pixels=64)))
