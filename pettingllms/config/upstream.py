"""Where the original code gave a key another meaning than the one it has here, and how to keep that one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, data_of

MARK = "# upstream: "
"""How the comment above a rewritten value begins; such a value is not rewritten again."""

TRAIN_SAMPLING = {"temperature": 1.0, "top_p": 0.9, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.2}
VALIDATION_SAMPLING = {**TRAIN_SAMPLING, "temperature": 0.0, "top_p": 0.95}


@dataclass(slots=True)
class Differences:
    """The differences that a document touches. `write`: also write the original's meaning into keys.

    `notes`: line and what is different, filled by `amend`.
    """

    write: bool = False
    notes: list[tuple[int, str]] = field(default_factory=list)

    def amend(self, root: Table) -> None:
        """Note the differences in the outline of a document; change it where they shall be written."""
        self.notes.clear()
        if find(root, "format") is not None and not self.write:
            # The original has no such key: the file was written with its meaning here.
            return
        for rule in RULES:
            rule(self, root)
        self.notes.sort(key=lambda note: note[0])

    def note(self, entry: Entry, path: str, there: str, here: str, written: str | None = None) -> None:
        """Say what `path`, at `entry`, means there and here; `written`: what was changed for it."""
        ending = f"; written: {written}" if written is not None and self.write else ""
        self.notes.append((entry.line, f"{path}: in the original code {there}; here {here}{ending}"))

    def undecided(self, entry: Entry, path: str, why: str) -> None:
        """Say that what the original code does depends on something that the document does not tell."""
        self.notes.append((entry.line, f"{path}: {why}; compare it with the original yourself"))

    def put(self, table: Table, key: str, value: Any, why: str, below: Entry | None = None) -> None:
        """Set `key` with a comment that says why: in its place, else below the entry `below`."""
        if not self.write:
            return
        entry = find(table, key)
        if entry is None:
            entry = Entry(key, Scalar(None), below.line if below is not None else 0)
            place = len(table.entries) if below is None else table.entries.index(below) + 1
            table.entries.insert(place, entry)
        entry.value = _value(value)
        entry.above.append(MARK + why)


def find(table: Table | None, *keys: str) -> Entry | None:
    """The entry at the path `keys` of `table`."""
    entry: Entry | None = None
    for key in keys:
        if table is None:
            return None
        entry = next((entry for entry in table.entries if entry.key == key), None)
        table = entry.value if entry is not None and isinstance(entry.value, Table) else None
    return entry


def section(root: Table, *keys: str) -> Table | None:
    """The table at the path `keys`."""
    entry = find(root, *keys)
    return entry.value if entry is not None and isinstance(entry.value, Table) else None


def _value(value: Any) -> Scalar | Table:
    if isinstance(value, dict):
        return Table([Entry(key, Scalar(item)) for key, item in value.items()])
    return Scalar(value)


def _open(entry: Entry | None) -> bool:
    """True for a reference or a swept value: what it is, the document alone does not say."""
    if entry is None:
        return False
    swept = isinstance(entry.value, Table)
    return swept or (isinstance(entry.value, Scalar) and "${" in str(entry.value.value))


def _unset(entry: Entry | None) -> str:
    return " (not set here)" if entry is None else ""


def _plain(entry: Entry | None, default: Any = None) -> Any:
    return entry.value.value if entry is not None and isinstance(entry.value, Scalar) else default


def _agents(root: Table) -> Iterator[tuple[str, Table]]:
    agents = section(root, "agent_policy_configs", "agent_configs")
    for entry in agents.entries if agents is not None else []:
        if isinstance(entry.value, Table):
            yield f"agent_policy_configs.agent_configs.{entry.key}", entry.value


def _alone(root: Table) -> bool:
    """True where one agent plays alone, so that turns and rounds are the same."""
    order = find(root, "multi_agent_interaction", "turn_order")
    if order is None or not isinstance(order.value, Listing):
        return False
    return len({str(name) for name in data_of(order.value)}) == 1


def _inherits(root: Table) -> bool:
    """True where other files add to the root: whatever is absent here may come from them."""
    defaults = find(root, "defaults")
    listed = data_of(defaults.value) if defaults is not None else []
    entries = listed if isinstance(listed, list) else []
    mounted = [isinstance(entry, dict) and all("@" in str(key) for key in entry) for entry in entries]
    return any(entry != "_self_" and not apart for entry, apart in zip(entries, mounted, strict=True))


def turn_unit(found: Differences, root: Table) -> None:
    """`env.max_turns` counts rounds there: every agent of `turn_order` acts once in each."""
    env = section(root, "env")
    turns = find(env, "max_turns")
    if env is None or turns is None or find(env, "turn_unit") is not None or _alone(root):
        return
    why = "max_turns counts rounds, in which every agent of turn_order acts once"
    found.note(turns, "env.max_turns", "it counts rounds of turn_order", "turns of one agent", "turn_unit")
    found.put(env, "turn_unit", "round", why, turns)


def resolve(found: Differences, root: Table) -> None:
    """`env.resolve` is not read there: an episode always ends when the task is done."""
    env = section(root, "env")
    entry = find(env, "resolve")
    if env is None or not env.entries or find(env, "name") is None or _plain(entry, default=False) is True:
        return
    anchor = entry or env.entries[-1]
    if _open(entry):
        found.undecided(anchor, "env.resolve", "it is a reference, which the original code never reads")
        return
    there, here = "it is not read, a solved task always ends its episode", "the episode goes on to max_turns"
    found.note(anchor, "env.resolve" + _unset(entry), there, here, "true")
    found.put(env, "resolve", True, "resolve was not read, a solved task always ended its episode", anchor)


def parallel(found: Differences, root: Table) -> None:
    """An agent never sees there what an earlier agent said in the same round."""
    interaction = section(root, "multi_agent_interaction")
    order = find(interaction, "turn_order")
    entry = find(interaction, "parallel")
    if interaction is None or order is None or _alone(root) or _plain(entry) is True:
        return
    anchor, path = entry or order, "multi_agent_interaction.parallel"
    if _open(entry):
        found.undecided(anchor, path, "it is a reference, and in the original code no agent sees the others")
        return
    there = "no agent sees what another said in the same round, parallel or not"
    found.note(anchor, path + _unset(entry), there, "it does unless parallel is true", "true")
    found.put(interaction, "parallel", True, there, anchor)


def specialization(found: Differences, root: Table) -> None:
    """The root `lora_rank` alone decides there whether adapters are trained or whole models."""
    entry, rank = find(root, "specialization"), find(root, "lora_rank")
    kind = _plain(entry)
    if entry is None or kind == "lora":
        _shared_adapters(found, root, entry)
        return
    if _open(entry):
        found.undecided(entry, "specialization", "it is a reference")
    if kind not in ("prompt", "full", "model"):
        return
    if _open(rank) or (rank is None and _inherits(root)):
        where = "a reference" if rank is not None else "inherited, if anywhere"
        found.undecided(entry, "specialization", f"the original code asks lora_rank, which is {where}")
        return
    number = _plain(rank, 0)
    adapters = isinstance(number, (int, float)) and number > 0
    trained = "lora" if adapters else "full"
    if kind == trained:
        return
    because = f"lora_rank is {number}" if rank is not None else "there is no lora_rank"
    what = "adapters" if adapters else "whole models"
    here = {"prompt": "prompts are optimised and weights stay frozen", "full": "whole models are trained"}
    meaning = here.get(str(kind), "it is no known value")
    found.note(entry, "specialization", f'"{kind}" trains {what}, as {because}', meaning, trained)
    found.put(root, "specialization", trained, f'"{kind}" trained {what}, as {because}')


def _shared_adapters(found: Differences, root: Table, entry: Entry | None) -> None:
    policies = [_plain(find(agent, "policy_name")) for _, agent in _agents(root)]
    if entry is not None and len(set(policies)) < len(policies):
        here = "agents with one policy_name share an adapter: give each agent a policy to keep them apart"
        found.note(entry, "specialization", "each agent has an adapter of its own", here)


def _trainers(root: Table) -> Iterator[tuple[str, Table]]:
    """Where the numbers of a policy's trainer may stand: in a file to mount the root, else below `models`."""
    yield "", root
    models = section(root, "models")
    for entry in models.entries if models is not None else []:
        inner = entry.value if isinstance(entry.value, Table) else Table()
        trainer = section(inner, "ppo_trainer_config")
        if trainer is not None:
            yield f"models.{entry.key}.ppo_trainer_config.", trainer


