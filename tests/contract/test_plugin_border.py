"""What a plug-in raises while it plays costs its samples, and is named with its file and line."""

from functools import partial

import pytest
from stub_rollout import member, play

from pettingllms.agents import AGENTS
from pettingllms.cli.new_env import scaffold
from pettingllms.config.agents import AgentConfig
from pettingllms.envs import ENVS
from pettingllms.plugins import require, use

TEXT = scaffold("spell")["spell_env.py"]


@pytest.fixture(autouse=True)
def none_in_force():
    yield
    use([])


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("        env.answer = text.strip() or None\n", "agent 'spell_writer' failed on task"),
        ('        return self.answer == self.task.data["gold"]\n', "agent 'spell_writer' failed on task"),
        ("        return f\"The word: {env.task.data['word']}\"\n", "agent 'spell_writer' failed on task"),
    ],
)
def test_an_error_of_a_plugin_has_its_place(before, words, tmp_path, caplog):
    raising = before[: len(before) - len(before.lstrip())] + "raise KeyError('mine')\n"
    text = TEXT.replace(before, raising + before)
    plugin = tmp_path / "spell_env.py"
    plugin.write_text(text)
    require([str(plugin)])
    kind = ENVS.load("spell_env")
    options = kind.Options()
    agent = AGENTS.load("spell_writer")(AgentConfig(name="spell_writer", policy_name="p"))
    tasks = list(kind.tasks("words", "train", options, 0))[:1]
    (episode,) = play([member(agent)], tasks, make_env=partial(_made, kind, options)).episodes
    errors = {episode.error, *(sample.error for turn in episode.turns for sample in turn.samples)} - {None}
    line = 1 + text.splitlines().index(raising.rstrip("\n"))
    assert errors == {f"KeyError: 'mine' (spell_env.py:{line})"}
    assert words in caplog.text


def _made(kind, options, task):
    return kind(task, options)
