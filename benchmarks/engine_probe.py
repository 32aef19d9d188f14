"""Lets the engine's own process tell how long vLLM ran: settings that bring the probe along to it.

Pickled, `Probed` becomes plain settings again where it arrives, after the probe is in place there. Clocks of
both processes agree: `time.perf_counter` counts from the start of the machine.
"""

import time
from dataclasses import dataclass, fields
from pathlib import Path

from pettingllms.rollout.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class Probed(EngineSettings):
    """`report`: where a line is written for each `collect`: its begin, its end, seconds inside vLLM."""

    report: str = ""

    def __reduce__(self):
        plain = {one.name: getattr(self, one.name) for one in fields(EngineSettings)}
        return arrived, (plain, self.report)


def probed(settings: EngineSettings, report: Path) -> Probed:
    """`settings` with the probe."""
    return Probed(**{one.name: getattr(settings, one.name) for one in fields(settings)}, report=str(report))


def arrived(plain, report):
    """Called by unpickling: put the probe in place."""
    from pettingllms.rollout.vllm import VllmEngine

    collect = VllmEngine.collect
    inside = []

    def told(self, wait=True):
        if not inside:
            inside.append(0.0)
            _watch_vllm(inside)
        inside[0] = 0.0
        begin = time.perf_counter()
        done = collect(self, wait)
        with Path(report).open("a") as lines:
            lines.write(f"{begin} {time.perf_counter()} {inside[0]}\n")
        return done

    VllmEngine.collect = told
    return EngineSettings(**plain)


def _watch_vllm(inside):
    """Add up the seconds of vLLM's steps in `inside`."""
    from vllm.v1.engine.llm_engine import LLMEngine

    step = LLMEngine.step

    def timed(self):
        begin = time.perf_counter()
        try:
            return step(self)
        finally:
            inside[0] += time.perf_counter() - begin

    LLMEngine.step = timed
