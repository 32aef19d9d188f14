"""Runs the measuring scripts, one after the other, and prints the table of all figures.

python -m benchmarks                          all scripts
python -m benchmarks update_speed lint_cold   these
python -m benchmarks --runs 1 --no-save       a trial
python -m benchmarks --summary                the table of results/*.json, running nothing
python -m benchmarks --markdown               the same, into docs/performance.md
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import RESULTS, short

SCRIPTS = {
    "rollout_speed": "tokens per second of the multi-agent loop / of bare vLLM on the same prompts",
    "prefill": "prompt tokens computed over turns with growing history / unique tokens",
    "straggler": "wall-clock time with one slow environment / the critical path of that environment",
    "scheduler_overhead": "orchestration per turn with an engine that answers at once / a bare call",
    "tokenisation": "encoding a chat that grows / encoding all of it each turn",
    "weight_sync": "sending an adapter to the engine / copying its file and one token",
    "policies_scaling": "step with eight policies / with one, at equal tokens",
    "update_speed": "one update, without and with shared prompts / TRL's of the same batch",
    "shared_prompt": "update with the prompt of a group computed once / with every sequence whole",
    "computed_tokens": "tokens put through the model / useful tokens",
    "sandbox_throughput": "programs per second in the sandbox / with a bare interpreter for each",
    "checkpoint_stall": "what a checkpoint costs the loop / an fsynced write of as many bytes; its size",
    "logprob_memory": "memory and time of fused log-probabilities / of whole logits",
    "step_profile": "where the time of a training step goes",
    "launch_overhead": "a trial of a study beside `accelerate launch` alone; the books of a trial",
    "warm_sweep": "a sweep with the engine kept warm / one engine per trial",
    "quickstart": "the main job from start to end",
    "lint_cold": "cold lint / cold Hydra compose and resolve",
    "lint_speed": "lint / a schema validator; many files; a proof of many cells",
    "documents": "cold show / cold Hydra; conversion by file size",
    "tpe_random": "left below the best score by TPE / by random search, in studies of 40 trials",
    "credit": "nearness to the exact gradient by agent_turn / by trajectory",
}
"""What `python -m benchmarks` runs, in this order, and what each compares."""

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
SPLIT = "step_profile"


def main(arguments=None):
    """Returns the exit status: 1 when a script failed; a missed target is no failure."""
    lines = "\n".join(f"  {name:20} {what}" for name, what in SCRIPTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__.partition("\n")[0],
        epilog=f"scripts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="script", help="scripts to run, all by default")
    parser.add_argument("--runs", type=int, help="alternating runs, instead of each script's own number")
    parser.add_argument("--no-save", action="store_true", help="write no results/*.json")
    parser.add_argument("--summary", action="store_true", help="run nothing, print the table")
    parser.add_argument("--markdown", action="store_true", help=f"run nothing, write it into {PAGE.name}")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in SCRIPTS]:
        parser.error(f"no script {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
    if options.markdown:
        PAGE.write_text(with_results(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    failed = []
    if not options.summary:
        words = [] if options.runs is None else ["--runs", str(options.runs)]
        words += ["--no-save"] if options.no_save else []
        failed = [name for name in options.names or SCRIPTS if not runs(name, words)]
    print(summary(results()))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def runs(name, words):
    """Whether the script, a process of its own, ends well."""
    print(f"\n== {name}: {SCRIPTS[name]}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *words], check=False).returncode == 0


def results():
    """What results/*.json hold of figures, in the order of the scripts."""
    order = {name: place for place, name in enumerate(SCRIPTS)}

    def place(one):
        # Shorter names first puts 8 before 32 before 128.
        figure = one["figure"]
        return order.get(figure.partition("-")[0], len(order)), len(figure), figure

    return sorted((read(path) for path in RESULTS.glob("*.json") if path.stem != SPLIT), key=place)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def summary(found):
    """The figures as text for a terminal."""
    rows = [("figure", "numerator", "denominator", "ratio", "target", "", "commit")]
    for one in found:
        verdict = {None: "", True: "met", False: "MISSED"}[one["met"]]
        rows.append((one["figure"], *columns(one), verdict, one["conditions"]["commit"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n" + "\n".join(line.rstrip() for line in padded)


def columns(one):
    """Numerator, denominator, ratio and target of a result in words."""
    sides = (one["numerator"], one["denominator"])
    values = [f"{side['label']} {short(side['median'])} {one['unit']}" for side in sides]
    ratio, target = one["ratio"], one["target"]
    spread = f" ({short(ratio['min'])} to {short(ratio['max'])})" if len(sides[0]["values"]) > 1 else ""
    bounds = (("≤", target["at_most"]), ("≥", target["at_least"]))
    wanted = ", ".join(f"{sign} {short(bound)}" for sign, bound in bounds if bound is not None)
    return (*values, short(ratio["of_medians"]) + spread, wanted)


def with_results(page):
    """`page` with its tables written anew from results/*.json; one without results stays as it is."""
    if found := results():
        page = exchanged(page, "figures", figure_rows(found))
    split = RESULTS / f"{SPLIT}.json"
    return exchanged(page, "split", split_rows(read(split))) if split.is_file() else page


def exchanged(page, name, rows):
    """`page` with `rows` between the two marks of `name`."""
    begin, end = (f"<!-- {word} {name} -->\n" for word in ("begin", "end"))
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + "\n".join(rows) + "\n" + end + after


def figure_rows(found):
    """The figures as a table of the page."""
    rows = ["| figure | numerator | denominator | ratio | target |", "|---|---|---|---|---|"]
    return rows + [f"| {one['what']} | {' | '.join(columns(one))} |" for one in found]


def split_rows(split):
    """The parts of a step, as a table of the page."""
    rows = ["| phase | part | seconds | share |", "|---|---|---|---|"]
    for one in sorted(split["parts"], key=lambda one: (one["phase"], -one["seconds"])):
        share = one["seconds"] / split["step"]
        rows.append(f"| {one['phase']} | {one['part']} | {one['seconds']:.3f} | {share:.1%} |")
    return [*rows, f"| step | all of it | {split['step']:.3f} | 100.0% |"]


if __name__ == "__main__":
    sys.exit(main())
