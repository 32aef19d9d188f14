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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import PolicyPlan, cpu_threads, engine_groups, first_set, plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.envs import ENVS
from pettingllms.envs.splits import SPLITS, tasks_of
from pettingllms.errors import Interrupted, LostRankError, PettingLLMsError, RefusedError
from pettingllms.hiding import guard_output
from pettingllms.loggers import build_loggers
from pettingllms.loggers.base import Fanout
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.engine_settings import engine_settings
from pettingllms.rollout.engines import Engines
from pettingllms.rollout.play import Rollout
from pettingllms.rollout.seeds import derive
from pettingllms.rollout.team import build_team
from pettingllms.runs.checkpoints import TRIAL, checkpoint_step
from pettingllms.runs.lock import WORKER_LOCK, FolderLock
from pettingllms.runs.records import EVENTS
from pettingllms.training.continuing import continued
from pettingllms.training.events import EventStream
from pettingllms.training.prompt_worker import build_search
from pettingllms.training.stopping import StopFlag
from pettingllms.training.tasks import TaskSchedule

if TYPE_CHECKING:
    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.training.loop import TrainingLoop
    from pettingllms.training.prompt_search import PromptSearch

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
    before = file.stat().st_size if file.exists() else None
    events = EventStream(file, leads=_rank() == 0)
    try:
        run_trial(folder, events, stop, begun=before is not None)
    except Interrupted as stopped:
        events.write("interrupted")
        return stopped.exit_code
    except LostRankError as lost:
        print(f"process {_rank()}: {lost}", file=sys.stderr)
        # Whoever went first has said why, if it could.
        time.sleep(TOLD_SECONDS)
        if b'"event": "error"' not in file.read_bytes()[before or 0 :]:
            events.write("error", text=f"{lost}; {lost.help}", exit_code=lost.exit_code, lost=True)
        return lost.exit_code
    except Exception as error:
        text, code, advice = f"{type(error).__name__}: {error}", FAILED, None
        if isinstance(error, PettingLLMsError):
            text, code, advice = str(error), error.exit_code, error.help
        if _rank():
            text = f"process {_rank()} of the run: {text}"
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
    """Start the engines, build policies and rollout while they load, then train.

    `begun`: a run in this folder has begun before; it goes on from its newest checkpoint.
    """
    with ExitStack() as opened:
        with stop.at_once():
            config = read_trial(folder / TRIAL)
            total = config.training.total_training_steps
            begin = continued(folder, config, events, begun=begun) if _rank() == 0 else None
            gone_on = {} if begin is None else {"from_step": checkpoint_step(begin)}
            events.write("started", pid=os.getpid(), total_steps=total, **gone_on)
            plans = plan_policies(config)
            paths = {plan.path for plan in plans.values()}
            folders = {path: local_folder(path, events.status) for path in paths}
            events.status("starting the engine and loading the model")
            settings = [
                engine_settings(config, asked, folders[asked[0].path])
                for asked in engine_groups(config, plans)
            ]
            processes = []
            for number, told in enumerate(settings):
                process = EngineProcess(told, folder / _engine_log(number), stop.check, events.warning)
                opened.enter_context(closing(process))
                processes.append(process)
                if told.may_sleep:
                    # An engine takes its share of the memory that it finds free: one after the other.
                    process.wait_ready()
            loop = _build_loop(config, plans, folders, settings, processes, folder, events, stop, begin)
            opened.enter_context(closing(loop.loggers))
        loop.run()


def _engine_log(number: int) -> str:
    """`engine.log`; of further engines and ranks `engine-<rank>.log`, `engine-<rank>-<number>.log`."""
    names = [str(_rank())] if _rank() or number else []
    return f"{'-'.join(['engine', *names, *([str(number)] if number else [])])}.log"


def _rank() -> int:
    """The number of this process among those of the run, as the launcher tells it."""
    return int(os.environ.get("RANK", "0"))