def filtering(found: Differences, root: Table) -> None:
    """`filter_ratio` is the share removed there and the share kept here; some methods do nothing there."""
    for path, table in _trainers(root):
        _filter(found, table, path)


def _filter(found: Differences, table: Table, path: str) -> None:
    method, ratio = find(table, "filter_method"), find(table, "filter_ratio")
    anchor = ratio or method
    if anchor is None or any(line.startswith(MARK) for line in anchor.above):
        return
    share, kind = _plain(ratio, 0), _plain(method, "uid")
    if _open(method) or _open(ratio) or isinstance(share, (str, bool)) or share is None:
        found.undecided(
            anchor, f"{path}filter_ratio", "it is the share removed there and the share kept here"
        )
        return
    nothing = share == 0 or kind in ("median", "none")
    if nothing and kind != "none" and method is not None:
        there = f"{kind} with filter_ratio {share} filters nothing"
        here = "groups of equal rewards are dropped" if kind == "dapo" else "the ratio is the share kept"
        found.note(method, f"{path}filter_method", there, here, "none")
        found.put(table, "filter_method", "none", there)
    elif not nothing and kind in ("uid", "std", "mean"):
        kept = round(1 - share, 12)
        there = f"filter_ratio {share} is the share of {_REMOVED[kind]} that is removed"
        found.note(anchor, f"{path}filter_ratio", there, _KEPT[kind], f"{kept}")
        found.put(table, "filter_ratio", kept, there)
        if method is None:
            found.put(table, "filter_method", kind, "uid was the default")


