"""The claim as arithmetic: how near to the exact gradient each way to group samples comes, at equal samples.

The columns are explained in docs/training.md. Samples are drawn with seed 0, so nothing is run twice. The
figures are the ratios of mean cosines where actions change their own reward only.
Usage: python -m benchmarks.credit [DRAWS], 1,000 by default.
"""

import time

import numpy as np

from benchmarks.bandit import ACTIONS, AGENTS, APART, LINKED, TURNS, measure
from benchmarks.harness import command_line, record

CANDIDATES = 8
TASKS = (1, 32)
SEPARATE = [("agent_turn", "independent"), ("trajectory", "independent")]
TREES = [("agent_turn", "tree"), ("agent_turn", "greedy")]
HEAD = ("grouping", "mode", "mean cosine", "aim", "bias to the sum", "bias to its aim")
ROW = "{:11} {:12} {:15} {:6} {:17} {}"


def table(title, bandit, tasks, draws, cases):
    """Print a row per case; returns the mean cosines."""
    samples = TURNS * CANDIDATES * tasks
    print(
        f"\n{title}: {draws:,} draws of one batch each, {tasks} x {CANDIDATES} x {TURNS} = {samples} samples"
    )
    print(ROW.format(*HEAD))
    cosines = []
    for grouping, mode in cases:
        one = measure(bandit, grouping, mode, draws=draws, tasks=tasks, candidates=CANDIDATES)
        if one.gap > 1e-12:
            raise ArithmeticError(f"the package and NumPy differ by {one.gap}")
        cosines.append(one.cosine)
        print(
            ROW.format(
                grouping,
                mode,
                f"{one.cosine:.3f} ± {one.cosine_error:.3f}",
                f"{one.aim:.3f}",
                f"{one.bias:.3f} ± {one.error:.3f}",
                f"{one.own_bias:.3f} ± {one.own_error:.3f}",
            )
        )
    turn, whole = cosines[:2]
    print(f"agent_turn {turn:.4f} / trajectory {whole:.4f} = {turn / whole:.3f}, ", end="")
    print(f"{turn:.4f} - {whole:.4f} = {turn - whole:.4f}")
    return cosines


def main(arguments=None):
    parser = command_line(__doc__)
    parser.add_argument("draws", nargs="?", type=int, default=1000)
    options = parser.parse_args(arguments)
    draws = options.draws
    begin = time.perf_counter()
    print(f"{len(AGENTS)} agents, {TURNS} turns, {ACTIONS} actions, K = {CANDIDATES}, dr_grpo, fp64, seed 0,")
    print(f"numpy {np.__version__}; the first draws of each row go through the package, too")
    for tasks in TASKS:
        turn, whole = table("actions change their own reward only", APART, tasks, draws, SEPARATE)
        record(
            f"credit-{tasks}",
            f"mean cosine to the exact gradient by agent_turn / by trajectory, tasks in a batch: {tasks}",
            numerator=("agent_turn", turn),
            denominator=("trajectory", whole),
            unit="cosine",
            notes={"draws": draws},
            save=options.save,
        )
    for tasks in TASKS:
        table("an action is the next agent's state", LINKED, tasks, draws, SEPARATE + TREES)
    print(f"\n{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
