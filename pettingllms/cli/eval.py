"""`pettingllms eval`: benchmark a run, a checkpoint, or an experiment before training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pettingllms.cli.arguments import Sets
from pettingllms.errors import UsageError

Named = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run's folder, a checkpoint, or an experiment file.", show_default=False
    ),
]
Samples = Annotated[int, typer.Option("--samples", "-n", metavar="N", min=1, help="Plays of each task.")]
Ks = Annotated[
    str | None,
    typer.Option("--ks", metavar="K,…", help="Print avg@K and pass@K.  [default: 1,2,4,… up to --samples]"),
]
Compare = Annotated[
    Path | None,
    typer.Option("--compare", metavar="OTHER", help="Play OTHER too, on the same tasks and seeds."),
]
Swap = Annotated[
    list[str] | None,
    typer.Option("--swap", metavar="A=B", help="Exchange the policies of two agents, or two policies."),
]
Single = Annotated[
    str | None, typer.Option("--single", metavar="AGENT", help="Let one agent play all turns of the team.")
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", metavar="T", help="Of all agents.  [default: val_llm_config]")
]
Tasks = Annotated[
    int | None, typer.Option("--tasks", metavar="M", min=1, help="Play the first M tasks.  [default: all]")
]
Step = Annotated[
    int | None, typer.Option("--step", metavar="N", help="The run's checkpoint.  [default: the newest]")
]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for evaluations.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def evaluate(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    run: Named,
    split: Annotated[Literal["val", "test"], typer.Option("--split", help="Which tasks.")] = "test",
    samples: Samples = 1,
    ks: Ks = None,
    compare: Compare = None,
    swap: Swap = None,
    single: Single = None,
    temperature: Temperature = None,
    tasks: Tasks = None,
    step: Step = None,
    sets: Sets = None,
    output: Output = Path("outputs"),
    json: Json = False,
) -> None:
    """Measure how often a team solves held-out tasks, by plain sampling, and how its agents do.

    Prints the success rate with its 95 % interval, avg@k, pass@k and each agent's figures. --compare adds
    the difference to OTHER with its interval and p-value. --swap, --single and --step change RUN only, so
    that `eval RUN --swap a=b --compare RUN` measures what the swap costs.
    """
    from pettingllms.evaluation.changes import Changes, parse_swaps
    from pettingllms.evaluation.evaluate import Asked, start_evaluation

    changes = Changes(parse_swaps(swap or ()), single, temperature)
    asked = Asked(
        run, split, samples, chosen_ks(ks, samples), changes, compare, step, tasks, tuple(sets or ())
    )
    raise typer.Exit(start_evaluation(asked, output, as_json=json))


def chosen_ks(words: str | None, samples: int) -> tuple[int, ...]:
    """The numbers of samples that avg@k and pass@k are given for: those asked for, or powers of 2.

    Raises UsageError for what is no number of samples that there will be.
    """
    if words is None:
        powers = [2**power for power in range(samples.bit_length())]
        return tuple(sorted({*powers, samples}))
    try:
        ks = sorted({int(word) for word in words.split(",")})
    except ValueError:
        raise UsageError(f"--ks {words}: not a list of whole numbers", help="as in --ks 1,4,8") from None
    if ks[0] < 1 or ks[-1] > samples:
        wrong = ks[0] if ks[0] < 1 else ks[-1]
        raise UsageError(
            f"--ks {words}: k = {wrong}, and each task is played {samples} times",
            help=f"write --samples {wrong}, or a k of at most {samples}" if wrong > 0 else "k is at least 1",
        )
    return tuple(ks)
