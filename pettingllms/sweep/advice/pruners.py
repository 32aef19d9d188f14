"""Optuna's pruners, made from the options of `[sweep] pruner`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pettingllms.config.sweep import PrunerConfig

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def make_pruner(options: PrunerConfig | None) -> BasePruner:
    """The pruner of a study; without options one that stops nothing."""
    from optuna import pruners

    if options is None:
        return pruners.NopPruner()
    match options.kind:
        case "median":
            return pruners.MedianPruner(
                n_startup_trials=options.startup_trials,
                n_warmup_steps=options.warmup_steps,
                interval_steps=options.every,
                n_min_trials=options.min_trials,
            )
        case "percentile":
            return pruners.PercentilePruner(
                options.percentile,
                n_startup_trials=options.startup_trials,
                n_warmup_steps=options.warmup_steps,
                interval_steps=options.every,
                n_min_trials=options.min_trials,
            )
        case "hyperband":
            return pruners.HyperbandPruner(
                min_resource=options.min_resource,
                max_resource="auto" if options.max_resource is None else options.max_resource,
                reduction_factor=options.reduction_factor,
                bootstrap_count=options.bootstrap_count,
            )
        case "patient":
            return pruners.PatientPruner(None, patience=options.patience or 0, min_delta=options.min_delta)
        case "threshold":
            return pruners.ThresholdPruner(
                lower=options.lower,
                upper=options.upper,
                n_warmup_steps=options.warmup_steps,
                interval_steps=options.every,
            )
