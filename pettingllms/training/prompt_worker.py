"""Builds the search for prompts of a trial, as the worker builds its training loop."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import cpu_threads, plan_policies
from pettingllms.envs import ENVS
from pettingllms.loggers import build_loggers
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.team import build_team
from pettingllms.training.events import EventStream
from pettingllms.types import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pettingllms.training.prompt_search import PromptSearch
    from pettingllms.types import Task

WAITING_THREADS = 32
"""For agents and environments that act while the engine works."""


def build_search(
    config: ExperimentConfig,
    tasks: dict[Split, Sequence[Task]],
    model: Path,
    engine: EngineProcess,
    folder: Path,
    events: EventStream,
    check: Callable[[], None],
) -> PromptSearch:
    """The search of a trial in `folder`; the policies keep the weights of `model`.

    Raises RefusedError where the environment variable with the endpoint's key is not set.
    """
    from accelerate import PartialState

    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.training.checkpoint import checkpoint_root
    from pettingllms.training.prompt_checkpoint import newest_checkpoint
    from pettingllms.training.prompt_memory import Memory
    from pettingllms.training.prompt_search import PromptSearch
    from pettingllms.training.prompt_texts import PromptTexts
    from pettingllms.training.prompt_trials import PromptTrials
    from pettingllms.training.ranks import Ranks
    from pettingllms.training.reflection import Reflection
    from pettingllms.training.reflectors import reflector_of

    plans = plan_policies(config)
    training, agents = config.training, config.agent_policy_configs
    PartialState(cpu=training.device == "cpu")
    ranks = Ranks.joined()
    tokenizer = ChatTokenizer(model, config.resource.trust_remote_code)
    reflector = reflector_of(config, plans, tokenizer, engine, check)
    make_team = partial(
        build_team,
        interaction=config.multi_agent_interaction,
        policies=plans,
        max_turns=config.env.max_turns,
        turn_unit=config.env.turn_unit,
    )
    env = ENVS.load(config.env.name)
    options = env.Options(**config.env.options)
    team = make_team(agents)
    phases = plans[team.order[0].policy].phases
    threads = cpu_threads(config)
    rollout = Rollout(
        team,
        engine,
        tokenizer,
        lambda task: env(task, options),
        threads if phases else max(threads, WAITING_THREADS),
        phases=phases,
        # All policies have the weights of the start.
        merged=False,
    )
    engine.wait_ready()
    memory = Memory()
    limits = {member.name: member.prompt_limit for member in team.members}
    texts = PromptTexts(agents, training.prompt.components, tokenizer, limits)

    def on_progress(split: Split, done: int, total: int) -> None:
        phase = "rollout" if split == "train" else split
        events.write("phase", step=trials.step, phase=phase, done=done, total=total)
        check()

    def lead(work: Callable[[], list[str]]) -> list[str]:
        events.write("phase", step=trials.step, phase="reflection", done=0, total=1)
        return ranks.together(lambda: work() if ranks.leads else [])[0]

    trials = PromptTrials(
        texts,
        make_team,
        rollout,
        ranks,
        memory,
        RolloutSettings(
            mode="independent",
            candidates=1,
            reward_alpha=training.reward_alpha,
            greedy=training.if_greedy,
            resolve=config.env.resolve,
            together=config.env.batched_init,
            evaluation=True,
            seed=training.seed,
        ),
        training.validate_sample_num,
        training.seed,
        on_progress,
        events.warning,
    )
    return PromptSearch(
        training=training,
        tasks=tasks,
        start=texts.start(),
        trials=trials,
        reflection=Reflection(reflector, texts, memory, training.seed, lead, events.warning),
        memory=memory,
        begin=newest_checkpoint(checkpoint_root(folder, training.model_checkpoints_dir)),
        trial=(folder / "trial.toml").read_text(encoding="utf-8"),
        ranks=ranks,
        loggers=build_loggers(training, folder, events.warning)
        if ranks.leads
        else Fanout({}, events.warning),
        events=events,
        folder=folder,
        check=check,
    )
