"""PLM1, names and the agent graph: agents, policies, environments, and who speaks when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pettingllms.agents import AGENTS
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.documents.source import Change, Finding, Fix, KeyPath
from pettingllms.envs import ENVS
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.plugins import use
from pettingllms.registry import closest

CONFIGS: KeyPath = ("agent_policy_configs", "agent_configs")
AGENT = "agent_policy_configs.agent_configs.*"
"""The beginning of what rules read of agents."""
TURN_ORDER: KeyPath = ("multi_agent_interaction", "turn_order")
MAX_TURNS: KeyPath = ("env", "max_turns")


def agent_names(config: ExperimentConfig) -> list[str]:
    """The names of all agents, in file order."""
    return [agent.name for agent in config.agent_policy_configs.agent_configs.values()]


def nearest(word: str, known: list[str] | Mapping[str, str]) -> str:
    """Help that names the known word nearest to `word`, else all of them."""
    near = closest(word, known)
    return f"did you mean {near!r}?" if near else f"known: {', '.join(known) or 'none'}"


@rule(
    "PLM101",
    "unknown-turn-order-agent",
    Severity.ERROR,
    reads=["multi_agent_interaction.turn_order", f"{AGENT}.name"],
)
def unknown_turn_order_agent(context: Context) -> Iterator[Finding]:
    """`turn_order` names an agent that `agent_configs` does not define.

    The turn would have no agent to act. Names are compared with `agent_N.name`, not with the
    keys `agent_0`, `agent_1`, ….
    """
    known = agent_names(context.config)
    for index, name in enumerate(context.config.multi_agent_interaction.turn_order):
        if name not in known:
            yield Finding((*TURN_ORDER, index), f"agent {name!r} is not defined", nearest(name, known))


@rule(
    "PLM102",
    "agent-count",
    Severity.ERROR,
    reads=["agent_policy_configs.num_agents", f"{AGENT}.name"],
)
def agent_count(context: Context) -> Iterator[Finding]:
    """`num_agents` is not the number of `agent_configs`."""
    said, there = context.config.agent_policy_configs.num_agents, len(agent_names(context.config))
    if said != there:
        where = ("agent_policy_configs", "num_agents")
        message = f"num_agents = {said}, but agent_configs defines {there}"
        yield Finding(
            where, message, f"write num_agents = {there}, or define the other agents", fix=_set(where, there)
        )


def _set(where: KeyPath, count: int) -> Fix | None:
    """A fix that sets a count; whether the count or what is counted is wrong only the author knows."""
    return Fix(f"set it to {count}", (Change("set", where, count),), safe=False) if count else None


@rule(
    "PLM103",
    "idle-agent",
    Severity.WARNING,
    reads=["multi_agent_interaction.turn_order", f"{AGENT}.name"],
)
def idle_agent(context: Context) -> Iterator[Finding]:
    """An agent is defined and `turn_order` does not use it.

    This is how a single-agent baseline of a team is written, so it is only a warning.
    """
    used = context.config.multi_agent_interaction.turn_order
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        if agent.name not in used:
            message = f"agent {agent.name!r} is not in turn_order, so it never acts"
            yield Finding((*CONFIGS, key, "name"), message, "add it to turn_order, or remove it")


@rule(
    "PLM104",
    "agent-never-acts",
    Severity.ERROR,
    reads=["env.max_turns", "env.turn_unit", "multi_agent_interaction.turn_order"],
)
def agent_never_acts(context: Context) -> Iterator[Finding]:
    """`env.max_turns` ends every episode before an agent of `turn_order` acts.

    A turn is one agent acting once. The order is cycled until `max_turns` turns were played.
    """
    order, turns = context.config.multi_agent_interaction.turn_order, context.config.env.max_turns
    if context.config.env.turn_unit == "round":
        return
    acting = set(order[:turns])
    for index, name in enumerate(order):
        if name not in acting and name not in order[:index]:
            message = f"agent {name!r} never acts: max_turns = {turns} ends the episode before its turn"
            yield Finding((*TURN_ORDER, index), message, f"set env.max_turns to at least {index + 1}")


@rule(
    "PLM105",
    "uneven-turns",
    Severity.WARNING,
    reads=["env.max_turns", "env.turn_unit", "multi_agent_interaction.turn_order"],
)
def uneven_turns(context: Context) -> Iterator[Finding]:
    """`env.max_turns` is no multiple of the length of `turn_order`.

    The last round is cut short, so that another agent than the last of the order has the last word.
    """
    order, turns = context.config.multi_agent_interaction.turn_order, context.config.env.max_turns
    if context.config.env.turn_unit == "agent" and turns > len(order) and turns % len(order):
        last, full = order[turns % len(order) - 1], turns - turns % len(order)
        yield Finding(
            MAX_TURNS,
            f"max_turns = {turns} is no multiple of the {len(order)} turns of a round: {last!r} speaks last",
            f"write {full} or {full + len(order)} for whole rounds",
        )


@rule(
    "PLM106",
    "interacting-agents",
    Severity.ERROR,
    reads=["multi_agent_interaction.num_interacting_agents", "multi_agent_interaction.turn_order"],
)
def interacting_agents(context: Context) -> Iterator[Finding]:
    """`num_interacting_agents` is not the number of distinct names in `turn_order`."""
    interaction = context.config.multi_agent_interaction
    said, there = interaction.num_interacting_agents, len(set(interaction.turn_order))
    if said is not None and said != there:
        where = ("multi_agent_interaction", "num_interacting_agents")
        message = f"num_interacting_agents = {said}, but turn_order names {there} different agents"
        yield Finding(where, message, f"write num_interacting_agents = {there}", fix=_set(where, there))


@rule(
    "PLM107",
    "unknown-policy",
    Severity.ERROR,
    reads=[f"{AGENT}.policy_name", "base_models.*.name"],
)
def unknown_policy(context: Context) -> Iterator[Finding]:
    """An agent's `policy_name` is the `name` of no base model.

    Names are compared with `base_models.*.name`, not with the keys `policy_0`, `policy_1`, ….
    """
    known = [base.name for base in context.config.base_models.values()]
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        if agent.policy_name not in known:
            message = f"policy {agent.policy_name!r} is the name of no base model"
            yield Finding((*CONFIGS, key, "policy_name"), message, nearest(agent.policy_name, known))


@rule("PLM108", "policy-with-two-paths", Severity.ERROR, reads=["base_models.*.name", "base_models.*.path"])
def policy_with_two_paths(context: Context) -> Iterator[Finding]:
    """Two base models have one name and different paths.

    Equal names with equal paths are one shared policy; with different paths it is unclear
    which weights an agent that names it would use.
    """
    first: dict[str, tuple[str, str]] = {}
    for key, base in context.config.base_models.items():
        other, path = first.setdefault(base.name, (key, base.path))
        if path != base.path:
            message = f"{base.name!r} is also the name of base_models.{other}, which has another path"
            yield Finding(("base_models", key, "name"), message, "give each policy a name of its own")


@rule("PLM109", "duplicate-agent-name", Severity.ERROR, reads=[f"{AGENT}.name"])
def duplicate_agent_name(context: Context) -> Iterator[Finding]:
    """Two agents have the same `name`.

    For two agents of one class, give each a name and set `agent` to the class.
    """
    first: dict[str, str] = {}
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        if first.setdefault(agent.name, key) != key:
            message = f"agent name {agent.name!r} is already taken by {first[agent.name]}"
            help_text = "give it another name, and set `agent` to its class"
            yield Finding((*CONFIGS, key, "name"), message, help_text)


@rule(
    "PLM110",
    "unknown-policy-list-agent",
    Severity.ERROR,
    reads=["agent_policy_configs.policy_list", f"{AGENT}.name"],
)
def unknown_policy_list_agent(context: Context) -> Iterator[Finding]:
    """`policy_list` names an agent that `agent_configs` does not define, or one of them twice.

    In spite of its name the list holds agent names.
    """
    known = agent_names(context.config)
    listed = context.config.agent_policy_configs.policy_list
    for index, name in enumerate(listed):
        path = ("agent_policy_configs", "policy_list", index)
        if name in listed[:index]:
            yield Finding(path, f"policy_list: agent {name!r} stands twice", "name each agent once")
        elif name not in known:
            yield Finding(path, f"policy_list: agent {name!r} is not defined", nearest(name, known))


@rule("PLM111", "unknown-environment", Severity.ERROR, reads=["env.name", "plugins"])
def unknown_environment(context: Context) -> Iterator[Finding]:
    """`env.name` is not a registered environment (`KeyError: … not in ENV_CLASS_MAPPING`).

    The original stops with `KeyError: 'my_env' not in ENV_CLASS_MAPPING`. Compare the spelling with the
    registered names; an environment of your own needs its file in `plugins`.
    """
    name = context.config.env.name
    # What a plug-in that is not in force would register is not known.
    if not use(context.config.plugins) and name not in ENVS.announced and name not in ENVS:
        yield Finding(("env", "name"), f"environment {name!r} not in ENV_CLASS_MAPPING", nearest(name, ENVS))


@rule("PLM112", "unknown-agent-class", Severity.ERROR, reads=[f"{AGENT}.name", f"{AGENT}.agent", "plugins"])
def unknown_agent_class(context: Context) -> Iterator[Finding]:
    """An agent's class is not registered (`KeyError: … not in AGENT_CLASS_MAPPING`).

    The class is `agent_N.agent`, or `agent_N.name` where that is not set. The original stops with
    `KeyError: 'my_agent' not in AGENT_CLASS_MAPPING`. Compare the spelling with the registered names; a class
    of your own needs its file in `plugins`.
    """
    if use(context.config.plugins):
        return
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        name = agent.agent or agent.name
        if name not in AGENTS.announced and name not in AGENTS:
            path = (*CONFIGS, key, "agent" if agent.agent else "name")
            help_text = nearest(name, AGENTS)
            if not agent.agent:
                help_text += "; an agent of another name sets `agent` to its class"
            yield Finding(path, f"agent {name!r} not in AGENT_CLASS_MAPPING", help_text)


@rule(
    "PLM113",
    "nothing-to-train",
    Severity.ERROR,
    reads=["multi_agent_interaction.turn_order", f"{AGENT}.name", f"{AGENT}.trained"],
)
def nothing_to_train(context: Context) -> Iterator[Finding]:
    """No agent is trained: all have `trained = false`, or none of the trained ones is in `turn_order`."""
    order = context.config.multi_agent_interaction.turn_order
    agents = context.config.agent_policy_configs.agent_configs
    acting = {key: agent for key, agent in agents.items() if agent.name in order}
    if acting and not any(agent.trained for agent in acting.values()):
        path = (*CONFIGS, next(iter(acting)), "trained")
        yield Finding(path, "no agent that acts is trained: there is nothing to train", "set trained = true")


@rule("PLM114", "unused-policy", Severity.WARNING, reads=["base_models.*.name", f"{AGENT}.policy_name"])
def unused_policy(context: Context) -> Iterator[Finding]:
    """A base model's name is the `policy_name` of no agent, so nothing samples from it or trains it."""
    used = {agent.policy_name for agent in context.config.agent_policy_configs.agent_configs.values()}
    seen: set[str] = set()
    for key, base in context.config.base_models.items():
        if base.name not in used and base.name not in seen:
            message = f"no agent uses the policy {base.name!r}"
            yield Finding(("base_models", key, "name"), message, "name it in policy_name, or remove it")
        seen.add(base.name)
