import pytest

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig, ExampleTurn
from pettingllms.envs import ENVS
from pettingllms.types import Message, Task


def env(**options):
    kind = ENVS.load("math_env")
    task = Task("t", "train", {"question": "What is 2 + 3?", "answer": "5"})
    return kind(task, kind.Options(**options))


def agent(name, **settings):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p", **settings))


def fenced(program):
    return f"```python\n{program}\n```"


@pytest.mark.parametrize(
    ("text", "local", "reason"),
    [
        (fenced("print(2 + 3)"), 1.0, "correct"),
        (fenced("print('noise')\nprint(5)"), 1.0, "correct"),
        (fenced("print(6)"), 0.0, "wrong"),
        (fenced("pass"), -1.0, "no_output"),
        (fenced("1/0"), -1.0, "program_error"),
        (fenced("print(5)\nraise SystemExit(3)"), -1.0, "program_error"),
        ("print(5)", -1.0, "no_program"),
        ("```python\nprint(5)", -1.0, "no_program"),
        ("", -1.0, "no_program"),
    ],
)
def test_tool_agent_earns_by_what_its_program_prints_last(text, local, reason):
    play = env()
    assert agent("tool_generator").act(play, text) == (local, reason)
    assert play.team_reward() == 0.0, "a program is no final answer"


def test_error_reward_is_an_option():
    assert agent("tool_generator").act(env(tool_error_reward=-0.25), "").local == -0.25


def test_program_that_never_ends_is_a_timeout():
    outcome = agent("tool_generator").act(env(tool_seconds=0.5), fenced("while True: pass"))
    assert outcome == (-1.0, "program_timeout")


@pytest.mark.parametrize(
    ("text", "local", "team"),
    [(r"\boxed{5}", 1.0, 1.0), (r"\boxed{6}", 0.0, 0.0), ("5", 0.0, 0.0), (r"\boxed{5", 0.0, 0.0)],
)
def test_reasoning_agent_decides_the_team_reward(text, local, team):
    play = env()
    assert agent("reasoning_generator").act(play, text).local == local
    assert play.team_reward() == team


@pytest.mark.parametrize(
    ("answer", "verdict", "local"),
    [("5", "yes", 1.0), ("5", "no", 0.0), ("6", "no", 1.0), ("6", "yes", 0.0), ("6", "perhaps", 0.0)],
)
def test_verifier_earns_by_a_true_verdict(answer, verdict, local):
    play = env()
    play.propose(answer)
    assert agent("verifier").act(play, rf"\boxed{{{verdict}}}").local == local
    assert play.success() is (answer == "5"), "a verdict never changes success"


def test_later_agents_see_what_earlier_ones_did():
    play = env()
    reasoning = agent("reasoning_generator")
    assert reasoning.observe(play) == "What is 2 + 3?"
    agent("tool_generator").act(play, fenced("print(5)"))
    assert reasoning.observe(play) == "What is 2 + 3? A program printed 5."
    reasoning.act(play, r"\boxed{5}")
    assert agent("verifier").observe(play).endswith("A program printed 5. The proposed answer is 5.")


def test_failed_program_is_told():
    play = env()
    agent("tool_generator").act(play, fenced("1/0"))
    assert agent("reasoning_generator").observe(play) == "What is 2 + 3? The program failed."


def test_gold_answer_is_never_shown():
    task = Task("t", "train", {"question": "What is 2 + 3?", "answer": "987654"})
    kind = ENVS.load("math_env")
    play = kind(task, kind.Options())
    play.run("print(1)")
    play.propose("2")
    for name in ("tool_generator", "reasoning_generator", "verifier", "single_agent"):
        assert "987654" not in agent(name).observe(play)


def test_copy_is_independent():
    play = env()
    twin = play.copy()
    twin.propose("5")
    assert twin.success()
    assert play.answer is None


def test_solved_when_program_and_reasoning_agree_or_the_verifier_says_so():
    play = env()
    assert not play.solved()
    play.run("print(6)")
    play.propose("6")
    assert play.solved(), "agreement, right or not"
    play.judge(approved=False)
    assert not play.solved()
    play.judge(approved=True)
    assert play.solved()


def test_messages_hold_system_examples_and_task():
    spoken = agent("tool_generator", system_prompt="S", examples=[ExampleTurn(user="u", assistant="a")])
    assert spoken.messages(env()) == [
        Message("system", "S"),
        Message("user", "u"),
        Message("assistant", "a"),
        Message("user", "What is 2 + 3?"),
    ]
    assert agent("tool_generator", system_prompt="").messages(env())[0].role == "user"
    assert agent("tool_generator").messages(env())[0].role == "system"
