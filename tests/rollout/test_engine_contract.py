"""What every engine does, whatever is behind it."""

from dataclasses import replace

import pytest

from pettingllms.errors import RolloutError
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import generate
from pettingllms.types import FinishReason, Request, TokenSampling

pytestmark = pytest.mark.usefixtures("one_thread")

WITH_WEIGHTS = ["hf", "hf_merged", "vllm_merged", "vllm_adapter"]
PROMPTS = [tuple(range(5, 5 + length)) for length in (3, 40, 70)]


@pytest.fixture(params=["scripted", *WITH_WEIGHTS])
def served(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=WITH_WEIGHTS)
def weighted(request):
    """Engines that sample; `scripted` only pretends."""
    return request.getfixturevalue(request.param)


def ask(policy="plain", temperature=1.0, seeds=range(4), prompts=PROMPTS, max_tokens=12, **sampling):
    drawn = TokenSampling(temperature, max_tokens, **sampling)
    return [Request(policy, prompt, drawn, seed) for prompt in prompts for seed in seeds]


def collect_all(engine, count):
    """All answers by number, each exactly once, and the sizes they came in."""
    answers, sizes = {}, []
    while len(answers) < count:
        done = engine.collect()
        assert done and not answers.keys() & dict(done).keys()
        answers |= dict(done)
        sizes.append(len(done))
    assert engine.collect() == []
    return answers, sizes


def assert_same(completions, expected):
    """Equal but for the rounding of log-probabilities, which depends on what else is in a batch."""
    assert [(c.token_ids, c.finish_reason, c.version) for c in completions] == [
        (c.token_ids, c.finish_reason, c.version) for c in expected
    ]
    for completion, other in zip(completions, expected, strict=True):
        assert completion.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_answers_bear_the_numbers_of_their_requests(served):
    requests = ask()
    expected = generate(served.engine, requests)
    numbers = [100 - 7 * place for place in range(len(requests))]
    served.engine.submit(list(zip(numbers, requests, strict=True)))
    answers, _ = collect_all(served.engine, len(requests))
    assert_same([answers[number] for number in numbers], expected)


def test_several_batches_are_in_flight(served):
    first, second = ask("a", seeds=range(3)), ask("b", seeds=range(3, 7))
    expected = generate(served.engine, first) + generate(served.engine, second)
    served.engine.submit(list(enumerate(first)))
    begun = dict(served.engine.collect())
    served.engine.submit(list(enumerate(second, start=len(first))))
    answers, _ = collect_all(served.engine, len(expected) - len(begun))
    answers |= begun
    assert_same([answers[number] for number in range(len(expected))], expected)


def test_nothing_pending_is_nothing_done(served):
    assert served.engine.collect() == []
    served.engine.submit([])
    assert served.engine.collect() == []


def test_seeds_decide_whatever_else_is_in_the_batch(served):
    completions = generate(served.engine, ask())
    assert_same(generate(served.engine, ask()), completions)
    alone = generate(served.engine, ask(seeds=[1]))
    assert [one.token_ids for one in alone] == [one.token_ids for one in completions[1::4]]
    assert len({one.token_ids for one in completions[:4]}) > 1


def test_every_token_has_its_logprob(served):
    for completion in generate(served.engine, ask()):
        assert len(completion.token_ids) == len(completion.logprobs) > 0
        assert max(completion.logprobs) <= 0
        assert completion.error is None


def test_end_tokens_and_limits_are_told_apart(served):
    end_ids = ChatTokenizer(served.model, trust_remote_code=False).end_ids
    for completion in generate(served.engine, ask(max_tokens=5, seeds=range(8))):
        ended = completion.token_ids[-1] in end_ids
        assert not end_ids & set(completion.token_ids[:-1])
        assert completion.finish_reason is (FinishReason.STOP if ended else FinishReason.LENGTH)
        assert ended or len(completion.token_ids) == 5


