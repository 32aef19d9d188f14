"""What every process that plays is put together from: engines, tokenizers, the team and its rollout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.agents.sandboxed import require_sandbox, weak_sandbox
from pettingllms.config.agents import AgentPolicyConfigs
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import PolicyPlan, cpu_threads, engine_groups, plan_policies
from pettingllms.config.training import TrainingConfig
from pettingllms.envs import ENVS
from pettingllms.errors import RefusedError
from pettingllms.loggers import build_loggers
from pettingllms.loggers.base import Fanout
from pettingllms.models.folders import local_folder
from pettingllms.models.images import refuse_text_models
from pettingllms.plugins import require
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.engine_settings import engine_settings
from pettingllms.rollout.engines import Engines
from pettingllms.rollout.play import Rollout
from pettingllms.rollout.team import Team, build_team
from pettingllms.runs.checkpoints import checkpoint_step
from pettingllms.training.events import EventStream

if TYPE_CHECKING:
    import torch

    from pettingllms.envs.base import Env
    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.training.state import BaseModel
    from pettingllms.types import Task

WAITING_THREADS = 32
"""For agents and environments that act while the engine works: most of their time they wait for something."""


def rank() -> int:
    """The number of this process among those of the run, as the launcher tells it."""
    return int(os.environ.get("RANK", "0"))


@dataclass(frozen=True)
class Assembly:
    """The experiment of a trial and its engines, which load while the rest is built.

    `folders`: of the base models, by the paths of `plans`. `settings`: of each of `processes`, in order.
    """

    config: ExperimentConfig
    plans: dict[str, PolicyPlan]
    folders: dict[str, Path]
    settings: Sequence[EngineSettings]
    processes: Sequence[EngineProcess]

    @property
    def shares_device(self) -> bool:
        """Whether an engine sleeps while others need its device."""
        return any(told.may_sleep for told in self.settings)

    @cached_property
    def tokenizers(self) -> dict[str, ChatTokenizer]:
        """The tokenizer of each policy."""
        from pettingllms.models.tokenizer import ChatTokenizer

        trust, images = self.config.resource.trust_remote_code, self.config.env.multi_modal
        made = {path: ChatTokenizer(folder, trust, images=images) for path, folder in self.folders.items()}
        return {name: made[plan.path] for name, plan in self.plans.items()}

    def models(self) -> dict[str, BaseModel]:
        """What a run that goes on compares: each policy's base model, and the adapter that it starts from."""
        from pettingllms.training.state import BaseModel

        found = {f"base model of {name}": self.folders[plan.path] for name, plan in self.plans.items()}
        found |= {
            f"first adapter of {name}": Path(plan.adapter_path).expanduser()
            for name, plan in self.plans.items()
            if plan.specialization == "lora" and plan.adapter_path is not None
        }
        return {name: BaseModel(folder) for name, folder in found.items()}

    def ready(self) -> Engines:
        """The engines as one, once they have loaded."""
        for told, process in zip(self.settings, self.processes, strict=True):
            if not told.may_sleep:
                process.wait_ready()
        return Engines(
            {
                policy: process
                for told, process in zip(self.settings, self.processes, strict=True)
                for policy in told.policies
            }
        )

    def team(self, agents: AgentPolicyConfigs) -> Team:
        """The team of the experiment, with the texts of `agents`."""
        return build_team(
            agents,
            self.config.multi_agent_interaction,
            self.plans,
            self.config.env.max_turns,
            self.config.env.turn_unit,
        )

    def rollout(self, engines: Engines) -> Rollout:
        """What plays the tasks of the experiment."""
        config, threads = self.config, cpu_threads(self.config)
        env = ENVS.load(config.env.name)
        options = env.Options(**config.env.options)
        team = self.team(config.agent_policy_configs)
        # Where one policy's runs shall come out the same again, so do those of all who play with it.
        phases = any(self.plans[member.policy].phases for member in team.members)
        reloaded = any(told.serving == "merged" and len(told.policies) > 1 for told in self.settings)

        def made(task: Task) -> Env:
            one = env(task, options)
            one.multi_modal = config.env.multi_modal
            return one

        return Rollout(
            team,
            engines,
            self.tokenizers,
            made,
            threads if phases else max(threads, WAITING_THREADS),
            phases=phases,
            # Where prompts are searched for, all policies have the weights that the engine starts with.
            merged=reloaded and config.specialization != "prompt",
        )


def assembled(
    config: ExperimentConfig, folder: Path, events: EventStream, check: Callable[[], None], opened: ExitStack
) -> Assembly:
    """Start the engines of `config`, which `opened` closes; they write their logs into `folder`.

    Puts the plug-ins of `config` in force before. Raises RefusedError for one that cannot be, and where
    programs would run in a sandbox that is weaker than `config` says.
    """
    require(config.plugins)
    plans = plan_policies(config)
    folders = {path: local_folder(path, events.status) for path in {plan.path for plan in plans.values()}}
    if config.env.multi_modal:
        for folder_of_model in folders.values():
            refuse_text_models(folder_of_model)
    events.status("starting the engine and loading the model")
    settings = [
        engine_settings(config, served, folders[served[0].path]) for served in engine_groups(config, plans)
    ]
    processes = []
    for told, log in zip(settings, _logs(folder), strict=False):
        process = EngineProcess(told, log, check, events.warning)
        opened.enter_context(closing(process))
        processes.append(process)
        if told.may_sleep:
            # An engine takes its share of the memory that it finds free: one after the other.
            process.wait_ready()
    if weak := require_sandbox([config]):
        events.warning(weak_sandbox(weak))
    return Assembly(config, plans, folders, settings, processes)


def launched_device(config: ExperimentConfig) -> torch.device:
    """The device of this process, which joins the others of its run.

    Raises RefusedError where the launcher started another number of processes than the experiment says.
    """
    from accelerate import PartialState

    state = PartialState(cpu=config.training.device == "cpu")
    if state.num_processes != config.launch.num_processes:
        raise RefusedError(
            f"launch.num_processes = {config.launch.num_processes}, and the worker runs as one of "
            f"{state.num_processes}",
            help="start it with `pettingllms train`, which starts as many",
        )
    device: torch.device = state.device
    return device


def run_loggers(training: TrainingConfig, folder: Path, events: EventStream, begin: Path | None) -> Fanout:
    """The loggers of a run that goes on after the checkpoint `begin`; those of the leading process write."""
    if rank():
        return Fanout({}, events.warning)
    return build_loggers(training, folder, events.warning, 0 if begin is None else checkpoint_step(begin) + 1)


def _logs(folder: Path) -> Iterator[Path]:
    """`engine.log`; of further engines and ranks `engine-<rank>.log`, `engine-<rank>-<number>.log`."""
    yield folder / (f"engine-{rank()}.log" if rank() else "engine.log")
    number = 1
    while True:
        yield folder / f"engine-{rank()}-{number}.log"
        number += 1
