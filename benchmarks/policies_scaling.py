"""What eight policies cost beside one: `python -m benchmarks.policies_scaling`.

A training step of the whole loop, without sending weights: rollout, groups, snapshot, update. Eight agents
act in turn, on one side each with a policy of its own, on the other all with the same one. The embedded
model, adapters of rank 16 on all linear layers, 2 tasks x 4 candidates x 8 agents, at most 32 new tokens,
adapters served by vLLM (`policies_scaling`), and, beside it, merged weights (`policies_scaling-merged`).

Equal tokens: fresh adapters are the identity and the learning rate is 1e-30, so that all policies are the
base model and stay it, and both sides sample the same tokens, which is checked. No agent is shown what others
said, and each has a system prompt of its own, so that no prefix is shared between policies on one side only.

Left out: sending weights (see weight_sync), and memory. Where weights are
merged, a rollout of eight policies reloads the weights eight times, which is inside the step; one run only.
"""

import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Side, command_line, measure
from benchmarks.real_engine import THREADS, embedded_model, engine_settings
from benchmarks.talk import Speaker, Talk
from pettingllms.config.agents import AgentConfig
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.models.embedded import NAME
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.play import Rollout
from pettingllms.rollout.team import Member, Team
from pettingllms.types import Message, Task, TokenSampling

AGENTS, TASKS, CANDIDATES = 8, 2, 4
SAMPLING = TokenSampling(1.0, 32)
RANK, ALPHA = 16, 32


class Alone(Speaker):
    """Is shown nothing but its task."""

    def messages(self, env):
        return [Message("system", f"You are {self.name}. Be brief."), Message("user", self.observe(env))]


def configuration(policies):
    """An experiment of so many policies on the embedded model."""
    trainer = {
        "actor_rollout_ref": {
            "actor": {"optim": {"lr": 1e-30, "weight_decay": 0.0}},
            "model": {"lora_rank": RANK, "lora_alpha": ALPHA},
        },
    }
    names = [f"policy {number}" for number in range(policies)]
    return ExperimentConfig.model_validate(
        {
            "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
            "base_models": {f"policy_{n}": {"path": NAME, "name": name} for n, name in enumerate(names)},
            "agent_policy_configs": {"num_agents": 1, "agent_configs": {}},
            "multi_agent_interaction": {"turn_order": ["agent"]},
            "training": {
                "device": "cpu",
                "total_training_steps": 1000,
                "train_batch_size": TASKS,
                "train_sample_num": CANDIDATES,
                "logger": [],
            },
            "models": {
                f"model_{n}": {"name": name, "ppo_trainer_config": trainer} for n, name in enumerate(names)
            },
        }
    )


def team(policies):
    """Eight agents, dealt to the policies."""
    order = [
        Member(
            name=f"speaker {number}",
            agent=Alone(AgentConfig(name=f"speaker {number}", policy_name=policy)),
            policy=policy,
            trained=True,
            train=SAMPLING,
            evaluation=SAMPLING,
            prompt_limit=1000,
        )
        for number in range(AGENTS)
        for policy in [policies[number % len(policies)]]
    ]
    return Team(tuple(order), AGENTS)


class Heard:
    """A rollout; `sampled`: the token ids of each play."""

    def __init__(self, rollout):
        self._rollout, self.team, self.engine = rollout, rollout.team, rollout.engine
        self.sampled = []

    def play(self, tasks, settings, on_progress):
        episodes = self._rollout.play(tasks, settings, on_progress)
        turns = [turn for episode in episodes for turn in episode.turns]
        self.sampled.append([one.completion.token_ids for turn in turns for one in turn.samples])
        return episodes