def test_stop_strings_end_a_completion_with_the_token_that_completes_them(served):
    tokenizer = ChatTokenizer(served.model, trust_remote_code=False)
    requests = ask(prompts=[tuple(tokenizer.encode("12 34"))], seeds=range(6))
    stopped = []
    for request, free in zip(requests, generate(served.engine, requests), strict=True):
        text = tokenizer.decode(free.token_ids)
        if len(text) > 1:
            stop = text[len(text) // 2 - 1 : len(text) // 2 + 1]
            sampling = replace(request.sampling, stop=(stop,))
            stopped.append((replace(request, sampling=sampling), free, stop))
    assert len(stopped) >= 3
    completions = generate(served.engine, [request for request, _, _ in stopped])
    for completion, (_, free, stop) in zip(completions, stopped, strict=True):
        needed = next(count for count in range(99) if stop in tokenizer.decode(free.token_ids[:count]))
        assert completion.token_ids == free.token_ids[:needed]
        assert completion.logprobs == pytest.approx(free.logprobs[:needed], abs=1e-4)
        assert completion.finish_reason is FinishReason.STOP_STRING


def test_a_prompt_that_cannot_be_answered_fails_alone(served):
    good = ask()
    expected = generate(served.engine, good)
    bad = ask(prompts=[(5,) * 600, (5,) * 512], seeds=[0])
    completions = generate(served.engine, [*bad, *good])
    assert_same(completions[2:], expected)
    for completion in completions[:2]:
        assert (completion.token_ids, completion.logprobs) == ((), ())
        assert completion.finish_reason is FinishReason.FAILED
        assert completion.error


def test_a_version_is_answered_once_it_is_loaded(served):
    before = {one.version for one in generate(served.engine, ask("a"))}
    assert before == {served.versions.get("a", 0)}
    version, _ = served.load("a", seed=1)
    assert {one.version for one in generate(served.engine, ask("a"))} == {version}
    assert {one.version for one in generate(served.engine, ask("plain"))} == {0}


def test_what_was_said_greedily_is_said_again_after_sleep(served):
    served.load("b", seed=2)
    before = generate(served.engine, ask("b", temperature=0.0))
    served.engine.sleep()
    served.engine.wake()
    assert_same(generate(served.engine, ask("b", temperature=0.0)), before)


def test_an_adapter_that_is_not_there_is_an_error_and_changes_nothing(served, tmp_path):
    before = generate(served.engine, ask("a"))
    with pytest.raises((RolloutError, FileNotFoundError)):
        served.engine.load_policy("a", 99, tmp_path / "nothing")
    assert_same(generate(served.engine, ask("a")), before)


def test_a_restored_engine_is_as_it_started(served):
    served.restore()
    requests = ask("a", temperature=0.0)
    before = generate(served.engine, requests)
    assert {one.version for one in before} == {0}
    for seed in range(2):
        served.load("a", seed=seed, size=0.3)
        served.load("b", seed=seed + 2, size=0.3)
        other = generate(served.engine, requests + ask("b"))
        assert {one.version for one in other} == {1}
        served.restore()
        assert_same(generate(served.engine, requests), before)
        served.restore()
        assert_same(generate(served.engine, requests), before)


def test_temperature_0_is_greedy(weighted):
    requests = ask(temperature=0.0)
    completions = generate(weighted.engine, requests)
    for place in range(0, len(completions), 4):
        assert len({one.token_ids for one in completions[place : place + 4]}) == 1
    # With a temperature that is nearly nothing the likeliest token is the only one.
    cold = generate(weighted.engine, ask(temperature=0.01))
    assert [one.token_ids for one in cold] == [one.token_ids for one in completions]
    mixed = generate(weighted.engine, [*requests, *ask()])
    assert [one.token_ids for one in mixed[: len(requests)]] == [one.token_ids for one in completions]


def test_tokens_and_prompts_that_do_not_exist_fail(weighted):
    completions = generate(weighted.engine, ask(prompts=[(), (10_000,), (-1,), (5,)], seeds=[0]))
    failed = [one.finish_reason is FinishReason.FAILED for one in completions]
    assert failed == [True, True, True, False]


def test_weights_do_not_change_under_a_request(weighted):
    weighted.engine.submit(list(enumerate(ask())))
    with pytest.raises(RolloutError, match="cannot take new weights while 12 requests are pending"):
        weighted.engine.load_policy("a", 1, weighted.folder / "nothing")
    with pytest.raises(RolloutError, match="cannot sleep while 12 requests are pending"):
        weighted.engine.sleep()
    with pytest.raises(RolloutError, match="cannot be restored while 12 requests are pending"):
        weighted.engine.restore()
    assert len(collect_all(weighted.engine, 12)[0]) == 12


def test_prompt_and_answer_share_the_length_of_the_model(weighted):
    [completion] = generate(weighted.engine, ask(prompts=[(5,) * 509], seeds=[2], temperature=0.0))
    assert len(completion.token_ids) <= 3
    assert completion.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
