"""What the `vllm` engine asks of vLLM, in which order: a stand-in for vLLM writes it down."""

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
from engine_models import make_adapter
from served_engines import engine_settings

from pettingllms.errors import RolloutError
from pettingllms.rollout.tied_heads import pack_heads
from pettingllms.rollout.vllm import VllmEngine
from pettingllms.types import FinishReason, Images, Request, TokenSampling

torch = pytest.importorskip("torch")


class FakeLLM:
    """Finishes its oldest request at each step; refuses prompts that begin with 13."""

    def __init__(self, **arguments):
        self.arguments, self.calls, self.inside = arguments, [], []
        self.llm_engine = self.renderer = self
        self.finish = {"finish_reason": "length", "stop_reason": None, "logprob": -1.0}
        self.resets = True
        self.model, self.looks = torch.nn.Linear(3, 2), 0

    def add_request(self, name, prompt, parameters, lora_request):
        ids = prompt if isinstance(prompt, list) else prompt["prompt_token_ids"]
        if ids[0] == 13:
            raise ValueError("an unlucky prompt")
        self.inside.append(name)
        self.calls.append(("add", name, lora_request))

    def has_unfinished_requests(self):
        return bool(self.inside)

    def step(self):
        name = self.inside.pop(0)
        self.calls.append(("step", name))
        given = SimpleNamespace(logprob=self.finish["logprob"])
        answer = SimpleNamespace(token_ids=[7], logprobs=[{7: given}], **self.finish)
        return [SimpleNamespace(request_id=name, outputs=[answer])]

    def collective_rpc(self, name, kwargs):
        assert name == "reload_weights"
        self.calls.append(("weights", sum(float(t.sum()) for _, t in kwargs["weights_iterator"])))

    def apply_model(self, function):
        if function is pack_heads:
            return [None]
        self.looks += 1
        return [function(self.model)]

    def reset_prefix_cache(self):
        self.calls.append(("reset",))
        return self.resets

    def reset_encoder_cache(self):
        self.calls.append(("reset images",))

    def render_cmpl(self, prompts):
        """Puts two placeholders, 9, behind each prompt."""
        return [{"prompt_token_ids": [*one["prompt_token_ids"], 9, 9]} for one in prompts]

    def add_lora(self, request):
        self.calls.append(("load", *request))
        return True

    def remove_lora(self, number):
        self.calls.append(("remove", number))

    def sleep(self, level):
        self.calls.append(("sleep", level))

    def wake_up(self):
        self.calls.append(("wake",))


def module(name, **content):
    made = ModuleType(name)
    vars(made).update(content)
    return made


@pytest.fixture
def start(monkeypatch, tied_model):
    parameters = SimpleNamespace(RequestOutputKind=SimpleNamespace(FINAL_ONLY="final"))
    for name, content in {
        "vllm": {"LLM": FakeLLM, "SamplingParams": lambda **settings: settings},
        "vllm.exceptions": {"VLLMClientError": type("VLLMClientError", (Exception,), {})},
        "vllm.inputs": {"tokens_input": list, "TokensPrompt": dict},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda *parts: parts},
        "vllm.sampling_params": vars(parameters),
    }.items():
        monkeypatch.setitem(sys.modules, name, module(name, **content))
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")
    for name in ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND"):
        monkeypatch.setenv(name, "")

    def build(serving, **changes):
        engine = VllmEngine(engine_settings(tied_model, "vllm", serving, **changes))
        return engine, engine._llm

    return build


def request(policy, first=5):
    return Request(policy, (first, 6), TokenSampling(1.0, 1), 0)


def kinds(llm):
    return [call[0] for call in llm.calls]


def test_merged_policies_run_one_after_the_other_oldest_first(start, tied_model, tmp_path):
    engine, llm = start("merged")
    engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))
    llm.calls.clear()
    engine.submit([(0, request("plain")), (1, request("a")), (2, request("plain"))])
    assert [number for number, _ in engine.collect()] == [0]
    # The policy that runs takes more; the one that waits, waits.
    engine.submit([(3, request("plain"))])
    assert [number for _ in range(3) for number, _ in engine.collect()] == [2, 3, 1]
    assert engine.collect() == []
    # Base weights were there from the start; those of `a` come in once, with an empty cache.
    assert kinds(llm) == ["add", "add", "step", "add", "step", "step", "weights", "reset", "add", "step"]
    engine.submit([(4, request("a"))])
    engine.collect()
    engine.submit([(5, request("plain"))])
    engine.collect()
    weights = [call[1] for call in llm.calls if call[0] == "weights"]
    assert len(weights) == 2
    assert weights[0] != weights[1]


def seeing(*placeholders, short=(5,)):
    return Request("plain", (*short, *placeholders), TokenSampling(1.0, 1), 0, Images((), "", short))


