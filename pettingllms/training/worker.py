"""What `accelerate launch` starts: builds a trial from its run folder and runs it.

Usage: `python -m pettingllms.training.worker RUN_FOLDER`, where the folder holds `trial.toml`. In a folder in
which a run has begun before it goes on from the newest whole checkpoint, or without one begins anew.
Exit status: 0 done, 130 or 143 stopped (with a checkpoint, once the first validation is done), otherwise
failed.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.homes import cpu_threads
from pettingllms.config.trial_file import read_trial
from pettingllms.errors import Interrupted, LostRankError, RefusedError
from pettingllms.hiding import guard_output
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.seeds import derive
from pettingllms.runs.checkpoints import TRIAL, checkpoint_step
from pettingllms.runs.lock import WORKER_LOCK, FolderLock
from pettingllms.runs.records import EVENTS, mend_lines
from pettingllms.training.assembly import Assembly, assembled, launched_device, rank, run_loggers
from pettingllms.training.continuing import continued
from pettingllms.training.datasets import run_tasks
from pettingllms.training.events import EventStream
from pettingllms.training.failures import explained
from pettingllms.training.stopping import StopFlag
from pettingllms.training.tasks import TaskSchedule

if TYPE_CHECKING:
    from pettingllms.training.loop import TrainingLoop
    from pettingllms.training.prompts.search import PromptSearch

TOLD_SECONDS = 1.0
"""How long a process that fails may take to say so."""


def main(folder: Path) -> int:
    """Run the trial in `folder`; every failure becomes an `error` event and an exit status."""
    end_with_parent()
    stop = StopFlag()
    try:
        with FolderLock(folder, WORKER_LOCK) if rank() == 0 else nullcontext():
            return _told(folder, stop)
    except RefusedError as held:
        # The records are those of the run that has the folder.
        print(f"{held}; {held.help}", file=sys.stderr)
        return held.exit_code


def _told(folder: Path, stop: StopFlag) -> int:
    """Run the trial and say in the records how it ends; returns the exit status."""
    file = folder / EVENTS
    if rank() == 0:
        mend_lines(file)
    before = file.stat().st_size if file.exists() else 0
    # A start that was refused has left words too, but nothing of it is in the folder.
    begun = before > 0 and b'"event": "started"' in file.read_bytes()
    events = EventStream(file, leads=rank() == 0)
    try:
        run_trial(folder, events, stop, begun=begun)
    except Interrupted as stopped:
        events.write("interrupted")
        return stopped.exit_code
    except LostRankError as lost:
        print(f"process {rank()}: {lost}", file=sys.stderr)
        # Whoever went first has said why, if it could.
        time.sleep(TOLD_SECONDS)
        if b'"event": "error"' not in file.read_bytes()[before:]:
            events.error(f"{lost}; {lost.help}", lost.exit_code, lost=True)
        return lost.exit_code
    except Exception as error:
        failure = explained(error)
        whose = f"process {rank()} of the run: " if rank() else ""
        if failure.expected:
            print(f"{whose}{failure.line}", file=sys.stderr)
        else:
            traceback.print_exc()
        events.error(f"{whose}{failure.line}", failure.exit_code)
        return failure.exit_code
    events.write("finished")
    return 0


def run_trial(folder: Path, events: EventStream, stop: StopFlag, *, begun: bool) -> None:
    """Start the engines, build what trains or searches while they load, and run it.

    `begun`: a run in this folder has begun before; it goes on from its newest checkpoint.
    """
    config = read_trial(folder / TRIAL)
    begin = continued(folder, config, events, begun=begun) if rank() == 0 else None
    gone_on = {} if begin is None else {"from_step": checkpoint_step(begin)}
    total = config.training.total_training_steps
    events.write("started", pid=os.getpid(), total_steps=total, **gone_on)
    with ExitStack() as opened:
        with stop.at_once():
            assembly = assembled(config, folder, events, stop.check, opened)
            build = _build_search if config.specialization == "prompt" else _build_loop
            loop = build(assembly, folder, events, stop, begin)
            opened.enter_context(closing(loop.loggers))
        loop.run()


def _build_search(
    assembly: Assembly, folder: Path, events: EventStream, stop: StopFlag, begin: Path | None
) -> PromptSearch:
    from pettingllms.training.prompts.start import build_search

    return build_search(assembly, folder, events, stop.check, begin)


def _build_loop(
    assembly: Assembly, folder: Path, events: EventStream, stop: StopFlag, begin: Path | None
) -> TrainingLoop:
    # Heavy imports come here, while the engines load their own.
    import torch

    from pettingllms.training.critic import build_critics
    from pettingllms.training.loop import TrainingLoop
    from pettingllms.training.memory import Room
    from pettingllms.training.nonfinite import NonFinite
    from pettingllms.training.penalties import KlControl
    from pettingllms.training.policies import Policies
    from pettingllms.training.ranks import Ranks
    from pettingllms.training.records import EpochMeans
    from pettingllms.training.saving import CheckpointSaver
    from pettingllms.training.state import RANDOM, ROOM, BaseModel, RandomNumbers

    config, plans = assembly.config, assembly.plans
    training, trust = config.training, config.resource.trust_remote_code
    device = launched_device(config)
    torch.set_num_threads(cpu_threads(config))
    if training.device == "cpu":
        # Same seed, same numbers: an operation that could not promise that raises.
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    tasks = run_tasks(config, folder, events, begin)
    schedule = TaskSchedule(
        tasks["train"],
        training.train_batch_size,
        training.resample_freq,
        training.epoch_size,
        training.seed,
    )
    policies = Policies(
        plans.values(),
        assembly.folders,
        device,
        trust_remote_code=trust,
        seed=training.seed,
        images=config.env.multi_modal,
    )
    critic_folders = _critic_folders(assembly, events)
    critics = build_critics(policies, critic_folders, trust_remote_code=trust, seed=training.seed)
    ranks = Ranks.joined()
    rollout = assembly.rollout(assembly.ready())
    controls = {
        name: KlControl(plan.algorithm.kl_ctrl)
        for name, plan in plans.items()
        if plan.algorithm.use_kl_in_reward
    }
    epoch, nonfinite, room = EpochMeans(), NonFinite(), Room(events.warning)
    return TrainingLoop(
        training=training,
        resolve=config.env.resolve,
        batched_init=config.env.batched_init,
        schedule=schedule,
        held_out={"val": tasks["val"], "test": tasks["test"]},
        rollout=rollout,
        policies=policies,
        ranks=ranks,
        controls=controls,
        critics=critics,
        epoch=epoch,
        nonfinite=nonfinite,
        room=room,
        parts={
            RANDOM: RandomNumbers(derive(training.seed, "process", ranks.rank)),
            ROOM: room,
            **assembly.models(),
            **{f"model of critics {path}": BaseModel(model) for path, model in critic_folders.items()},
            "epoch means": epoch,
            "steps without a number": nonfinite,
            **{f"KL weight of {name}": control for name, control in controls.items()},
            **{f"critic of {name}": critic for name, critic in critics.items()},
        },
        saver=CheckpointSaver(training, policies, folder, events),
        begin=begin,
        loggers=run_loggers(training, folder, events, begin),
        events=events,
        folder=folder,
        shares_device=assembly.shares_device,
        check=stop.check,
    )


def _critic_folders(assembly: Assembly, events: EventStream) -> dict[str, Path]:
    """Where the models of critics are, by their paths; each reads the policies' token ids."""
    folders = {}
    for name, plan in assembly.plans.items():
        path = None if plan.critic is None else plan.critic.model.path
        if path is not None and assembly.config.env.multi_modal:
            raise RefusedError(
                f"policy {name!r}: critic.model.path names a model of its own, which is shown no images",
                help="remove critic.model.path: the critic then sees what the policy sees",
            )
        if path is not None:
            folders[path] = local_folder(path, events.status)
            label = f"policy {name!r}: critic.model.path {path!r}"
            assembly.tokenizers[name].refuse_other_ids(folders[path], label)
    return folders


if __name__ == "__main__":
    guard_output()
    sys.exit(main(Path(sys.argv[1])))
