"""An engine's host, all but the engine: that needs no model, starts at once, and answers with seeds."""

import os

from pettingllms.errors import RolloutError
from pettingllms.process import end_with_parent
from pettingllms.rollout import engine_host
from pettingllms.types import Completion, FinishReason


class StubEngine:
    def __init__(self):
        self.pending, self.versions = [], {}

    def submit(self, requests):
        self.pending += requests

    def collect(self, wait=True):
        done, self.pending = self.pending, []
        return [(number, self.reply(request)) for number, request in done]

    def reply(self, request):
        version = self.versions.get(request.policy, 0)
        return Completion((request.seed,), (-1.0,), FinishReason.STOP, version)

    def load_policy(self, policy, version, folder):
        self.versions[policy] = version

    def restore(self):
        if self.pending:
            raise RolloutError(f"{len(self.pending)} requests are pending")
        self.versions.clear()

    def close(self):
        print("closed", flush=True)


def build(settings):
    """There is none for a model whose folder says so."""
    assert os.read(0, 1) == b"", "an engine's own processes would inherit the socket"
    if (settings.model_folder / "broken").exists():
        return False, "OSError: the model is broken"
    return True, StubEngine()


if __name__ == "__main__":
    engine_host.build = build
    end_with_parent()
    engine_host.main()
