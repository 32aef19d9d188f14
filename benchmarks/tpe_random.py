"""What TPE leaves to be found / what random search does, after as many trials of the same space.

Every study is one of `sweep run`, from the file through linter, ledger and Optuna to the table of trials;
only its trials are no processes, but a formula over what is swept. Both studies of a pair have the same seed,
and so the same first trial. The sign test says how likely it is to win as many pairs by chance.
Usage: python -m benchmarks.tpe_random [SEEDS], 20 by default.
"""

import contextlib
import io
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.harness import command_line, record
from pettingllms.sweep import worker
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.start import Asked
from pettingllms.sweep.start_sweep import SweepOptions, start_sweep

EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "stateful_plan_path.toml"
TRIALS = 40
ACTOR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor"
SPACE = f"""
[sweep]
trials = {TRIALS}

[sweep.space]
"{ACTOR}.optim.lr" = {{ sweep = "float", low = 1e-6, high = 1e-3, log = true, default = 1e-5 }}
"{ACTOR}.clip_ratio" = {{ sweep = "float", low = 0.05, high = 0.5, default = 0.4 }}
"training.sample_temperature" = {{ sweep = "float", low = 0.2, high = 1.8, step = 0.05, default = 1.0 }}
"lora_rank" = {{ sweep = "choice", values = [4, 8, 16, 32], default = 8 }}
"lora_alpha" = {{ sweep = "int", low = 8, high = 64, step = 8, default = 64 }}
"{ACTOR}.use_kl_loss" = {{ sweep = "choice", values = [true, false], default = false }}

[sweep.space."{ACTOR}.kl_loss_coef"]
sweep = "float"
low = 1e-4
high = 1e-1
log = true
default = 1e-3
when = "{ACTOR}.use_kl_loss"
"""


def score(values):
    """A hill of height 1: learning rate and temperature go together, and the other axes count less."""
    named = {str(path[-1]): value for path, value in values.items()}
    rate = math.log10(named["lr"]) + 4.3
    heat = named["sample_temperature"] - 0.9 - 0.2 * rate
    far = rate**2 + 4 * heat**2 + 8 * (named["clip_ratio"] - 0.2) ** 2
    far += {4: 0.4, 8: 0.1, 16: 0.0, 32: 0.2}[named["lora_rank"]] + ((named["lora_alpha"] - 32) / 64) ** 2
    if named["use_kl_loss"]:
        return math.exp(-far - 0.1 * (math.log10(named["kl_loss_coef"]) + 2) ** 2)
    return math.exp(-far - 0.15)


class Trial:
    """One that has ended when it is looked at first."""

    silent_seconds = 0.0

    def __init__(self, value, folder):
        metrics = {"val/success_rate": value}
        self.result = TrialResult("complete", 0, metrics, None, folder / "log.txt", None, 0.0)

    def poll(self):
        return self.result

    def stop(self, number, within=None):
        """It has ended."""

    def kill(self):
        """It has ended."""


class Formula:
    """A launcher that works its trials out."""

    def start(self, cell, folder, *_):
        """The trial of a cell, which has no folder."""
        return Trial(score(cell.values), folder)

    def close(self):
        """Nothing was kept."""


def left_to_find(sampler, seed, folder):
    """Run a study; returns what its best trial lacks of the hill's height."""
    overlay = folder / "space.toml"
    overlay.write_text(SPACE)
    words = (f"+sweep.sampler={sampler}", f"+sweep.seed={seed}", f"training.experiment_name={sampler}_{seed}")
    asked = Asked(EXPERIMENT, words, (overlay,))
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        options = SweepOptions(output=folder)
        status = start_sweep(
            asked, options, as_json=True, launcher=lambda *_: contextlib.nullcontext(Formula())
        )
    if status:
        raise SystemExit(f"the study ended with {status}: {said.getvalue()}")
    trials = json.loads(printed.getvalue())["trials"]
    if len(trials) != TRIALS:
        raise SystemExit(f"{len(trials)} trials of {TRIALS} were run")
    return 1 - max(trial["objective"] for trial in trials)


def by_chance(wins, pairs):
    """Probability of at least so many wins where both are equally good."""
    return sum(math.comb(pairs, count) for count in range(wins, pairs + 1)) / 2**pairs


def main(arguments=None):
    parser = command_line(__doc__)
    parser.add_argument("seeds", nargs="?", type=int, default=20)
    options = parser.parse_args(arguments)
    # No process is waited for.
    worker.POLL_SECONDS = 0.0
    begin = time.perf_counter()
    left = {"tpe": [], "random": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            for sampler, found in left.items():
                found.append(left_to_find(sampler, seed, Path(folder)))
            print(f"seed {seed:2}  tpe {left['tpe'][-1]:.4f}  random {left['random'][-1]:.4f}", flush=True)
    pairs = [(one, other) for one, other in zip(left["tpe"], left["random"], strict=True) if one != other]
    wins = sum(one < other for one, other in pairs)
    record(
        "tpe_random",
        f"left below the best after {TRIALS} trials by TPE / by random search, {options.seeds} seeds",
        numerator=("tpe", statistics.median(left["tpe"])),
        denominator=("random", statistics.median(left["random"])),
        unit="of the best score",
        at_most=1.0,
        notes={
            "pairs": len(pairs),
            "won by TPE": wins,
            "sign test, one-sided p": by_chance(wins, len(pairs)),
            "seconds per trial of bookkeeping": (time.perf_counter() - begin) / (2 * options.seeds * TRIALS),
        },
        save=options.save,
    )


if __name__ == "__main__":
    main()
