"""What a turn costs beside engine and environment: `python -m benchmarks.scheduler_overhead`.

The whole rollout plays (episodes, prompts, requests, threads, records of turns) with an engine that answers
at once, a tokenizer that gives every chat the same three tokens, and environments and agents that do next to
nothing. One agent, K = 1, eight turns; 100, 1,000 and 5,000 environments at once, two threads for their work,
as a machine of two cores has. Every run plays 5,000 environments: five plays of 1,000, fifty of 100. Their
time over their turns is the figure: streaming, and with phases.

Left out: the engine's process and its pipe, the model's tokenizer, and the chat template; `rollout_speed` has
them.
"""

import time

from benchmarks.harness import Side, command_line, measure
from benchmarks.talk import rollout, settings, tasks, unheard
from pettingllms.types import Completion, FinishReason

TURNS, THREADS = 8, 2
ENVIRONMENTS = 5000
"""Played in each run, all at once or a few after another: one hiccup decides no figure."""
LIMIT_MS = 0.3
ANSWER = Completion(tuple(b"ok"), (-1.0, -1.0), FinishReason.STOP, 0)


class SameTokens:
    """A tokenizer without work."""

    def chat(self, messages):  # noqa: ARG002 - whatever they say
        return [1, 2, 3]

    def encode(self, text):  # noqa: ARG002
        return [1]

    def decode(self, token_ids):  # noqa: ARG002
        return "ok"


class AtOnce:
    """An engine without latency."""

    def __init__(self):
        self._pending = []

    def submit(self, requests):
        self._pending += requests

    def collect(self, wait=True):  # noqa: ARG002 - the protocol's
        done, self._pending = self._pending, []
        return [(number, ANSWER) for number, _ in done]


def milliseconds_per_turn(environments, phases):
    """Milliseconds per turn: of one play, or of small ones after another until as many were played."""
    plays = max(1, ENVIRONMENTS // environments)
    taken = 0.0
    for _ in range(plays):
        game = rollout(AtOnce(), SameTokens(), turns=TURNS, workers=THREADS, phases=phases)
        places = tasks(environments)
        begin = time.perf_counter()
        game.play(places, settings(), unheard)
        taken += time.perf_counter() - begin
    return 1000 * taken / (plays * environments * TURNS)


def main(arguments=None):
    """Measure both ways of playing."""
    options = command_line(__doc__).parse_args(arguments)
    notes = {"turns": TURNS, "threads": THREADS, "K": 1}
    for name, phases in (("streaming", False), ("phases", True)):

        def side(environments, phases=phases):
            return Side(f"{environments:,} environments", lambda: milliseconds_per_turn(environments, phases))

        measure(
            f"scheduler_overhead-{name}",
            f"time per turn beside engine and environments, {name}",
            side(1000),
            Side("the limit", lambda: LIMIT_MS),
            unit="ms",
            runs=options.runs,
            at_most=1.0,
            notes=notes,
            save=options.save,
        )
        measure(
            f"scheduler_overhead-{name}-flat",
            f"time per turn at 5,000 environments over that at 100, {name}",
            side(5000),
            side(100),
            unit="ms",
            runs=options.runs,
            at_most=1.2,
            notes=notes,
            save=options.save,
        )


if __name__ == "__main__":
    main()
