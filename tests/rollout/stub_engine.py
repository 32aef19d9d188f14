"""An engine's process, all but the engine: no model, it starts at once, and dies when its plan says so."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from pettingllms.rollout import engine_server
from pettingllms.types import Completion, FinishReason


def hang_up():
    os.dup2(os.open(os.devnull, os.O_WRONLY), ANSWERS)
    time.sleep(60)


ENDS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit": lambda: os._exit(7),
    "hang up": lambda: (
        os.close(ANSWERS),
        os.dup2(os.open(os.devnull, os.O_WRONLY), ANSWERS),
        time.sleep(60),
    ),
    "garble": lambda: (os.write(ANSWERS, b"nonsense"), time.sleep(60)),
}


class StubEngine:
    """Two requests to a batch, of one policy; a token of an answer for everything that it depends on.

    `plan`: the end that comes at call number `call`, `when` it is asked or once it is carried out.
    """

    def __init__(self, plan):
        self.plan, self.count = plan, 0
        self.pending, self.versions, self.asleep = [], {}, False

    def told(self, when):
        if self.plan and (self.plan["call"], self.plan["when"]) == (self.count, when):
            ENDS[self.plan["end"]]()

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if name not in ("submit", "collect", "load_policy", "sleep", "wake", "restore"):
            return found

        def call(*arguments):
            self.count += 1
            self.told("asked")
            answer = found(*arguments)
            self.told("done")
            return answer

        return call

    def submit(self, requests):
        assert not self.asleep
        assert not {number for number, _ in self.pending} & {number for number, _ in requests}
        self.pending += requests

    def collect(self, wait=True):
        assert not self.asleep
        policy = self.pending[0][1].policy if self.pending else None
        batch = [one for one in self.pending if one[1].policy == policy][:2]
        self.pending = [one for one in self.pending if one not in batch]
        together = tuple(request.seed for _, request in batch)
        version = self.versions.get(policy, (0, None))[0]
        return [
            (number, Completion((request.seed, *together), (-1.0,), FinishReason.STOP, version))
            for number, request in batch
        ]

    def load_policy(self, policy, version, folder):
        assert not self.pending and not self.asleep
        self.versions[policy] = (version, folder)

    def sleep(self):
        assert not self.pending
        self.asleep = True

    def wake(self):
        self.asleep = False

    def restore(self):
        self.versions.clear()

    def close(self):
        pass


def build(settings):
    """The engine of the next plan in the model's folder; the process leaves its number there."""
    folder = Path(settings.model_folder)
    number = len(list(folder.glob("*.pid")))
    (folder / f"{number}.pid").write_text(str(os.getpid()))
    plan = folder / f"{number}.json"
    engine = StubEngine(json.loads(plan.read_text()) if plan.exists() else None)
    if engine.plan and engine.plan["call"] == 0:
        ENDS[engine.plan["end"]]()
    return True, engine


if __name__ == "__main__":
    ANSWERS = os.dup(1)
    os.dup2(2, 1)
    engine_server.build = build
    engine_server.BEAT_SECONDS = 0.1
    engine_server.main(sys.stdin.buffer, os.fdopen(ANSWERS, "wb"))
