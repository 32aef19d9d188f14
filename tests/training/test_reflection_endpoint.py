"""Endpoints that reflect: what they are sent, and all the ways in which one can fail to answer."""

import json
import signal
import threading

import pytest
from reflecting_server import ReflectingServer, completion

from pettingllms.errors import Interrupted, ReflectionError
from pettingllms.training.prompts import reflection_endpoint
from pettingllms.training.prompts.reflection_endpoint import EndpointReflector


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(reflection_endpoint, "FIRST_WAIT", 0.01)


def reflector(url, **changes):
    settings = {"key": None, "timeout": 10.0, "attempts": 3, "temperature": 0.5, "max_tokens": 99}
    return EndpointReflector(url=url, model="writer", **(settings | {"check": lambda: None} | changes))


def test_each_prompt_is_asked_with_its_seed_and_the_key():
    with ReflectingServer(lambda n, request: completion(f"answer {n}")) as server:
        found = reflector(server.url + "/", key="sk-123").answers(["one", "two"], [7, 8])
    assert found == ["```\nanswer 0\n```", "```\nanswer 1\n```"]
    assert server.requests == [
        {
            "model": "writer",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.5,
            "max_tokens": 99,
            "seed": seed,
        }
        for prompt, seed in (("one", 7), ("two", 8))
    ]
    assert [path for path, _ in server.headers] == ["/v1/chat/completions"] * 2
    assert all(headers["Authorization"] == "Bearer sk-123" for _, headers in server.headers)


def test_without_a_key_none_is_sent():
    with ReflectingServer(lambda n, request: completion("x")) as server:
        reflector(server.url).answers(["one"], [7])
    assert "Authorization" not in server.headers[0][1]


@pytest.mark.parametrize("trouble", [(500, "oops"), (429, "slow down"), (200, "<html>"), (200, "{}")])
def test_trouble_that_passes_is_waited_for(trouble):
    with ReflectingServer(lambda n, request: completion("x") if n == 2 else trouble) as server:
        assert reflector(server.url).answers(["one"], [7]) == ["```\nx\n```"]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "body", "asked", "words"),
    [
        (500, "database\n down", 3, "asked 3 times: HTTP 500 Internal Server Error database down"),
        (401, '{"error": "bad key"}', 1, 'asked once: HTTP 401 Unauthorized {"error": "bad key"}'),
        (404, "", 1, "asked once: HTTP 404 Not Found"),
        (302, "http://127.0.0.1:1/elsewhere", 1, "asked once: HTTP 302 Found"),
        (200, "not JSON", 3, "it said what is no chat completion: not JSON"),
        (200, '{"choices": []}', 3, "it said what is no chat completion"),
        (200, json.dumps({"choices": [{"message": {"content": None}}]}), 3, "no chat completion"),
        (200, "", 3, "it said what is no chat completion: nothing"),
        (200, "[1]", 3, "no chat completion: [1]"),
    ],
)
def test_an_endpoint_without_an_answer_is_named_with_what_it_said(status, body, asked, words):
    with ReflectingServer(lambda n, request: (status, body)) as server:
        with pytest.raises(ReflectionError) as error:
            reflector(server.url).answers(["one"], [7])
        assert f"'writer' at {server.url} gave no answer" in str(error.value)
    assert words in str(error.value)
    assert "reflection_url" in error.value.help
    assert len(server.requests) == asked


def test_nobody_there_is_said_in_words():
    with ReflectingServer(lambda n, request: completion("x")) as server:
        url = server.url
    with pytest.raises(ReflectionError, match=r"asked 3 times: .*refused"):
        reflector(url).answers(["one"], [7])


def test_an_answer_that_does_not_come_is_given_up():
    let_go = threading.Event()

    def late(n, request):
        let_go.wait(10)
        return completion("late")

    with ReflectingServer(late) as server:
        with pytest.raises(ReflectionError, match=r"asked 2 times: no answer within 0.3 s"):
            reflector(server.url, timeout=0.3, attempts=2).answers(["one"], [7])
        let_go.set()


def test_a_stop_request_need_not_wait_for_an_answer():
    let_go = threading.Event()

    def late(n, request):
        let_go.wait(10)
        return completion("late")

    def check():
        if server.requests:
            raise Interrupted(signal.SIGTERM)

    with ReflectingServer(late) as server:
        with pytest.raises(Interrupted):
            reflector(server.url, timeout=60.0, check=check).answers(["one"], [7])
        let_go.set()
