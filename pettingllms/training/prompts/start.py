"""Builds the search for prompts of a trial, as the worker builds its training loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pettingllms.rollout.play import RolloutSettings
from pettingllms.rollout.seeds import derive
from pettingllms.training.assembly import Assembly, launched_device, run_loggers
from pettingllms.training.datasets import run_tasks
from pettingllms.training.events import EventStream
from pettingllms.training.policies import Policies
from pettingllms.training.prompts.memory import Memory
from pettingllms.training.prompts.reflection import Reflection
from pettingllms.training.prompts.reflectors import reflector_of
from pettingllms.training.prompts.search import PromptSearch
from pettingllms.training.prompts.texts import PromptTexts
from pettingllms.training.prompts.trials import PromptTrials
from pettingllms.training.ranks import Ranks
from pettingllms.training.saving import CheckpointSaver
from pettingllms.training.state import RandomNumbers


def build_search(
    assembly: Assembly, folder: Path, events: EventStream, check: Callable[[], None], begin: Path | None
) -> PromptSearch:
    """The search of a trial in `folder`; the policies keep the weights that they start from.

    `begin`: the checkpoint to go on from. Raises RefusedError where the environment variable with the
    endpoint's key is not set.
    """
    config = assembly.config
    training, agents = config.training, config.agent_policy_configs
    device = launched_device(config)
    ranks = Ranks.joined()
    engines = assembly.ready()
    rollout = assembly.rollout(engines)
    reflector = reflector_of(config, assembly.plans, assembly.tokenizers, engines, check)
    memory = Memory()
    limits = {member.name: member.prompt_limit for member in rollout.team.members}
    tokenizers = {member.name: assembly.tokenizers[member.policy] for member in rollout.team.members}
    texts = PromptTexts(agents, training.prompt.components, tokenizers, limits)
    nothing = Policies((), {}, device, trust_remote_code=False, seed=training.seed)

    def on_progress(split: str, done: int, total: int) -> None:
        phase = "rollout" if split == "train" else split
        events.write("phase", step=trials.step, phase=phase, done=done, total=total)
        check()

    def lead(work: Callable[[], list[str]]) -> list[str]:
        events.write("phase", step=trials.step, phase="reflection", done=0, total=1)
        return ranks.together(lambda: work() if ranks.leads else [])[0]

    trials = PromptTrials(
        texts,
        assembly.team,
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
        training.max_failed_share,
    )
    return PromptSearch(
        training=training,
        tasks=run_tasks(config, folder, events, begin),
        start=texts.start(),
        trials=trials,
        reflection=Reflection(reflector, texts, memory, training.seed, lead, events.warning),
        memory=memory,
        models=assembly.models(),
        random=RandomNumbers(derive(training.seed, "process", ranks.rank)),
        policies=nothing,
        saver=CheckpointSaver(training, nothing, folder, events),
        begin=begin,
        ranks=ranks,
        loggers=run_loggers(training, folder, events, begin),
        events=events,
        folder=folder,
        check=check,
    )
