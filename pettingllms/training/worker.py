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
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import PolicyPlan, cpu_threads, first_set, plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.envs import ENVS
from pettingllms.errors import Interrupted, LostRankError, PettingLLMsError, RefusedError
from pettingllms.hiding import guard_output
from pettingllms.loggers import build_loggers
from pettingllms.loggers.base import Fanout
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.engine_settings import engine_settings
from pettingllms.rollout.play import Rollout
from pettingllms.rollout.seeds import derive
from pettingllms.rollout.team import build_team
from pettingllms.runs.checkpoints import TRIAL, checkpoint_step
from pettingllms.runs.lock import WORKER_LOCK, FolderLock
from pettingllms.runs.records import EVENTS, mend_lines
from pettingllms.training.continuing import continued
from pettingllms.training.events import EventStream
from pettingllms.training.stopping import StopFlag
from pettingllms.training.tasks import TaskSchedule
from pettingllms.types import Split, Task

if TYPE_CHECKING:
    from pettingllms.training.loop import TrainingLoop

FAILED = 3
WAITING_THREADS = 32
"""For agents and environments that act while the engine works: most of their time they wait for something."""
TOLD_SECONDS = 1.0
"""How long a process that fails may take to say so."""


def main(folder: Path) -> int:
    """Run the trial in `folder`; every failure becomes an `error` event and an exit status."""
    end_with_parent()
    stop = StopFlag()
    try:
        with FolderLock(folder, WORKER_LOCK) if _rank() == 0 else nullcontext():
            return _told(folder, stop)
    except RefusedError as held:
        # The records are those of the run that has the folder.
        print(f"{held}; {held.help}", file=sys.stderr)
        return held.exit_code


def _told(folder: Path, stop: StopFlag) -> int:
    """Run the trial and say in the records how it ends; returns the exit status."""
    file = folder / EVENTS
    if _rank() == 0:
        mend_lines(file)
    before = file.stat().st_size if file.exists() else None
    events = EventStream(file, leads=_rank() == 0)
    try:
        run_trial(folder, events, stop, begun=before is not None)
    except Interrupted as stopped:
        events.write("interrupted")
        return stopped.exit_code
    except LostRankError as lost:
        # Whoever went first has said why, if it could.
        time.sleep(TOLD_SECONDS)
        if b'"event": "error"' not in file.read_bytes()[before or 0 :]:
            events.write("error", text=f"{lost}; {lost.help}", exit_code=lost.exit_code)
        return lost.exit_code
    except Exception as error:
        text, code, advice = f"{type(error).__name__}: {error}", FAILED, None
        if isinstance(error, PettingLLMsError):
            text, code, advice = str(error), error.exit_code, error.help
        if isinstance(error, PettingLLMsError) and error.__cause__ is None:
            # Said in its own words: where in the code it was found helps nobody.
            print(f"{text}; {advice}" if advice else text, file=sys.stderr)
        else:
            traceback.print_exc()
        events.write("error", text=f"{text}; {advice}" if advice else text, exit_code=code)
        return code
    events.write("finished")
    return 0


def run_trial(folder: Path, events: EventStream, stop: StopFlag, *, begun: bool) -> None:
    """Start the engine, build policies and rollout while it loads, then train.

    `begun`: a run in this folder has begun before; it goes on from its newest checkpoint.
    """
    config = read_trial(folder / TRIAL)
    total = config.training.total_training_steps
    begin = continued(folder, config, events, begun=begun) if _rank() == 0 else None
    step = None if begin is None else checkpoint_step(begin)
    events.write(
        "started", pid=os.getpid(), total_steps=total, **({} if step is None else {"from_step": step})
    )
    plans = plan_policies(config)
    model = local_folder(next(iter(plans.values())).path, events.status)
    events.status("starting the engine and loading the model")
    settings = engine_settings(config, plans, model)
    log = folder / (f"engine-{_rank()}.log" if _rank() else "engine.log")
    with closing(EngineProcess(settings, log, stop.check)) as engine:
        loop = _build_loop(config, plans, model, engine, folder, events, stop, begin)
        with closing(loop.loggers):
            loop.run()


def _rank() -> int:
    """The number of this process among those of the run, as the launcher tells it."""
    return int(os.environ.get("RANK", "0"))


