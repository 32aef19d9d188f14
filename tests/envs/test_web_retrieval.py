"""Back ends on the web, against a server of ours: what is asked, what is read, how failures are named."""

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from pettingllms import hiding
from pettingllms.errors import InfrastructureError, RefusedError
from pettingllms.retrieval import opened, web
from pettingllms.retrieval.brave import Brave
from pettingllms.retrieval.passages import Passage, RetrievalError
from pettingllms.retrieval.serper import Serper
from pettingllms.retrieval.tavily import Tavily

KEY = "sk-very-secret-123"
SERVICES = {
    "serper": (Serper, "X-API-KEY", KEY),
    "tavily": (Tavily, "Authorization", f"Bearer {KEY}"),
    "brave": (Brave, "X-Subscription-Token", KEY),
}
each_service = pytest.mark.parametrize("name", SERVICES)


def answer_of(name, pairs):
    """What the service says for these titles and texts."""
    if name == "serper":
        return {"organic": [{"title": title, "snippet": text, "link": "l"} for title, text in pairs]}
    if name == "tavily":
        return {"results": [{"title": title, "content": text, "score": 0.5} for title, text in pairs]}
    return {"query": {}, "web": {"results": [{"title": title, "description": text} for title, text in pairs]}}


class Server(http.server.ThreadingHTTPServer):
    """Answers as `script` says, one entry per request, the last one again and again."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.over = [], [], threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body or "{}")))
        step = self.server.script.pop(0) if len(self.server.script) > 1 else self.server.script[0]
        step(self)

    do_GET = do_POST  # noqa: N815 - names of the base class

    def log_message(self, *arguments):
        pass


def says(content, status=200, **headers):
    def step(handler):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            handler.send_header(key, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return step


def hangs(handler):
    handler.server.over.wait(20)


def drips(handler):
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.wait(0.05):
        try:
            handler.wfile.write(b" ")
        except OSError:
            return


def breaks_off(handler):
    handler.connection.close()


@pytest.fixture
def server():
    one = Server()
    threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
    yield one
    one.over.set()
    one.shutdown()
    one.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(web, "FIRST_WAIT", 0.01)
    yield
    hiding._hidden.clear()


def client(name, server, seconds=5.0):
    kind = SERVICES[name][0]
    local = type(kind.__name__, (kind,), {"address": f"http://127.0.0.1:{server.server_port}/path"})
    return local(KEY, seconds)


@each_service
def test_the_service_is_asked_and_understood(name, server):
    said = [
        ("Rome - Wikipedia", "The capital &amp; more"),
        ("Tiber", "A  river\nof half a \ud800 sign"),
        ("x", "y"),
    ]
    server.script = [says(answer_of(name, said))]
    found = client(name, server).search("rome river", 2)
    assert found == [
        Passage("Rome - Wikipedia", "The capital & more"),
        Passage("Tiber", "A river of half a ? sign"),
    ]
    ((path, headers, body),) = server.asked
    sent = {key.lower(): value for key, value in headers.items()}
    assert sent[SERVICES[name][1].lower()] == SERVICES[name][2] and KEY not in path
    if name == "brave":
        asked = parse_qs(urlsplit(path).query)
        assert asked == {"q": ["rome river"], "count": ["2"], "text_decorations": ["false"]}
    else:
        assert body.get("q", body.get("query")) == "rome river" and 2 in body.values()


@each_service
def test_no_result_is_an_answer(name, server):
    server.script = [says(answer_of(name, []))]
    assert client(name, server).search("x", 3) == []


def test_brave_leaves_out_what_it_does_not_find(server):
    server.script = [says({"query": {"original": "x"}})]
    assert client("brave", server).search("x", 3) == []


@each_service
def test_the_same_query_is_asked_once(name, server):
    server.script = [says(answer_of(name, [("A", "b")]))]
    one = client(name, server)
    assert one.search("x", 3) == one.search("x", 3) and len(server.asked) == 1
    one.search("y", 3)
    one.search("x", 4)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("step", "kind", "times"),
    [
        (says({"message": f"bad key {KEY}"}, 401), "key_refused", 1),
        (says({}, 403), "key_refused", 1),
        (says({}, 400), "bad_answer", 1),
        (says({}, 429), "rate_limited", 3),
        (says({}, 500), "server_error", 3),
        (says({}, 503), "server_error", 3),
        (says(b"<html>", 200), "bad_answer", 1),
        (says(b"", 200), "bad_answer", 1),
        (says([], 200), "bad_answer", 1),
        (says(None, 200), "bad_answer", 1),
        (says({"organic": 3}, 200), "bad_answer", 1),
        (says({"organic": ["text"]}, 200), "bad_answer", 1),
        (says({"organic": [{"title": None}]}, 200), "bad_answer", 1),
        (says({"organic": [{"snippet": "x"}]}, 200), "bad_answer", 1),
        (says({"answerBox": {"answer": "x"}}, 200), "bad_answer", 1),
        (says(b"[" * 100_000, 200), "bad_answer", 1),
        (says({}, 302, Location="http://127.0.0.1:9/elsewhere"), "bad_answer", 1),
        (breaks_off, "unreachable", 3),
    ],
)
def test_each_failure_is_named_and_shows_no_key(step, kind, times, server):
    server.script = [step]
    with pytest.raises(RetrievalError) as caught:
        client("serper", server).search("x", 3)
    assert caught.value.kind == kind and str(caught.value).startswith(f"{kind}: serper")
    assert isinstance(caught.value, InfrastructureError)
    assert KEY not in str(caught.value) and KEY not in repr(caught.value)
    assert len(server.asked) == times


@pytest.mark.parametrize("step", [hangs, drips])
def test_a_server_that_takes_its_time_is_left(step, server):
    server.script = [step]
    with pytest.raises(RetrievalError) as caught:
        client("tavily", server, seconds=0.3).search("x", 3)
    assert caught.value.kind == "timeout"


def test_nobody_listens():
    class Nowhere(Serper):
        address = "http://127.0.0.1:9/x"

    with pytest.raises(RetrievalError) as caught:
        Nowhere(KEY, 5.0).search("x", 3)
    assert caught.value.kind == "unreachable"


def test_a_fault_that_passes_is_waited_for(server):
    server.script = [says({}, 503), says({}, 429), says(answer_of("serper", [("A", "b")]))]
    assert client("serper", server).search("x", 1) == [Passage("A", "b")]


def test_waiting_is_within_the_time_limit(server, monkeypatch):
    monkeypatch.setattr(web, "FIRST_WAIT", 60.0)
    server.script = [says({}, 503)]
    with pytest.raises(RetrievalError):
        client("serper", server).search("x", 1)
    assert len(server.asked) == 1


def test_a_failure_is_not_remembered(server):
    server.script = [says(b"?"), says(answer_of("serper", [("A", "b")]))]
    one = client("serper", server)
    with pytest.raises(RetrievalError):
        one.search("x", 1)
    assert one.search("x", 1) == [Passage("A", "b")]


def test_the_key_comes_from_the_environment_and_is_hidden(monkeypatch):
    monkeypatch.delenv("TAVILY_API_KEY", raising=False)
    with pytest.raises(RefusedError, match="TAVILY_API_KEY is not set"):
        opened.web_retriever("tavily", 1.25)
    monkeypatch.setenv("TAVILY_API_KEY", f" {KEY}\n")
    found = opened.web_retriever("tavily", 1.25)
    assert type(found).__name__ == "Tavily" and opened.web_retriever("tavily", 1.25) is found
    assert hiding.hidden(f"the key is {KEY}!") == "the key is (the key of tavily)!"
    assert KEY not in repr(found)
