"""Every shipped environment and agent, and one of a file outside of the package, keep their contract."""

import pytest
from subjects import SUBJECTS

from pettingllms.agents import AGENTS
from pettingllms.cli.new_env import scaffold
from pettingllms.contract import CHECKS, Example, Subject
from pettingllms.envs import ENVS


@pytest.fixture(scope="session")
def outside(tmp_path_factory):
    """The environment of `new env`, in a file of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "spell_env.py").write_text(scaffold("spell")["spell_env.py"])
    gold = Example(lambda env: env.task.data["gold"], lambda env: "aaa")
    plugins = [str(folder / "spell_env.py")]
    return Subject("spell_env", "words", {"spell_writer": gold}, {"letters": 5}, plugins)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*SUBJECTS, "outside"])
def test_the_contract_is_kept(name, check, request):
    check(request.getfixturevalue("outside") if name == "outside" else SUBJECTS[name])


def test_every_shipped_environment_and_agent_is_checked():
    shipped = {name for name in ENVS if ENVS[name].startswith("pettingllms.")}
    assert shipped == {subject.environment for subject in SUBJECTS.values()}
    played = {name for subject in SUBJECTS.values() for name in subject.examples}
    assert {name for name in AGENTS if AGENTS[name].startswith("pettingllms.")} == played