class Steps:
    """One side: a training loop that takes a step at each run. `parts`: seconds of each, by phase."""

    def __init__(self, policies, serving, model, folder, stack):
        """Start the engine."""
        folder.mkdir()
        self._config = configuration(policies)
        self._plans = plan_policies(self._config)
        told = engine_settings(model, max_model_len=256, max_num_seqs=TASKS * CANDIDATES * AGENTS)
        told = replace(told, serving=serving, policies=tuple(self._plans), max_lora_rank=RANK)
        engine = EngineProcess(told, folder / "engine.log", lambda: None)
        self._engine = stack.enter_context(closing(engine))
        self._model, self._folder, self._serving = model, folder, serving
        self.parts = []

    @property
    def sampled(self):
        """The token ids of each step."""
        return self._loop.rollout.sampled

    def begin(self):
        """Make policies and loop, send the adapters, and take a step that does not count."""
        import torch

        from pettingllms.training.policies import Policies

        torch.set_num_threads(THREADS)
        self._engine.wait_ready()
        cpu = torch.device("cpu")
        policies = Policies(self._plans.values(), self._model, cpu, trust_remote_code=False, seed=0)
        self._loop = self._built(policies)
        # As in the middle of a run: without an adapter a policy would be the base model.
        self._loop._send(list(self._plans), 0)
        self.run()
        self.parts.clear()

    def run(self):
        """Seconds of the next step, without sending weights."""
        begin = time.perf_counter()
        step = len(self.sampled) + 1
        record = self._loop._trained(step)
        self._loop._state_after(step)
        seconds = time.perf_counter() - begin - record["time/sync"]
        self.parts.append((record["time/rollout"], record["time/train"]))
        return seconds

    def _built(self, policies):
        from pettingllms.loggers.base import Fanout
        from pettingllms.training.events import EventStream
        from pettingllms.training.loop import TrainingLoop
        from pettingllms.training.memory import Room
        from pettingllms.training.nonfinite import NonFinite
        from pettingllms.training.ranks import Ranks
        from pettingllms.training.records import EpochMeans
        from pettingllms.training.tasks import TaskSchedule

        questions = [
            Task(f"t{number}", "train", {"question": f"What is special about {number + 10}?"})
            for number in range(64)
        ]
        events = EventStream(self._folder / "events.jsonl")
        rollout = Rollout(
            team(list(self._plans)),
            self._engine,
            dict.fromkeys(self._plans, ChatTokenizer(self._model, False)),
            lambda task: Talk(task, None),
            THREADS,
            phases=True,
            merged=self._serving == "merged",
        )
        return TrainingLoop(
            training=self._config.training,
            resolve=False,
            batched_init=True,
            schedule=TaskSchedule(questions, TASKS, 1, None, 0),
            held_out={"val": (), "test": ()},
            rollout=Heard(rollout),
            policies=policies,
            ranks=Ranks(),
            controls={},
            critics={},
            epoch=EpochMeans(),
            nonfinite=NonFinite(),
            room=Room(events.warning),
            parts={},
            saver=None,
            begin=None,
            loggers=Fanout({}, events.warning),
            events=events,
            folder=self._folder,
            shares_device=False,
            check=lambda: None,
        )


def compare(figure, serving, model, folder, *, runs, at_most, save):
    """Both sides, served in one way."""
    with ExitStack() as stack:
        one = Steps(1, serving, model, folder / f"{serving}-one", stack)
        many = Steps(AGENTS, serving, model, folder / f"{serving}-many", stack)
        one.begin()
        many.begin()
        notes = {
            "agents, tasks, K": (AGENTS, TASKS, CANDIDATES),
            "new tokens of the first step": sum(map(len, many.sampled[0])),
        }

        def run(side, name):
            seconds = side.run()
            # Filled in as the runs go: the notes are read when all are over.
            rollout, update = (statistics.median(part) for part in zip(*side.parts, strict=True))
            notes[f"{name}: median seconds of rollout, update"] = (round(rollout, 3), round(update, 3))
            notes["the same tokens on both sides"] = all(
                a == b for a, b in zip(many.sampled, one.sampled, strict=False)
            )
            return seconds

        measure(
            figure,
            f"seconds of a step without sync, {AGENTS} policies / one policy, {serving} serving",
            Side(f"{AGENTS} policies", lambda: run(many, f"{AGENTS} policies")),
            Side("one policy", lambda: run(one, "one policy")),
            unit="s",
            runs=runs,
            warmups=0,
            at_most=at_most,
            notes=notes,
            save=save,
        )


def main(arguments=None):
    """Measure adapter serving, then merged weights."""
    options = command_line(__doc__, runs=5).parse_args(arguments)
    model = embedded_model()
    with tempfile.TemporaryDirectory() as name:
        folder, save = Path(name), options.save
        compare("policies_scaling", "adapter", model, folder, runs=options.runs, at_most=1.1, save=save)
        compare("policies_scaling-merged", "merged", model, folder, runs=1, at_most=None, save=save)


if __name__ == "__main__":
    main()
