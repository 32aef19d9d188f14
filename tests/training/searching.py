"""A search for prompts in memory: agents say what their system prompt says, and a stand-in reflects."""

import json
import re

import torch
from stub_rollout import Characters, StubEngine, text_of

from pettingllms.config.agents import AgentPolicyConfigs
from pettingllms.config.training import TrainingConfig
from pettingllms.envs.arithmetic import generate
from pettingllms.envs.math import MathEnv, MathOptions
from pettingllms.loggers.base import Fanout
from pettingllms.rollout.play import Rollout, RolloutSettings
from pettingllms.rollout.team import Member, Team
from pettingllms.runs.checkpoints import newest_whole
from pettingllms.training.events import EventStream
from pettingllms.training.policies import Policies
from pettingllms.training.prompts.memory import Memory
from pettingllms.training.prompts.reflection import Reflection
from pettingllms.training.prompts.search import PromptSearch
from pettingllms.training.prompts.texts import PromptTexts
from pettingllms.training.prompts.trials import PromptTrials
from pettingllms.training.ranks import Ranks
from pettingllms.training.saving import CheckpointSaver
from pettingllms.training.state import RandomNumbers
from pettingllms.types import TokenSampling

OPTIONS = MathOptions(digits=1, validation_size=12, test_size=6, train_size=24)
TASKS = {split: generate(split, OPTIONS, 0) for split in ("train", "val", "test")}


def says(request):
    """An agent answers with the last number that stands before its question."""
    numbers = re.findall(r"\d+", text_of(request).rpartition("What is")[0])
    return f"\\boxed{{{numbers[-1] if numbers else 'nothing'}}}"


def share(split, number):
    """The share of a split's tasks whose answer is `number`."""
    return sum(task.data["answer"] == str(number) for task in TASKS[split]) / len(TASKS[split])


class Proposes:
    """Answers each prompt with what `choose(prompt, seed)` says."""

    def __init__(self, choose):
        self.choose, self.prompts = choose, []

    def answers(self, prompts, seeds):
        self.prompts += prompts
        return [f"```\n{self.choose(*one)}\n```" for one in zip(prompts, seeds, strict=True)]


class Records:
    """A logger that keeps what it is given."""

    def __init__(self, folder):
        self._file = folder / "metrics.jsonl"

    def log(self, record):
        kept = {name: value for name, value in record.items() if not name.startswith("time/")}
        with self._file.open("a") as file:
            file.write(json.dumps(kept) + "\n")

    def close(self):
        pass


def agents_of(*agents):
    """Agents that report an answer: (name, settings) each."""
    configs = {
        f"agent_{n}": {"name": name, "agent": "reasoning_generator", "policy_name": "p", **settings}
        for n, (name, settings) in enumerate(agents)
    }
    return AgentPolicyConfigs(num_agents=len(configs), agent_configs=configs)


def a_search(folder, reflector, *agents, check=lambda: None, engine=None, limit=400, repeats=1, **prompt):
    """A search in `folder`. `prompt`: keys of `training.prompt`, and `steps` and `ranks`."""
    from pettingllms.agents import AGENTS

    folder.mkdir(exist_ok=True)
    agents = agents_of(*(agents or [("reporter", {"system_prompt": "Say 100."})]))
    steps, ranks = prompt.pop("steps", 4), prompt.pop("ranks", Ranks())
    training = TrainingConfig(
        device="cpu",
        total_training_steps=steps,
        validate_sample_num=repeats,
        prompt={"minibatch_size": 8, **prompt},
    )

    def make_team(configs):
        members = [
            Member(
                name=agent.name,
                agent=AGENTS.load(agent.agent)(agent),
                policy="p",
                trained=agent.trained,
                train=TokenSampling(1.0, 64),
                evaluation=TokenSampling(0.0, 64),
                prompt_limit=limit,
            )
            for agent in configs.agent_configs.values()
        ]
        return Team(tuple(members), len(members))

    def lead(work):
        return ranks.together(lambda: work() if ranks.leads else [])[0]

    events = EventStream(folder / "events.jsonl", leads=ranks.leads)
    rollout = Rollout(
        make_team(agents),
        engine or StubEngine(says),
        {"p": Characters()},
        lambda task: MathEnv(task, OPTIONS),
        workers=2,
        phases=True,
        merged=False,
    )
    memory = Memory()
    limits = {agent.name: limit for agent in agents.agent_configs.values()}
    tokenizers = dict.fromkeys(limits, Characters())
    texts = PromptTexts(agents, training.prompt.components, tokenizers, limits)
    trials = PromptTrials(
        texts,
        make_team,
        rollout,
        ranks,
        memory,
        RolloutSettings(
            mode="independent",
            candidates=1,
            reward_alpha=1.0,
            greedy=True,
            resolve=False,
            together=True,
            evaluation=True,
            seed=0,
        ),
        repeats,
        0,
        lambda split, done, total: check(),
        events.warning,
    )
    nothing = Policies((), {}, torch.device("cpu"), trust_remote_code=False, seed=0)
    (folder / "trial.toml").write_text("format = 1\n")
    return PromptSearch(
        training=training,
        tasks=TASKS,
        start=texts.start(),
        trials=trials,
        reflection=Reflection(reflector, texts, memory, 0, lead, events.warning),
        memory=memory,
        random=RandomNumbers(0),
        models={},
        policies=nothing,
        saver=CheckpointSaver(training, nothing, folder, events),
        begin=newest_whole(folder / "checkpoints", events.warning),
        ranks=ranks,
        loggers=Fanout({"records": Records(folder)}, events.warning),
        events=events,
        folder=folder,
        check=check,
    )
