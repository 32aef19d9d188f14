"""What policies train, how tasks are played, and who shares what: every combination takes real steps."""

import json
import math
import os
import signal
import time

import pytest
from tiny_model_fixture import tiny_model

from pettingllms.lint.engine import check_experiment
from pettingllms.process import ENGINE_HOST
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial

__all__ = ["tiny_model"]
pytestmark = pytest.mark.slow

ROLES = ("tool_generator", "reasoning_generator", "verifier")
STEPS = 2
CELLS = [
    (kind, mode, agents, sharing)
    for kind in ("lora", "full", "mixed")
    for mode in ("tree", "independent")
    for agents in (1, 2, 3)
    for sharing in ("shared", "own")
    # One agent has nobody to share with, and a mixture takes policies that differ.
    if (agents > 1 or sharing == "own") and (kind != "mixed" or (agents > 1 and sharing == "own"))
]
TEXT = """
format = 1
specialization = "{kind}"
lora_rank = 4
resource.n_gpus_per_node = 0
env = {{ name = "math_env", dataset = "builtin:arithmetic", max_turns = {agents}, options = {{ digits = 1, \
validation_size = 2, test_size = 0 }} }}

[agent_policy_configs]
num_agents = {agents}

[multi_agent_interaction]
turn_order = {order}

[training]
device = "cpu"
total_training_steps = {steps}
logger = []
train_batch_size = 2
train_sample_num = 2
val_freq = 10
max_prompt_length = 400
max_response_length = 16
rollout_mode = "{mode}"

[launch]
num_cpu_threads_per_process = 1
"""
POLICY = """
[base_models.policy_{n}]
path = "{model}"
name = "policy {n}"

[models.model_{n}.ppo_trainer_config.actor_rollout_ref]
model.specialization = "{kind}"
actor.optim.lr = 0.001
actor.entropy_coeff = 0.01  # A random model earns nothing: this gives every step a gradient.
rollout.max_num_seqs = 16
rollout.max_model_len = 416
"""
AGENT = """
[agent_policy_configs.agent_configs.agent_{n}]
name = "{role}"
policy_name = "policy {policy}"
system_prompt = ""
"""


def experiment_of(folder, model, kind, mode, agents, sharing):
    order = json.dumps(ROLES[:agents])
    root = "lora" if kind == "mixed" else kind
    text = TEXT.format(kind=root, mode=mode, agents=agents, order=order, steps=STEPS)
    for n in range(agents if sharing == "own" else 1):
        own = ("full", "lora", "full")[n] if kind == "mixed" else kind
        text += POLICY.format(n=n, model=model, kind=own)
    for n in range(agents):
        text += AGENT.format(n=n, role=ROLES[n], policy=n if sharing == "own" else 0)
    (folder / "matrix.toml").write_text(text)
    return check_experiment(folder / "matrix.toml", ()).experiment


def test_every_combination_takes_two_steps_on_vllm(tmp_path, tiny_model, monkeypatch):
    """One engine serves all cells in turn, as in a sweep: its base weights are restored between them."""
    from pettingllms.config.trial_file import trial_toml
    from pettingllms.training import worker

    table, hosts = [], set()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with EngineKeeper() as keeper:
        for number, cell in enumerate(CELLS):
            begin = time.perf_counter()
            folder = tmp_path / f"cell_{number:02}"
            folder.mkdir()
            experiment = experiment_of(folder, tiny_model, *cell)
            (folder / "trial.toml").write_text(trial_toml(experiment.stored))
            trial = Trial(number, folder, {}, experiment.config, " ".join(map(str, cell)))
            told = keeper.prepare(trial, StopRequest())
            hosts.add(told[ENGINE_HOST])
            monkeypatch.setitem(os.environ, ENGINE_HOST, told[ENGINE_HOST])
            assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
            records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            losses = [v for one in records for key, v in one.items() if key.startswith("train/loss/")]
            gaps = [v for one in records for key, v in one.items() if key.startswith("train/engine_gap/")]
            policies = len(experiment.config.base_models)
            assert [record["step"] for record in records] == list(range(STEPS + 1))
            assert len(losses) == STEPS * policies and all(map(math.isfinite, losses))
            # The weights that sample are those that are trained, also after the first update.
            assert max(gaps) < 1e-3
            table.append(
                f"{trial.title:<26} {time.perf_counter() - begin:>7.1f} {records[-1]['step']:>5} "
                f"{len(losses):>7} {max(gaps):>10.1e}"
            )
            print(table[-1], flush=True)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    heading = f"{'cell':<26} {'seconds':>7} {'steps':>5} {'updates':>7} {'engine gap':>10}"
    print("\n".join(["", heading, *table]))
    assert len(hosts) == 1, "the engine was kept all the time"
