"""What cheap strategies earn, beside what an honest wrong answer earns; prints a table per environment.

A strategy earns too much where its mean over the states is above that of honest wrong answers.

Usage: python -m benchmarks.hacking [ENVIRONMENT …], or "stateful_env, shaping"
"""

import sys
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks import hacks_code, hacks_math, hacks_search, hacks_stateful
from benchmarks.hacks import earned
from pettingllms.envs.code import CodeOptions
from pettingllms.envs.math import MathOptions
from pettingllms.envs.search import SearchOptions
from pettingllms.envs.stateful import StatefulOptions

ENVIRONMENTS: dict[str, tuple[Any, Any]] = {
    "code_env": (hacks_code, CodeOptions(seconds=2.0, max_generated_tests=12)),
    "math_env": (hacks_math, MathOptions(tool_seconds=2.0)),
    "search_env": (hacks_search, SearchOptions()),
    "stateful_env": (hacks_stateful, StatefulOptions(validation_size=2, test_size=2)),
    "stateful_env, shaping": (hacks_stateful, StatefulOptions(validation_size=2, test_size=2, shaping=0.5)),
}


class Row(NamedTuple):
    """`mean`, `most`: what a strategy earns over the states; `honest`: the mean of honest wrong answers."""

    agent: str
    strategy: str
    mean: float
    most: float
    honest: float

    @property
    def pays(self) -> bool:
        return self.mean > self.honest + 1e-9


def rows(name: str, most: int | None = None) -> list[Row]:
    """The table of one environment, over its first `most` states."""
    hacks, options = ENVIRONMENTS[name]
    states = hacks.states(options)[:most]

    def get(env: Any, agent: str, text: str) -> float:
        return earned(env, agent, text, team=agent in hacks.FINAL)

    honest = {
        agent: fmean(fmean(get(env, agent, text) for text in hacks.honest(env, agent)) for env in states)
        for agent in {hack.agent for hack in hacks.HACKS}
    }
    found = []
    for hack in hacks.HACKS:
        got = [get(env, hack.agent, hack.said(env)) for env in states]
        found.append(Row(hack.agent, hack.name, fmean(got), max(got), honest[hack.agent]))
    return found


def main() -> int:
    failed = 0
    for name in sys.argv[1:] or ENVIRONMENTS:
        table = rows(name)
        paying = [row for row in table if row.pays]
        print(f"{name}: {len(table)} strategies, {len(paying)} earn more than an honest wrong answer")
        print(f"  {'agent':20} {'strategy':48} {'mean':>6} {'most':>6} {'honest wrong':>13}")
        for row in table:
            mark = "  <- pays" if row.pays else ""
            print(
                f"  {row.agent:20} {row.strategy:48} {row.mean:6.3f} {row.most:6.3f} {row.honest:13.3f}{mark}"
            )
        failed += len(paying)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
