"""One rank of an update, as a process of its own: `python two_ranks.py MODEL RENDEZVOUS RANK WORLD OUT`."""

import sys
from pathlib import Path

import torch
from plans import plans_of, ragged_groups, with_returns
from torch import distributed as dist

from pettingllms.training.critic import build_critics
from pettingllms.training.critic_update import CriticUpdate
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.update import Update

RATE = {"optim": {"lr": 1e-3}}
CASES = {
    "token-mean": {"loss_agg_mode": "token-mean", **RATE},
    "seq-mean-token-mean": {"loss_agg_mode": "seq-mean-token-mean", **RATE},
    "several steps": {
        "ppo_mini_batch_size": 2,
        "ppo_epochs": 2,
        "shuffle": True,
        "use_kl_loss": True,
        "entropy_coeff": 0.01,
        **RATE,
    },
}


def updated(model, ranks, actor, groups, optimizer=None, kind="lora"):
    """The weights after one update of `a.b`, as a list of tensors, and what the update measured."""
    policies = Policies(
        plans_of(actor=actor, model={"specialization": kind}).values(),
        model,
        torch.device("cpu"),
        trust_remote_code=False,
        seed=0,
    )
    generator = torch.Generator().manual_seed(1)
    for name in policies.plans:
        for parameter in policies.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    if optimizer is not None:
        policies.optimizers["a.b"] = optimizer(policies.parameters("a.b"))
    result = Update(policies, "a.b", groups, ranks, seed=3, check=lambda: None).run()
    return [parameter.detach().clone() for parameter in policies.parameters("a.b")], result


def judged(model, ranks, critic, groups):
    """The weights of a critic after one update, and what it measured."""
    plans = plans_of(
        algorithm={"adv_estimator": "gae"},
        critic={"model": critic, "ppo_mini_batch_size": 2, "ppo_epochs": 2},
    )
    cpu = torch.device("cpu")
    policies = Policies(plans.values(), model, cpu, trust_remote_code=False, seed=0)
    one = build_critics(policies, {"own": model}, trust_remote_code=False, seed=0)["a.b"]
    one.optimizer = sgd(one.parameters)
    result = CriticUpdate(one, with_returns(groups), ranks, seed=3, check=lambda: None).run()
    return [parameter.detach().clone() for parameter in one.parameters], result


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def results(model, ranks):
    """By case, the weights after an update: plain SGD and AdamW, and one where a rank has no sample."""
    found = {}
    for name, actor in CASES.items():
        found[f"sgd {name}"] = updated(model, ranks, actor, ragged_groups(), sgd)
        found[f"adamw {name}"] = updated(model, ranks, actor, ragged_groups())
        found[f"sgd full {name}"] = updated(model, ranks, actor, ragged_groups(), sgd, "full")
    found["critic, a head"] = judged(model, ranks, {}, ragged_groups())
    found["critic, a model"] = judged(model, ranks, {"path": "own"}, ragged_groups())
    found["one row"] = updated(model, ranks, {}, ragged_groups(1), sgd)
    found["no row"] = updated(model, ranks, {}, [])
    return found


def main(model, rendezvous, rank, world, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=int(rank), world_size=int(world))
    torch.save(results(Path(model), Ranks.joined()), f"{out}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
