"""What the whole loop costs beside the engine: `python -m benchmarks.rollout_speed`.

Tokens per second of a rollout (episodes, prompts, chat template, tokenizer, scheduler, the pipe to the engine
process, environments, records) over those of vLLM's own `LLM.generate`, which gets the same token prompts,
sampling parameters and seeds, recorded from a first play, wave by wave, as they went to the engine. Both
sides have an engine process of the same settings (embedded model, merged weights in float32, two threads);
both forget their prefixes before each run. Two agents share one policy; tree mode, K = 8, 8 tasks, at most 32
new tokens, in phases, as on the CPU by default: two turns, and a single turn.

Left out: the environments' own work, which is close to nothing here. `outside the engine`: the share of its
time in which the loop does not wait for the engine; what the pipe to it takes is not in there.
"""

import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Side, command_line, measure
from benchmarks.real_engine import THREADS, embedded_model, engine_settings
from benchmarks.talk import rollout, settings, tasks, unheard
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.types import TokenSampling

TASKS, CANDIDATES = 8, 8
SAMPLING = TokenSampling(1.0, 32)


class Watched:
    """An engine that keeps what it was asked, and how long it was waited for."""

    def __init__(self, engine):
        self._engine = engine
        self.waves, self.seconds = [], 0.0

    def submit(self, requests):
        begin = time.perf_counter()
        self.waves.append([request for _, request in requests])
        self._engine.submit(requests)
        self.seconds += time.perf_counter() - begin

    def collect(self, wait=True):
        begin = time.perf_counter()
        done = self._engine.collect(wait)
        self.seconds += time.perf_counter() - begin
        return done


class Loop:
    """Plays; `outside`: the share of each run in which nobody waited for the engine."""

    def __init__(self, engine, tokenizer, turns):
        self._engine, self._tokenizer, self._turns = engine, tokenizer, turns
        self.outside, self.waves, self.tokens = [], [], []

    def run(self):
        self._engine.restore()
        watched = Watched(self._engine)
        game = rollout(
            watched,
            self._tokenizer,
            turns=self._turns,
            workers=THREADS,
            phases=True,
            agents=2,
            sampling=SAMPLING,
        )
        begin = time.perf_counter()
        episodes = game.play(tasks(TASKS), settings(candidates=CANDIDATES), unheard)
        seconds = time.perf_counter() - begin
        self.outside.append(1 - watched.seconds / seconds)
        self.waves = watched.waves
        self.tokens = [
            [list(sample.completion.token_ids) for one in episodes for sample in one.turns[turn].samples]
            for turn in range(self._turns)
        ]
        return sum(len(ids) for wave in self.tokens for ids in wave) / seconds


class Bare:
    """The child that calls `LLM.generate`."""

    def __init__(self, told, log):
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_generate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        self._send(told)

    def wait_ready(self):
        pickle.load(self._child.stdout)

    def generate(self, waves):
        """Seconds, and the token ids of each request."""
        self._send(waves)
        return pickle.load(self._child.stdout)

    def close(self):
        self._child.stdin.close()
        self._child.wait()

    def _send(self, value):
        pickle.dump(value, self._child.stdin)
        self._child.stdin.flush()


def main(arguments=None):
    """Measure two turns, then one."""
    options = command_line(__doc__).parse_args(arguments)
    model = embedded_model()
    told = engine_settings(model, max_model_len=512, max_num_seqs=TASKS * CANDIDATES)
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "bare.log").open("wb") as log,
        closing(Bare(told, log)) as bare,
        closing(EngineProcess(told, Path(folder) / "engine.log", lambda: None)) as engine,
    ):
        tokenizer = ChatTokenizer(model, False)
        bare.wait_ready()
        engine.wait_ready()
        for figure, turns, limit in (("rollout_speed", 2, 0.95), ("rollout_speed-single_turn", 1, 0.97)):
            compare(figure, turns, limit, Loop(engine, tokenizer, turns), bare, options)


def compare(figure, turns, limit, loop, bare, options):
    """One figure; both sides must have sampled the same tokens."""
    loop.run()
    waves = loop.waves

    notes = {
        "tasks": TASKS,
        "K": CANDIDATES,
        "turns": turns,
        "requests": sum(map(len, waves)),
        "waves": len(waves),
        "prompt tokens": sum(len(request.prompt_ids) for wave in waves for request in wave),
        "new tokens": sum(len(ids) for wave in loop.tokens for ids in wave),
        "same tokens on both sides": True,
    }

    def replay():
        seconds, tokens = bare.generate(waves)
        notes["same tokens on both sides"] = notes["same tokens on both sides"] and tokens == loop.tokens
        notes["share of time outside the engine"] = statistics.median(loop.outside)
        return sum(len(ids) for wave in tokens for ids in wave) / seconds

    loop.outside.clear()
    measure(
        figure,
        f"tokens/s of the whole loop / of bare LLM.generate with the same prompts and seeds, turns: {turns}",
        Side("loop", loop.run),
        Side("bare generate", replay),
        unit="tokens/s",
        runs=options.runs,
        at_least=limit,
        notes=notes,
        save=options.save,
    )


if __name__ == "__main__":
    main()