def test_a_prompt_whose_images_vllm_reads_otherwise_fails_alone(start):
    engine, llm = start("adapter", images=True)
    assert llm.arguments["limit_mm_per_prompt"] == {
        "image": {"count": 8, "width": 1024, "height": 1024},
        "video": 0,
    }
    engine.submit([(0, seeing(9)), (1, seeing(9, 9)), (2, request("plain"))])
    done = dict(answer for _ in range(3) for answer in engine.collect())
    assert done[0].error.startswith("a prompt with images has 3 tokens for the engine, and 2 by the model's")
    assert [done[number].finish_reason for number in (1, 2)] == [FinishReason.LENGTH] * 2


def test_what_was_seen_is_forgotten_with_the_prompts(start):
    for images in (True, False):
        engine, llm = start("adapter", images=images)
        engine.forget_prompts()
        assert kinds(llm) == ["reset", *(["reset images"] if images else [])]


def test_an_engine_that_was_started_without_images_takes_none(start):
    engine, llm = start("adapter")
    assert "limit_mm_per_prompt" not in llm.arguments
    engine.submit([(0, seeing(9, 9))])
    ((_, done),) = engine.collect()
    assert done.error == "the prompt holds images, and the engine was started without"


def test_without_waiting_vllm_works_for_a_while_only(start, monkeypatch):
    monkeypatch.setattr("pettingllms.rollout.vllm.WHILE_SECONDS", 0)
    engine, llm = start("adapter")
    llm.step = lambda: llm.calls.append(("step",)) or []
    engine.submit([(0, request("plain"))])
    assert engine.collect(wait=False) == []
    assert kinds(llm) == ["add", "step"]


def test_adapters_run_together_in_the_order_they_came(start, tied_model, tmp_path):
    engine, llm = start("adapter")
    folders = [make_adapter(tied_model, tmp_path / str(seed), seed=seed) for seed in range(3)]
    engine.load_policy("a", 1, folders[0])
    engine.load_policy("b", 1, folders[1])
    engine.load_policy("a", 2, folders[2])
    # Each load has a number of its own, which is in the name, too: the cache is keyed by that.
    assert llm.calls == [
        ("load", "a@1#0", 1, str(folders[0])),
        ("reset",),
        ("load", "b@1#1", 2, str(folders[1])),
        ("reset",),
        ("remove", 1),
        ("load", "a@2#2", 3, str(folders[2])),
        ("reset",),
    ]
    llm.calls.clear()
    engine.submit([(0, request("b")), (1, request("a")), (2, request("plain"))])
    engine.collect()
    adapters = [call[2] and call[2][0] for call in llm.calls[:3]]
    assert adapters == ["b@1#1", "a@2#2", None]


def test_an_engine_asleep_takes_adapters_in_when_it_wakes(start, tied_model, tmp_path):
    engine, llm = start("adapter", device="cuda", may_sleep=True)
    assert llm.arguments["enable_sleep_mode"] is True
    first, second = (make_adapter(tied_model, tmp_path / str(seed), seed=seed) for seed in range(2))
    engine.load_policy("a", 1, first)
    llm.calls.clear()
    engine.sleep()
    engine.sleep()
    engine.load_policy("a", 2, second)
    assert llm.calls == [("sleep", 1)]
    engine.wake()
    engine.wake()
    assert kinds(llm) == ["sleep", "wake", "remove", "load", "reset"]


def test_an_engine_with_a_device_of_its_own_does_not_sleep(start):
    engine, llm = start("adapter")
    engine.sleep()
    engine.wake()
    assert llm.calls == []
    assert "enable_sleep_mode" not in llm.arguments


def test_adapters_are_dropped_and_never_taken_for_those_of_the_next_run(start, tied_model, tmp_path):
    engine, llm = start("adapter")
    folders = [make_adapter(tied_model, tmp_path / str(seed), seed=seed) for seed in range(2)]
    engine.load_policy("a", 1, folders[0])
    llm.calls.clear()
    engine.restore()
    assert llm.calls == [("remove", 1), ("reset",)]
    # The same policy and version: neither number nor name comes back.
    engine.load_policy("a", 1, folders[1])
    assert llm.calls[2:] == [("load", "a@1#1", 2, str(folders[1])), ("reset",)]
    assert llm.looks == 2
    llm.calls.clear()
    engine.restore()
    engine.submit([(0, request("a"))])
    [(_, completion)] = engine.collect()
    assert completion.version == 0
    assert llm.calls[2] == ("add", "0", None)


