"""What one slow environment costs the others: `python -m benchmarks.straggler`.

32 environments play eight turns with an engine that is a stub: it answers each request 20 ms after it came.
An action takes an environment 20 ms, in which it waits and does not compute; one of them takes ten times as
long. There are as many threads as environments: waiting needs threads and no cores. The whole play is
compared with that of the slow environment alone, its critical path: streaming, which must stay close to it,
and in phases, where each turn lasts as long as its slowest environment (a loop with a barrier at each turn).
Then it is another environment that is slow in each turn, drawn by chance, and the path is that of the
slowest: here a barrier pays for every one of them.

Left out: a real engine, in which requests share the processor; the stub's delay does not depend on how many
there are.
"""

import random
import time

from benchmarks.harness import Side, command_line, measure, timed
from benchmarks.scheduler_overhead import ANSWER, SameTokens
from benchmarks.talk import rollout, settings, tasks, unheard

ENVIRONMENTS, TURNS, THREADS = 32, 8, 32
DELAY, FAST, SLOW = 0.02, 0.02, 0.2
NOTES = {
    "environments": ENVIRONMENTS,
    "turns": TURNS,
    "threads": THREADS,
    "engine": f"stub, {1000 * DELAY:g} ms per request",
    "action": f"{1000 * FAST:g} ms, slow {1000 * SLOW:g} ms",
}


class Delayed:
    """Answers each request a fixed time after it came."""

    def __init__(self):
        self._due = []

    def submit(self, requests):
        when = time.perf_counter() + DELAY
        self._due += [(when, number) for number, _ in requests]

    def collect(self, wait=True):  # noqa: ARG002 - the protocol's
        time.sleep(max(0.0, self._due[0][0] - time.perf_counter()))
        now = time.perf_counter()
        done = [number for when, number in self._due if when <= now]
        self._due = self._due[len(done) :]
        return [(number, ANSWER) for number in done]


def play(seconds, phases):
    """Seconds of a play of environments whose actions take `seconds`, turn by turn."""
    game = rollout(Delayed(), SameTokens(), turns=TURNS, workers=THREADS, phases=phases)
    places = [tasks(1, seconds=one)[0][1] for one in seconds]
    return timed(lambda: game.play(list(enumerate(places)), settings(), unheard))()


def main(arguments=None):
    """Measure one that is always slow, and one per turn."""
    options = command_line(__doc__).parse_args(arguments)
    always = [[FAST] * TURNS for _ in range(ENVIRONMENTS)]
    always[ENVIRONMENTS // 2] = [SLOW] * TURNS
    chance, drawn = [[FAST] * TURNS for _ in range(ENVIRONMENTS)], random.Random(0)
    for turn in range(TURNS):
        chance[drawn.randrange(ENVIRONMENTS)][turn] = SLOW
    for name, what, seconds in (
        ("straggler", "one environment is slow", always),
        ("straggler-random", "another environment is slow in each turn", chance),
    ):
        alone = Side("the slowest alone", lambda seconds=seconds: play([max(seconds, key=sum)], False))
        for mode, phases, limit in (("streaming", False, 1.1), ("phases", True, None)):
            measure(
                name if mode == "streaming" else f"{name}-{mode}",
                f"{what}: all, {mode} / its critical path",
                Side(f"all, {mode}", lambda seconds=seconds, phases=phases: play(seconds, phases)),
                alone,
                unit="s",
                runs=options.runs,
                at_most=limit if name == "straggler" else None,
                notes=NOTES,
                save=options.save,
            )


if __name__ == "__main__":
    main()
