"""A team that can be enumerated: two agents speak in turn, three turns each, four actions, tabular policies.

Shapes: D draws, M tasks of a batch, K branches or candidates, T turns, S states, A actions. The tasks of a
batch look alike to the policies. What a turn earns depends on its state and action. Each turn has a table of
its own; with S = 1 that is all there is to its state, with S = 4 the state is the action before, too.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pettingllms.advantages import estimator_of
from pettingllms.advantages.grouping import credit, groups_of
from pettingllms.config.ppo import AlgorithmConfig
from pettingllms.types import (
    Completion,
    Episode,
    FinishReason,
    Reward,
    Sample,
    StopReason,
    Task,
    TokenSampling,
    Turn,
)

AGENTS = ("first", "second")
TURNS, ACTIONS = 6, 4

# The digits of pi are the tables, in the order in which they are used: nobody chose them.
PI = (
    "314159265358979323846264338327950288419716939937510582097494"
    "459230781640628620899862803482534211706798214808651328230664"
    "709384460955058223172535940812848111745028410270193852110555"
    "964462294895493038196442881097566593344612847564823378678316"
)


@dataclass(frozen=True)
class Bandit:
    """`rewards`, `logits`: [T, S, A], by turn, state and action."""

    rewards: np.ndarray
    logits: np.ndarray

    @property
    def states(self):
        return self.rewards.shape[1]

    @property
    def policy(self):
        """Probabilities, [T, S, A]."""
        weights = np.exp(self.logits)
        return weights / weights.sum(-1, keepdims=True)


def digits(begin, states):
    """A table [T, S, A] from the digits of pi from `begin` on."""
    end = begin + TURNS * states * ACTIONS
    return np.array([int(digit) for digit in PI[begin:end]], dtype=float).reshape(TURNS, states, ACTIONS)


# Rewards lie in [0, 0.45], logits in [0, 0.9].
APART = Bandit(digits(0, 1) / 20, digits(24, 1) / 10)
"""What an agent does changes its own reward only."""
LINKED = Bandit(digits(48, 4) / 20, digits(144, 4) / 10)
"""What an agent does is the state in which the next one acts."""


class Play(NamedTuple):
    """A batch: states and actions, [D, M, K, T], and whether the K share each state, as in `tree` mode."""

    states: np.ndarray
    actions: np.ndarray
    tree: bool


def play(bandit, mode, draws, tasks, candidates, generator):
    """`draws` batches of `tasks` * `candidates` samples per turn.

    `mode`: `independent`; `tree`, where the first candidate goes on; `greedy`, where the best one does.
    """
    shape = (draws, tasks, candidates)
    states, actions = np.zeros((*shape, TURNS), dtype=int), np.zeros((*shape, TURNS), dtype=int)
    cumulated = bandit.policy.cumsum(-1)
    for turn in range(TURNS):
        here = states[..., turn]
        above = generator.random(shape)[..., None] > cumulated[turn][here][..., :-1]
        actions[..., turn] = above.sum(-1)
        if turn + 1 < TURNS:
            state = actions[..., turn]
            if mode != "independent":
                rewards = bandit.rewards[turn][here, state]
                # Ties are broken by chance: two rewards differ by 1/20 or not at all.
                best = (rewards + 1e-3 * generator.random(shape)).argmax(-1)
                chosen = best if mode == "greedy" else np.zeros_like(best)
                state = np.take_along_axis(state, chosen[..., None], -1)
            states[..., turn + 1] = state % bandit.states
    return Play(states, actions, mode != "independent")


def earned(bandit, batch):
    """The reward of each action, [D, M, K, T]."""
    return bandit.rewards[np.arange(TURNS), batch.states, batch.actions]


def worth(rewards, grouping):
    """What each action is held to account for, [D, M, K, T]: its own reward, or all of its episode."""
    whole = np.broadcast_to(rewards.sum(axis=-1, keepdims=True), rewards.shape)
    return whole if grouping == "trajectory" else rewards


def advantages(rewards, grouping):
    """What actions are worth minus the mean of their group, [D, M, K, T]: `dr_grpo` in NumPy."""
    value = worth(rewards, grouping)
    return value - value.mean(axis=2, keepdims=True)


def gradients(bandit, batch, weights):
    """Mean over branches of the gradient of log-probability times `weights` [D, M, K, T]: [D, T, S, A]."""
    draws, tasks, candidates = weights.shape[:3]
    policy = bandit.policy
    found = np.zeros((draws, TURNS, bandit.states, ACTIONS))
    for state in range(bandit.states):
        here = np.where(batch.states == state, weights, 0.0)
        for action in range(ACTIONS):
            taken = (batch.actions == action) - policy[:, state, action]
            found[:, :, state, action] = (here * taken).sum(axis=(1, 2))
    return found / (tasks * candidates)


def exact_gradient(bandit, grouping="trajectory"):
    """What a grouping is after, [T, S, A], by enumeration of all 4^6 ways to act.

    By `trajectory` it is the gradient of the expected sum of all rewards. By `agent_turn` each action is held
    to account for its own reward only, in the states that the policy visits.
    """
    actions = np.array(list(itertools.product(range(ACTIONS), repeat=TURNS)))
    states = np.concatenate([np.zeros((len(actions), 1), dtype=int), actions[:, :-1] % bandit.states], axis=1)
    probability = bandit.policy[np.arange(TURNS), states, actions].prod(axis=1)
    batch = Play(states[None, None], actions[None, None], tree=False)
    weights = worth(earned(bandit, batch), grouping) * probability[:, None]
    return gradients(bandit, batch, weights)[0] * len(actions)


def greedy_gradient(bandit, candidates):
    """Gradient [T, S, A] of the immediate rewards in the states that the best of K candidates lead to."""
    policy, rewards = bandit.policy, bandit.rewards
    visited = np.eye(bandit.states)[0]
    found = np.zeros_like(policy)
    for turn in range(TURNS):
        mean = (policy[turn] * rewards[turn]).sum(-1, keepdims=True)
        found[turn] = visited[:, None] * policy[turn] * (rewards[turn] - mean)
        following = np.zeros(bandit.states)
        for state, action in itertools.product(range(bandit.states), range(ACTIONS)):
            own, chances = rewards[turn, state, action], policy[turn, state]
            below = chances[rewards[turn, state] < own].sum()
            equal = chances[rewards[turn, state] == own].sum()
            # The best of K has this reward; actions of equal reward are as likely as the policy says.
            best = ((below + equal) ** candidates - below**candidates) * chances[action] / equal
            following[action % bandit.states] += visited[state] * best
        visited = following
    return found


class Plan(NamedTuple):
    algorithm: AlgorithmConfig


def package_gradient(bandit, batch, draw, grouping):
    """The gradient [T, S, A] of one draw as the package sees it: episodes, `groups_of`, `credit`."""
    algorithm = AlgorithmConfig(adv_estimator="dr_grpo", grouping=grouping)
    groups = groups_of(episodes(bandit, batch, draw), dict.fromkeys(AGENTS, Plan(algorithm)))
    policy = bandit.policy
    found = np.zeros_like(policy)
    for agent in AGENTS:
        own = [group for group in groups if group.policy == agent]
        for group in credit(own, estimator_of(algorithm)):
            for member in group.members:
                turn, state = member.prompt_ids
                (action,) = member.sample.completion.token_ids
                found[turn, state] += member.advantage * (np.eye(ACTIONS)[action] - policy[turn, state])
    tasks, candidates = batch.states.shape[1:3]
    return found / (tasks * candidates)


def episodes(bandit, batch, draw):
    """The episodes of one draw, with a token per action and turn and state as prompt."""
    rewards, states, actions = earned(bandit, batch)[draw], batch.states[draw], batch.actions[draw]
    sampling = TokenSampling(1.0, 1)

    def sample(place, branch, turn, candidate):
        action, reward = int(actions[place, branch, turn]), float(rewards[place, branch, turn])
        chance = float(bandit.policy[turn, states[place, branch, turn], action])
        completion = Completion((action,), (float(np.log(chance)),), FinishReason.STOP, 0)
        return Sample(completion, str(action), 0, candidate, Reward(reward, 0.0, reward, "table"), False)

    def episode(place, branch, branches):
        turns = []
        for turn in range(TURNS):
            agent = AGENTS[turn % 2]
            samples = tuple(sample(place, one, turn, number) for number, one in enumerate(branches))
            prompt = (turn, int(states[place, branch, turn]))
            turns.append(Turn(turn, agent, agent, prompt, str(prompt), sampling, samples, 0))
        task = Task(f"task {place}", "train", {})
        return Episode(task, place, branch, tuple(turns), False, StopReason.MAX_TURNS)

    tasks, candidates = states.shape[:2]
    if batch.tree:
        return [episode(place, 0, range(candidates)) for place in range(tasks)]
    return [episode(place, one, [one]) for place in range(tasks) for one in range(candidates)]


class Measured(NamedTuple):
    """Estimates against the exact gradient of the sum of all rewards, and against what they are after.

    `cosine`: mean over draws, to the former; `cosine_error`: its standard error. `aim`: cosine of the latter
    to the former. `bias`, `own_bias`: distance of the mean estimate, times K / (K - 1), from the former and
    from the latter, over its length; `error`, `own_error`: what noise alone would make them. `gap`: largest
    difference between NumPy and the package in the draws that both computed.
    """

    cosine: float
    cosine_error: float
    aim: float
    bias: float
    error: float
    own_bias: float
    own_error: float
    gap: float


COMPARED = 10
"""Draws per measurement that the package computes, too."""


def measure(bandit, grouping, mode, *, draws, tasks, candidates=8, seed=0):
    """Play `draws` batches and compare the estimates with exact gradients.

    Equal `bandit`, `mode`, numbers and `seed` mean the very same samples.
    """
    exact = exact_gradient(bandit)
    own = greedy_gradient(bandit, candidates) if mode == "greedy" else exact_gradient(bandit, grouping)
    generator = np.random.default_rng(seed)
    found, gap = [], 0.0
    for begin in range(0, draws, 1000):
        batch = play(bandit, mode, min(1000, draws - begin), tasks, candidates, generator)
        found.append(gradients(bandit, batch, advantages(earned(bandit, batch), grouping)))
        for draw in range(min(COMPARED, draws) if begin == 0 else 0):
            ours = package_gradient(bandit, batch, draw, grouping)
            gap = max(gap, float(np.abs(ours - found[0][draw]).max()))
    estimates = np.concatenate(found)
    cosines = np.array([_cosine(estimate, exact) for estimate in estimates])
    factor = candidates / (candidates - 1)
    mean, length, own_length = factor * estimates.mean(axis=0), np.linalg.norm(exact), np.linalg.norm(own)
    noise = factor * np.sqrt(estimates.var(axis=0, ddof=1).sum() / draws)
    return Measured(
        cosine=float(cosines.mean()),
        cosine_error=float(cosines.std(ddof=1) / np.sqrt(draws)),
        aim=float(_cosine(own, exact)),
        bias=float(np.linalg.norm(mean - exact) / length),
        error=float(noise / length),
        own_bias=float(np.linalg.norm(mean - own) / own_length),
        own_error=float(noise / own_length),
        gap=gap,
    )


def _cosine(one, other):
    """Cosine of two gradients; 0 where one of them is none."""
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return (one * other).sum() / lengths if lengths else 0.0