def _build_loop(
    config: ExperimentConfig,
    plans: dict[str, PolicyPlan],
    folders: Mapping[str, Path],
    settings: Sequence[EngineSettings],
    processes: Sequence[EngineProcess],
    folder: Path,
    events: EventStream,
    stop: StopFlag,
    begin: Path | None,
) -> TrainingLoop:
    # Heavy imports come here, while the engine process loads its own.
    import torch
    from accelerate import PartialState

    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.training.critic import build_critics
    from pettingllms.training.loop import TrainingLoop
    from pettingllms.training.memory import Room
    from pettingllms.training.nonfinite import NonFinite
    from pettingllms.training.penalties import KlControl
    from pettingllms.training.policies import Policies
    from pettingllms.training.ranks import Ranks
    from pettingllms.training.records import EpochMeans
    from pettingllms.training.saving import CheckpointSaver
    from pettingllms.training.state import RANDOM, RandomNumbers

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
    tasks = {split: tasks_of(config, split) for split in SPLITS}
    team = build_team(
        config.agent_policy_configs,
        config.multi_agent_interaction,
        plans,
        config.env.max_turns,
        config.env.turn_unit,
    )
    trust = config.resource.trust_remote_code
    # Where one policy's runs shall come out the same again, so do those of all who play with it.
    phases = any(plans[member.policy].phases for member in team.members)
    policies = Policies(plans.values(), folders, state.device, trust_remote_code=trust, seed=training.seed)
    tokenizers = {name: ChatTokenizer(folders[plan.path], trust) for name, plan in plans.items()}
    critics = build_critics(
        policies,
        _critic_folders(plans, tokenizers, events),
        trust_remote_code=trust,
        seed=training.seed,
    )
    ranks = Ranks.joined()
    for told, process in zip(settings, processes, strict=True):
        if not told.may_sleep:
            process.wait_ready()
    engines = Engines(
        {
            policy: process
            for told, process in zip(settings, processes, strict=True)
            for policy in told.policies
        }
    )
    controls = {
        name: KlControl(plan.algorithm.kl_ctrl)
        for name, plan in plans.items()
        if plan.algorithm.use_kl_in_reward
    }
    epoch, nonfinite, room = EpochMeans(), NonFinite(), Room(events.warning)
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
            engines,
            tokenizers,
            lambda task: env(task, options),
            threads if phases else max(threads, WAITING_THREADS),
            phases=phases,
            merged=any(told.serving == "merged" and len(told.policies) > 1 for told in settings),
        ),
        policies=policies,
        ranks=ranks,
        controls=controls,
        epoch=epoch,
        parts={
            RANDOM: RandomNumbers(derive(training.seed, "process", ranks.rank)),
            "epoch means": epoch,
            "steps without a number": nonfinite,
            "room in memory": room,
            **{f"KL weight of {name}": control for name, control in controls.items()},
            **{f"critic of {name}": critic for name, critic in critics.items()},
        },
        critics=critics,
        nonfinite=nonfinite,
        room=room,
        saver=CheckpointSaver(training, policies, folder, events),
        begin=begin,
        loggers=build_loggers(training, folder, events.warning, first)
        if ranks.leads
        else Fanout({}, events.warning),
        events=events,
        folder=folder,
        shares_device=any(told.may_sleep for told in settings),
        check=stop.check,
    )


def _critic_folders(
    plans: dict[str, PolicyPlan], tokenizers: Mapping[str, ChatTokenizer], events: EventStream
) -> dict[str, Path]:
    """Where the models of critics are, by their paths; each reads the policies' token ids."""
    folders = {}
    for name, plan in plans.items():
        path = None if plan.critic is None else plan.critic.model.path
        if path is not None:
            folders[path] = local_folder(path, events.status)
            tokenizers[name].refuse_other_ids(folders[path], f"policy {name!r}: critic.model.path {path!r}")
    return folders


if __name__ == "__main__":
    guard_output()
    sys.exit(main(Path(sys.argv[1])))
