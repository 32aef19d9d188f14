"""`pettingllms export`: trained policies as folders that transformers, PEFT and vLLM load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Named = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint.", show_default=False)
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.", show_default=False)]
Merged = Annotated[bool, typer.Option("--merged", help="Whole models: adapters added to their base.")]
Policy = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="NAME", help="Only this policy; repeatable.  [default: all]"),
]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    typer.Option("--dtype", help="Of whole models.  [default: the base model's]"),
]
Step = Annotated[
    int | None, typer.Option("--step", metavar="N", help="The run's checkpoint.  [default: the newest]")
]


def export(
    run: Named,
    out: Out,
    merged: Merged = False,
    policy: Policy = None,
    dtype: Dtype = None,
    step: Step = None,
) -> None:
    """Write trained policies for other programs: one folder each, with tokenizer and model card.

    Policies with an adapter are written in PEFT's format, or with --merged as whole models; those whose
    every weight was trained are whole models in any case. Prints the `vllm serve` command that serves all.
    """
    from pettingllms.evaluation.export import Asked, start_export

    raise typer.Exit(start_export(Asked(run, out, merged, tuple(policy or ()), dtype, step)))
