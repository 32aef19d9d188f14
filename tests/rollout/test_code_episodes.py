"""`code_env` played as in training: candidates on copies, two agents whose rewards differ."""

import itertools

from stub_rollout import StubEngine, play

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.code import CodeEnv, CodeOptions
from pettingllms.envs.code_problems import PROBLEMS
from pettingllms.types import StopReason, Task

(DOUBLE,) = (problem for problem in PROBLEMS if problem.name == "double")
PROGRAMS = [f"```python\n{source}\n```" for source in (*DOUBLE.wrong, "1/0", DOUBLE.golden)]
TESTS = [
    f"**Test Input:**\n```\n{given}\n```\n**Test Output:**\n```\n{wanted}\n```"
    for given, wanted in ((70, 140), (70, 70), (2, 4), (0, 0))
]


def test_each_agent_earns_its_own_and_the_best_candidate_goes_on():
    replies = itertools.chain(PROGRAMS, TESTS)
    order = [
        AGENTS.load(name)(AgentConfig(name=name, policy_name="p"))
        for name in ("code_generator", "test_generator")
    ]
    (episode,) = play(
        order,
        [Task("double", "train", DOUBLE.data())],
        engine=StubEngine(lambda _: next(replies)),
        make_env=lambda task: CodeEnv(task, CodeOptions()),
        resolve=True,
    ).episodes
    programs, tests = episode.turns
    assert [sample.reward.local for sample in programs.samples] == [0.0, 0.0, 0.0, 1.0]
    assert [sample.reward.team for sample in programs.samples] == [0.0, 0.0, 0.0, 1.0]
    assert programs.chosen == 3
    # Two wrong programs: 2 * "70" and 70 + 2; for 2 the second is right, and the first prints 22.
    assert [sample.reward.local for sample in tests.samples] == [1.0, 0.0, 1.0, 1.0]
    assert {sample.reward.team for sample in tests.samples} == {1.0}
    assert episode.success and episode.stop_reason is StopReason.SOLVED
    assert episode.metrics["env/agreement"] == 1.0 and episode.metrics["env/agreed_but_wrong"] == 0.0
