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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"\boxed{5}", "correct"),
        (r"\boxed{6}", "wrong"),
        (r"\boxed{\frac{}", "no_answer"),
        (r"\boxed{\}}", "unparsable"),
        (r"\boxed{9^{9^{9}}}", "timeout"),
        ("#### 5", "correct"),
        ("#### 6\n\\boxed{5}", "correct"),
        # The whole answer was parsed once, in which any number counts.
        ("1 2 3 4 5", "no_answer"),
        ("The answer is 5.", "no_answer"),
        (r"\boxed{1 2 3 4 5}", "wrong"),
        (r"\boxed{5} or \boxed{6}", "wrong"),
        (r"\boxed{6} or rather \boxed{5}", "correct"),
    ],
)
def test_an_answer_says_why_it_earns_what_it_earns(text, reason):
    play = env()
    outcome = agent("reasoning_generator").act(play, text)
    assert outcome == (float(reason == "correct"), reason)
    measured = {} if reason == "no_answer" else dict.fromkeys(("grading_timeout", "unparsable"), 0.0)
    measured |= {"timeout": {"grading_timeout": 1.0}, "unparsable": {"unparsable": 1.0}}.get(reason, {})
    assert play.metrics() == measured


def test_the_reference_comes_first_when_expressions_are_compared():
    # An interval may stand for an inequality, and an inequality for an interval not (math-verify 0.9).
    kind = ENVS.load("math_env")
    for gold, answer, right in ((r"0\le x<1", "[0,1)", True), ("[0,1)", r"0\le x<1", False)):
        play = kind(Task("t", "train", {"question": "q", "answer": gold}), kind.Options())
        assert (play.propose(answer).reason == "correct") is right


def test_the_tool_agent_earns_without_anybody_having_reasoned():
    # There is no verdict of the reasoning agent to add, where it has not spoken yet.
    play = env()
    assert play.answer is None and agent("tool_generator").act(play, fenced("print(5)")).local == 1.0


def test_local_and_team_reward_are_told_apart():
    play = env()
    outcome = agent("reasoning_generator").act(play, r"\boxed{5}")
    assert (outcome.local, play.team_reward()) == (1.0, 1.0)
    assert agent("tool_generator").act(play, fenced("print(6)")).local == 0.0


@pytest.mark.parametrize(
    ("simplified", "required", "reason"),
    [(True, None, "wrong"), (False, None, "correct"), (True, False, "correct"), (False, True, "wrong")],
)
def test_an_expression_is_no_answer_where_numbers_have_to_be_simplified(simplified, required, reason):
    kind = ENVS.load("math_env")
    task = Task("t", "train", {"question": "What is 6*7?", "answer": "42", "simplified": simplified})
    assert kind(task, kind.Options(require_simplified=required)).propose("6*7").reason == reason


def test_an_aggregator_sees_all_answers_and_gives_the_final_one():
    play = env()
    reasoning, tool, last = map(agent, ("sample_reasoning_agent", "sample_tool_agent", "aggregator"))
    assert last.observe(play) == "What is 2 + 3? Nobody gave an answer."
    assert reasoning.act(play, r"\boxed{5}").local == 1.0
    assert reasoning.act(play, r"\boxed{7}").local == 0.0
    assert reasoning.act(play, "5").reason == "no_answer"
    assert tool.act(play, fenced("print(5)")).local == 1.0
    assert tool.act(play, fenced("1/0")) == (-1.0, "program_error")
    assert reasoning.observe(play) == tool.observe(play) == "What is 2 + 3?"
    assert not play.success() and play.team_reward() == 0.0, "no sample is the team's answer"
    assert last.observe(play) == "What is 2 + 3? Given answers: 5, 7, 5."
    assert last.act(play, r"\boxed{5}").local == 1.0 and play.success()


def test_a_self_verifying_agent_answers_until_it_approves():
    play, alone = env(), agent("math_selfverify_single_agent")
    assert alone.act(play, r"\boxed{6}").reason == "wrong"
    assert "The proposed answer is 6." in alone.observe(play)
    assert alone.act(play, r"\boxed{no}") == (0.0, "correct")
    assert not alone.skips(play)
    assert alone.act(play, r"\boxed{5}").reason == "correct"
    assert alone.act(play, r"\boxed{yes}") == (1.0, "correct")
    assert alone.skips(play) and play.success()


def test_nothing_is_earned_by_wrong_answers_of_ones_own_that_are_rejected_or_approved():
    alone = agent("math_selfverify_single_agent")

    def earned(*words):
        play = env()
        return sum(alone.act(play, rf"\boxed{{{word}}}").local + play.team_reward() for word in words)

    # In each turn with what the team earns by then, as samples are rewarded.
    assert earned("5", "yes") == 4
    assert earned("6", "no", "7", "no", "8", "no", "9", "no") == 0
    assert earned("6", "yes") == -1
    assert earned("5", "no", "5", "no") == 4, "no more than to approve at once"
    assert earned("6", "perhaps") == -1, "no verdict is no way around a false one"


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
