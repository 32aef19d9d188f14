"""Optuna's samplers, made from the options of `[sweep]`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pettingllms.config.sweep import CmaesConfig, NsgaiiConfig, QmcConfig, SweepConfig, TpeConfig

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.samplers.nsgaii import BaseCrossover, BaseMutation


def derived_seed(seed: int, *parts: int) -> int:
    """A seed of 32 bits that depends on all of these numbers."""
    digest = hashlib.blake2b(json.dumps([seed, *parts]).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def make_sampler(sweep: SweepConfig, seed: int) -> BaseSampler:
    """The sampler of a study for one proposal, whose random numbers come from `seed`.

    A sampler that scrambles a sequence takes `sweep.seed`, as all points must come from one sequence.
    """
    match sweep.sampler:
        case "tpe":
            return _tpe(sweep.tpe or TpeConfig(), seed)
        case "nsga2":
            return _nsga2(sweep.nsga2 or NsgaiiConfig(), seed)
        case "qmc":
            return _qmc(sweep.qmc or QmcConfig(), sweep.seed, seed)
        case "cmaes":
            return _cmaes(sweep.cmaes or CmaesConfig(), seed)
        case "random":
            return random_sampler(seed)
        case "grid":
            raise ValueError("the cells of a grid are given, not sampled")


def random_sampler(seed: int) -> BaseSampler:
    """Draws from the whole space, whatever was found before."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _tpe(options: TpeConfig, seed: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(
        n_startup_trials=options.startup_trials,
        n_ei_candidates=options.ei_candidates,
        # Groups are sampled jointly; Optuna warns where that has to be inferred.
        multivariate=True if options.group else options.multivariate,
        group=options.group,
        constant_liar=options.constant_liar,
        seed=seed,
    )


def _nsga2(options: NsgaiiConfig, seed: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(
        population_size=options.population_size,
        mutation=_mutation(options),
        mutation_prob=options.mutation_prob,
        crossover=_crossover(options),
        crossover_prob=options.crossover_prob,
        swapping_prob=options.swapping_prob,
        seed=seed,
    )


def _mutation(options: NsgaiiConfig) -> BaseMutation | None:
    from optuna.samplers.nsgaii import PolynomialMutation

    return PolynomialMutation(eta=options.mutation_eta) if options.mutation == "polynomial" else None


def _crossover(options: NsgaiiConfig) -> BaseCrossover:
    from optuna.samplers import nsgaii

    match options.crossover:
        case "uniform":
            return nsgaii.UniformCrossover(options.swapping_prob)
        case "blxalpha":
            return nsgaii.BLXAlphaCrossover()
        case "sbx":
            return nsgaii.SBXCrossover()
        case "vsbx":
            return nsgaii.VSBXCrossover()
        case "spx":
            return nsgaii.SPXCrossover()
        case "undx":
            return nsgaii.UNDXCrossover()


def _qmc(options: QmcConfig, sequence: int, seed: int) -> BaseSampler:
    from optuna.samplers import QMCSampler

    return QMCSampler(
        qmc_type=options.qmc_type,
        scramble=options.scramble,
        seed=sequence,
        independent_sampler=random_sampler(seed),
        # The linter says which axes are drawn at random.
        warn_independent_sampling=False,
    )


def _cmaes(options: CmaesConfig, seed: int) -> BaseSampler:
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(
        n_startup_trials=options.startup_trials,
        popsize=options.popsize,
        consider_pruned_trials=options.consider_pruned_trials,
        use_separable_cma=options.use_separable_cma,
        with_margin=options.with_margin,
        lr_adapt=options.lr_adapt,
        seed=seed,
        warn_independent_sampling=False,
    )
