"""What `pettingllms eval` starts: plays held-out tasks with saved policies, without any trainer.

Usage: `python -m pettingllms.training.evaluate FOLDER`, where the folder holds `trial.toml`, the experiment
as it is played, and `play.json`. It writes `samples/` and `events.jsonl` there, as a training run does.
Exit status: 0 done, 130 or 143 stopped, otherwise failed.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path

from pettingllms.config.homes import PolicyPlan
from pettingllms.config.trial_file import read_trial
from pettingllms.envs.splits import tasks_of
from pettingllms.errors import Interrupted
from pettingllms.evaluation.play_file import Play
from pettingllms.hiding import guard_output
from pettingllms.process import end_with_parent
from pettingllms.rollout.play import RolloutSettings
from pettingllms.rollout.seeds import derive
from pettingllms.training.assembly import assembled
from pettingllms.training.events import EventStream
from pettingllms.training.failures import explained
from pettingllms.training.records import write_samples
from pettingllms.training.stopping import StopFlag


def main(folder: Path) -> int:
    """Play what `folder` asks for; every failure becomes an `error` event and an exit status."""
    end_with_parent()
    stop = StopFlag()
    events = EventStream(folder / "events.jsonl")
    try:
        play(folder, events, stop)
    except Interrupted as stopped:
        events.write("interrupted")
        return stopped.exit_code
    except Exception as error:
        failure = explained(error)
        if not failure.expected:
            traceback.print_exc()
        events.error(failure.line, failure.exit_code)
        return failure.exit_code
    events.write("finished")
    return 0


def play(folder: Path, events: EventStream, stop: StopFlag) -> None:
    """Start the engines, give them the policies, play every task as often as asked, write the episodes."""
    asked, config = Play.read(folder), read_trial(folder / "trial.toml")
    events.write("started", pid=os.getpid(), total_steps=0)
    with ExitStack() as opened:
        assembly = assembled(config, folder, events, stop.check, opened)
        engines = assembly.ready()
        rollout = assembly.rollout(engines)
        served = {policy for told in assembly.settings for policy in told.policies}
        for policy, (version, weights) in _weights(assembly.plans, asked).items():
            if policy in served:
                engines.load_policy(policy, version, weights)

        def on_progress(done: int, total: int) -> None:
            events.write("phase", step=asked.step, phase=asked.split, done=done, total=total)
            stop.check()

        episodes = rollout.play(
            asked.places(tasks_of(config, asked.split)),
            RolloutSettings(
                mode="independent",
                candidates=1,
                reward_alpha=config.training.reward_alpha,
                greedy=config.training.if_greedy,
                resolve=config.env.resolve,
                together=config.env.batched_init,
                evaluation=True,
                seed=derive(asked.seed, "evaluate", asked.split),
            ),
            on_progress,
        )
    write_samples(folder / "samples", asked.split, asked.step, episodes, [])


def _weights(plans: dict[str, PolicyPlan], asked: Play) -> dict[str, tuple[int, Path]]:
    """What the engine is given: saved policies, and the adapters that policies start from."""
    starts = {
        name: (0, Path(plan.adapter_path).expanduser().absolute())
        for name, plan in plans.items()
        if plan.specialization == "lora" and plan.adapter_path is not None
    }
    return starts | asked.policies


if __name__ == "__main__":
    guard_output()
    sys.exit(main(Path(sys.argv[1])))
