"""A small run that starts in a moment: a tiny model, a game without sandbox, and workers that are forked.

Two agents, each with an adapter of its own, write letters; what a text earns depends on its letters and on
draws from the generators of the process, so that a run whose random states are not those of another one earns
something else. Four tasks of training make an epoch of two steps.

A process that has imported everything forks the workers (`Fork`), each with the `hf` engine inside, or with
an engine in a process of its own, as every run has it.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.model import ConfigModel
from pettingllms.envs import ENVS
from pettingllms.envs.base import Env, Outcome
from pettingllms.rollout.engine import ENGINES
from pettingllms.types import Task

SIGNAL = "TALLY_SIGNAL"
"""The variable that names a file which grows with each action that is rewarded."""
SIZES = {"train": 4, "val": 2, "test": 1}

EXPERIMENT = """
specialization = "lora"
lora_rank = 2

[resource]
n_gpus_per_node = 0

[env]
name = "tally"
dataset = "tally"

[base_models.policy_0]
path = "@MODEL@"
name = "first"

[base_models.policy_1]
path = "@MODEL@"
name = "second"

[agent_policy_configs]
num_agents = 2
agent_configs.agent_0 = { name = "opener", policy_name = "first", agent = "writer", system_prompt = "" }
agent_configs.agent_1 = { name = "closer", policy_name = "second", agent = "writer", system_prompt = "" }

[multi_agent_interaction]
turn_order = ["opener", "closer"]

[training]
device = "cpu"
total_training_steps = 6
logger = []
train_batch_size = 2
train_sample_num = 3
val_freq = 2
save_freq = 1
keep_checkpoints = 2
max_prompt_length = 40
max_response_length = 6

[launch]
num_cpu_threads_per_process = 1

[models.model_0.ppo_trainer_config]
algorithm = { use_kl_in_reward = true, kl_ctrl = { type = "adaptive", kl_coef = 0.5, horizon = 20 } }
actor_rollout_ref.rollout = { name = "hf", lora_serving = "merged" }
actor_rollout_ref.actor = { optim.lr = 0.02, ppo_epochs = 2 }

[models.model_1.ppo_trainer_config]
actor_rollout_ref.rollout = { name = "hf", lora_serving = "merged" }
actor_rollout_ref.actor = { optim = { lr = 0.02, warmup_style = "cosine", lr_warmup_steps = 2 } }
"""


class Options(ConfigModel):
    """No settings."""


class Tally(Env):
    """What was written so far."""

    Options = Options
    written = ""

    @classmethod
    def tasks(cls, dataset, split, options, seed):  # noqa: ARG003 - there is one set of tasks
        return [Task(f"{split}/{n}", split, {"letter": chr(97 + n)}) for n in range(SIZES[split])]

    def copy(self):
        twin = Tally(self.task, self.options)
        twin.written = self.written
        return twin

    def team_reward(self):
        return len(set(self.written)) / 100

    def success(self):
        return len(set(self.written)) % 2 == 0

    def solved(self):
        return False


class Writer(Agent):
    """Adds to what was written."""

    system_prompt = ""

    def observe(self, env):
        return env.task.data["letter"] + env.written[-8:]

    def act(self, env, text):
        import numpy
        import torch

        env.written += text
        if path := os.environ.get(SIGNAL):
            with Path(path).open("ab") as file:
                file.write(b".")
        chance = random.random() + float(numpy.random.rand()) + float(torch.rand(()))
        return Outcome(sum(map(ord, text)) % 13 / 26 + chance / 10, "letters")


class EngineInside:
    """The engine in the worker's own process, in the place of `EngineProcess`."""

    def __init__(self, settings, log, check, warn):  # noqa: ARG002 - as EngineProcess
        self._settings, self._engine = settings, None

    def wait_ready(self):
        if self._engine is None:
            self._engine = ENGINES.load(self._settings.name)(self._settings)

    def __getattr__(self, name):
        return getattr(self._engine, name)


def build_model(folder):
    """A Llama of two layers with a byte-level tokenizer, as files; returns the folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<end>", "<turn>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    plain = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    # vLLM on the CPU has attention for heads of 32 and more.
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    ends = {"eos_token_id": 0, "pad_token_id": 0, "bos_token_id": None}
    config = LlamaConfig(
        vocab_size=len(words), max_position_embeddings=128, tie_word_embeddings=True, **sizes, **heads, **ends
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token="<end>",
        pad_token="<end>",
        chat_template="{% for m in messages %}<turn>{{ m.content }}{% endfor %}<turn>",
    ).save_pretrained(folder)
    return folder


def prepare(folder, model, changes=()):
    """A run folder as the worker finds it; `changes`: pairs of texts to exchange in the experiment."""
    text = EXPERIMENT.replace("@MODEL@", str(model))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trial.toml").write_text(text)
    return folder


def warm_up(*, inside=True):
    """Import all that a worker needs, once; nothing may start threads, as children are forked.

    `inside`: the engine is built in the worker's own process.
    """
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401
    from accelerate import PartialState  # noqa: F401

    import pettingllms.rollout.hf
    import pettingllms.training.loop  # noqa: F401
    from pettingllms.training import assembly

    torch.set_num_threads(1)
    ENVS._rows["tally"] = "benchmarks.tally:Tally"
    AGENTS._rows["writer"] = "benchmarks.tally:Writer"
    if inside:
        assembly.EngineProcess = EngineInside


class Fork:
    """A worker of a run, as a child of this process, which was warmed up."""

    def __init__(self, folder):
        self.folder = folder
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                status = self._work()
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)

    def _work(self):
        from pettingllms.training import worker

        output = os.open(self.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ[SIGNAL] = str(self.folder / "rewarded")
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        return worker.main(self.folder)

    def ended(self):
        """Whether it has; then its status is in `status`, negative for a signal."""
        if self.pid:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if not done:
                return False
            self.pid, self.status = 0, os.waitstatus_to_exitcode(status)
        return True

    def wait(self, seconds=300.0):
        """The exit status."""
        deadline = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"the worker in {self.folder} does not end")
            time.sleep(0.01)
        return self.status

    def kill(self):
        """End it as a power cut would, as far as one process goes."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid, self.status = 0, -signal.SIGKILL


def records(folder, name="metrics.jsonl"):
    """The records of a run that are whole."""
    path = folder / name
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def measured(folder):
    """The metrics of a run but for its times."""
    timed = ("time/", "perf/")
    return [
        {name: value for name, value in record.items() if not name.startswith(timed)}
        for record in records(folder)
    ]


def results(folder):
    """What must be the same in two runs, by name: files of the newest checkpoint, metrics, sampled texts."""
    newest = max((folder / "checkpoints").glob("step_??????"))
    files = [*newest.glob("policies/*/*.safetensors"), newest / "state.safetensors", newest / "state.json"]
    files += (folder / "samples").glob("*.jsonl")
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}
    return found | {"metrics": json.dumps(measured(folder)).encode()}


def digest(folder):
    """One hash of all results."""
    whole = hashlib.sha256()
    for name, content in results(folder).items():
        whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return whole.hexdigest()