def test_base_weights_are_sent_again_only_if_others_were(start, tied_model, tmp_path):
    engine, llm = start("merged")
    engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))
    # Loaded, but never served: nothing has changed, and nothing is looked at.
    llm.calls.clear()
    engine.restore()
    assert llm.calls == [("reset",)]
    assert llm.looks == 0
    engine.load_policy("a", 1, tmp_path)
    engine.submit([(0, request("a"))])
    engine.collect()
    llm.calls.clear()
    engine.restore()
    assert kinds(llm) == ["weights", "reset"]
    assert llm.looks == 2
    engine.submit([(0, request("a"))])
    [(_, completion)] = engine.collect()
    assert completion.version == 0
    assert kinds(llm)[2:] == ["add", "step"]


@pytest.mark.parametrize("next_call", ["the same policy", "the base", "restore"])
def test_weights_that_were_half_sent_are_sent_again(start, tied_model, tmp_path, next_call):
    engine, llm = start("merged")
    engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))
    send = llm.collective_rpc

    def fail(name, kwargs):
        next(kwargs["weights_iterator"])
        raise RuntimeError("out of memory")

    llm.collective_rpc = fail
    engine.submit([(0, request("a"))])
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.collect()
    llm.collective_rpc = send
    engine._waiting.clear()
    llm.calls.clear()
    if next_call == "restore":
        engine.restore()
    else:
        engine.submit([(1, request("a" if next_call == "the same policy" else "plain"))])
        engine.collect()
    assert kinds(llm)[:2] == ["weights", "reset"]


@pytest.mark.parametrize("serving", ["adapter", "merged"])
def test_other_weights_than_those_of_the_start_are_an_error(start, serving, tied_model, tmp_path):
    engine, llm = start(serving)
    engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))
    engine.submit([(0, request("a"))])
    engine.collect()
    with torch.no_grad():
        weight = llm.model.weight[1, 2]
        weight.copy_(torch.nextafter(weight, weight + 1))
    with pytest.raises(RolloutError, match="its weights are not those of its start"):
        engine.restore()


def test_an_engine_asleep_wakes_as_it_started(start, tied_model, tmp_path):
    engine, llm = start("adapter", device="cuda", may_sleep=True)
    engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))
    llm.calls.clear()
    engine.sleep()
    engine.restore()
    assert kinds(llm) == ["sleep", "wake", "remove", "reset"]


def test_cache_that_is_still_in_use_is_an_error(start, tied_model, tmp_path):
    engine, llm = start("adapter")
    llm.resets = False
    with pytest.raises(RolloutError, match="still in use"):
        engine.load_policy("a", 1, make_adapter(tied_model, tmp_path, seed=1))


def test_refused_requests_come_first_and_the_others_follow(start):
    engine, llm = start("adapter")
    engine.submit([(0, request("plain")), (1, request("plain", first=13))])
    [(number, refused)] = engine.collect()
    assert (number, refused.finish_reason, refused.error) == (1, FinishReason.FAILED, "an unlucky prompt")
    [(number, answered)] = engine.collect()
    assert (number, answered.finish_reason) == (0, FinishReason.LENGTH)
    assert kinds(llm) == ["add", "step"]


@pytest.mark.parametrize("serving", ["adapter", "merged"])
def test_a_request_that_vllm_has_lost_is_an_error(start, serving):
    engine, llm = start(serving)
    engine.submit([(number, request("plain")) for number in range(3)])
    assert [number for number, _ in engine.collect()] == [0]
    llm.inside.remove("1")
    # What vLLM still has is answered first.
    assert [number for number, _ in engine.collect()] == [2]
    with pytest.raises(RolloutError, match=r"never answered these requests: 1$"):
        engine.collect()


@pytest.mark.parametrize(
    ("finish", "stop", "expected"),
    [
        ("stop", None, FinishReason.STOP),
        ("stop", 2, FinishReason.STOP),
        ("stop", "end", FinishReason.STOP_STRING),
        ("length", None, FinishReason.LENGTH),
        ("abort", None, FinishReason.FAILED),
        ("error", None, FinishReason.FAILED),
        ("repetition", None, FinishReason.FAILED),
    ],
)
def test_every_end_has_its_reason(start, finish, stop, expected):
    engine, llm = start("adapter")
    llm.finish |= {"finish_reason": finish, "stop_reason": stop}
    engine.submit([(0, request("plain"))])
    [(_, completion)] = engine.collect()
    assert completion.finish_reason is expected
    failed = expected is FinishReason.FAILED
    assert completion.token_ids == (() if failed else (7,))
    assert (completion.error is not None) == failed


def test_logprobs_that_are_no_numbers_are_passed_on(start):
    engine, llm = start("adapter")
    llm.finish["logprob"] = math.nan
    engine.submit([(0, request("plain"))])
    [(_, completion)] = engine.collect()
    assert math.isnan(completion.logprobs[0])