def split_tasks(config: ExperimentConfig) -> dict[Split, Sequence[Task]]:
    """The tasks of every split; validation comes from `env.benchmark` where that is set."""
    env = ENVS.load(config.env.name)
    options = env.Options(**config.env.options)
    benchmark = first_set(config.env.benchmark, config.env.dataset)
    sources: dict[Split, str] = {"train": config.env.dataset, "val": benchmark, "test": config.env.dataset}
    seed = config.training.seed
    return {split: env.tasks(source, split, options, seed) for split, source in sources.items()}


def _build_loop(
    config: ExperimentConfig,
    plans: dict[str, PolicyPlan],
    model: Path,
    engine: EngineProcess,
    folder: Path,
    events: EventStream,
    stop: StopFlag,
    begin: Path | None,
) -> TrainingLoop:
    # Heavy imports come here, while the engine process loads its own.
    import torch
    from accelerate import PartialState

    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.training.loop import TrainingLoop
    from pettingllms.training.penalties import KlControl
    from pettingllms.training.policies import Policies
    from pettingllms.training.ranks import Ranks
    from pettingllms.training.records import EpochMeans
    from pettingllms.training.saving import CheckpointSaver
    from pettingllms.training.state import RANDOM, BaseModel, RandomNumbers

    training, threads = config.training, cpu_threads(config)
    on_cpu = training.device == "cpu"
    state = PartialState(cpu=on_cpu)
    if state.num_processes != config.launch.num_processes:
        raise RefusedError(
            f"launch.num_processes = {config.launch.num_processes}, and the worker runs as one of "
            f"{state.num_processes}",
            help="start it with `pettingllms train`, which starts as many",
        )
    torch.set_num_threads(threads)
    if on_cpu:
        # Same seed, same numbers: an operation that could not promise that raises.
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    env = ENVS.load(config.env.name)
    options = env.Options(**config.env.options)
    tasks = split_tasks(config)
    team = build_team(
        config.agent_policy_configs,
        config.multi_agent_interaction,
        plans,
        config.env.max_turns,
        config.env.turn_unit,
    )
    trust = config.resource.trust_remote_code
    settings = engine_settings(config, plans, model)
    phases = plans[team.order[0].policy].phases
    if settings.may_sleep:
        # The engine takes its share of the memory that it finds free: the trainer comes after it.
        engine.wait_ready()
    policies = Policies(plans.values(), model, state.device, trust_remote_code=trust, seed=training.seed)
    tokenizer = ChatTokenizer(model, trust)
    ranks = Ranks.joined()
    if not settings.may_sleep:
        engine.wait_ready()
    controls = {
        name: KlControl(plan.algorithm.kl_ctrl)
        for name, plan in plans.items()
        if plan.algorithm.use_kl_in_reward
    }
    epoch = EpochMeans()
    first = 0 if begin is None else checkpoint_step(begin) + 1
    return TrainingLoop(
        training=training,
        resolve=config.env.resolve,
        batched_init=config.env.batched_init,
        schedule=TaskSchedule(
            tasks["train"],
            training.train_batch_size,
            training.resample_freq,
            training.epoch_size,
            training.seed,
        ),
        held_out={"val": tasks["val"], "test": tasks["test"]},
        rollout=Rollout(
            team,
            engine,
            tokenizer,
            lambda task: env(task, options),
            threads if phases else max(threads, WAITING_THREADS),
            phases=phases,
            merged=settings.serving == "merged",
        ),
        policies=policies,
        ranks=ranks,
        controls=controls,
        epoch=epoch,
        parts={
            RANDOM: RandomNumbers(derive(training.seed, "process", ranks.rank)),
            "base model": BaseModel(model),
            "epoch means": epoch,
            **{f"KL weight of {name}": control for name, control in controls.items()},
        },
        saver=CheckpointSaver(training, policies, folder, events),
        begin=begin,
        loggers=build_loggers(training, folder, events.warning, first)
        if ranks.leads
        else Fanout({}, events.warning),
        events=events,
        folder=folder,
        shares_device=settings.may_sleep,
        check=stop.check,
    )


if __name__ == "__main__":
    guard_output()
    sys.exit(main(Path(sys.argv[1])))
