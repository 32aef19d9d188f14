"""An OpenAI-compatible endpoint on the loopback interface that answers as a test says."""

import contextlib
import http.server
import json
import threading


def completion(text):
    """A chat completion whose instruction is `text`."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": f"```\n{text}\n```"}}]})


class ReflectingServer:
    """`reply(n, request)`: (status, body) for the n-th request, from 0; `requests` holds what was asked."""

    def __init__(self, reply):
        self.requests, self.headers = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(json.loads(body))
                outer.headers.append((self.path, dict(self.headers)))
                status, text = reply(len(outer.requests) - 1, outer.requests[-1])
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    if 300 <= status < 400:
                        self.send_header("Location", text)
                    self.end_headers()
                    self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