_REMOVED = {
    "uid": "each group's samples, those farthest from its mean,",
    "std": "groups, those that vary least,",
    "mean": "groups, those with the lowest mean reward,",
}
_KEPT = {
    "uid": "the share kept",
    "std": "the share kept",
    "mean": "the share of samples kept, by their advantage: nothing here does quite the same",
}


def mini_batches(found: Differences, root: Table) -> None:
    """`ppo_mini_batch_size` counts samples of a policy there, several of which a task has."""
    for path, table in _trainers(root):
        key = ("actor_rollout_ref", "actor", "ppo_mini_batch_size")
        entry = find(table, *key)
        if entry is not None and (_open(entry) or _plain(entry) is not None):
            there = "it is the number of samples of an optimizer step"
            found.note(entry, path + ".".join(key), there, "the number of its tasks")


def sampling(found: Differences, root: Table) -> None:
    """Where an agent sets none, tokens are drawn there by numbers of the code, not `sample_temperature`."""
    temperature = find(root, "training", "sample_temperature")
    if temperature is not None:
        here = "it is the temperature of agents that set none"
        found.note(temperature, "training.sample_temperature", "it is not read", here)
    unset: dict[str, Any] = {}
    first: Entry | None = None
    for path, agent in _agents(root):
        for key, numbers in (("train_llm_config", TRAIN_SAMPLING), ("val_llm_config", VALIDATION_SAMPLING)):
            entry = find(agent, key)
            anchor = entry or (agent.entries[0] if agent.entries else None)
            if anchor is None or (_inherits(root) and entry is None):
                continue
            if entry is not None and not isinstance(entry.value, Table):
                found.undecided(anchor, f"{path}.{key}", "it is a reference")
                continue
            missing = {n: v for n, v in numbers.items() if find(section(agent, key), n) is None}
            if missing:
                first = first or anchor
                unset |= {f"{key}.{name}": value for name, value in missing.items()}
                _put_sampling(found, agent, key, anchor, missing)
    if first is not None:
        said = ", ".join(f"{name} {value}" for name, value in unset.items())
        path = "agent_policy_configs.agent_configs"
        here = "nothing is cut off or penalised where it is not set"
        found.note(first, path, f"agents that do not set them have {said}", here, "these keys")


def _put_sampling(found: Differences, agent: Table, key: str, anchor: Entry, missing: dict[str, Any]) -> None:
    table = section(agent, key)
    if table is None:
        found.put(agent, key, missing, f"{key} had these defaults")
        return
    for number, (name, value) in enumerate(missing.items()):
        if found.write and number > 0:
            table.entries.append(Entry(name, Scalar(value), anchor.line))
        else:
            found.put(table, name, value, "the default where it was not set")


def unread_numbers(found: Differences, root: Table) -> None:
    """`training.resample_freq` and `training.epoch_size` are not read there."""
    training = section(root, "training")
    frequency, epoch = find(training, "resample_freq"), find(training, "epoch_size")
    if training is not None and frequency is not None and _plain(frequency) != 1:
        there = "it is not read, every step draws new tasks"
        found.note(frequency, "training.resample_freq", there, "tasks are drawn every N steps", "1")
        found.put(training, "resample_freq", 1, "resample_freq was not read, every step drew new tasks")
    if training is not None and epoch is not None and (_open(epoch) or _plain(epoch) is not None):
        here = "tasks are reshuffled and a checkpoint is written every N steps"
        found.note(epoch, "training.epoch_size", "it is not read", here, "null")
        found.put(training, "epoch_size", None, "epoch_size was not read")


RULES: tuple[Callable[[Differences, Table], None], ...] = (
    specialization,
    turn_unit,
    resolve,
    parallel,
    sampling,
    unread_numbers,
    filtering,
    mini_batches,
)
