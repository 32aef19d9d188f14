"""PLM9, accepted but without effect: keys of other trainers, misplaced ones, old spellings."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.config.experiment import Specialization
from pettingllms.config.homes import specialization
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import NAMES, OURS, PPO, SPECIALIZATION, policies, trains
from pettingllms.lint.rule import Context, loading_rule, rule

ACTOR = "actor_rollout_ref"


@loading_rule("PLM901", "no-effect-key", Severity.INFO)
def no_effect_key() -> None:
    """Keys of the original or of a verl trainer are set, which have no effect here.

    Real files mount the whole of a trainer's settings: how it shards weights, profiles itself, or trains
    a critic. They are accepted, so that such files work as they are, and told of once for each section.
    A key whose value would change what is learned is not among them: that is PLM007. A key that neither
    has is PLM003.
    """


@loading_rule("PLM902", "honoured-elsewhere", Severity.INFO)
def honoured_elsewhere() -> None:
    """The section `actor_rollout_ref.trainer` sets GPU counts, as the guide and most real files have it.

    They belong in `ppo_trainer_config.trainer`, the only place where verl reads them. Here both places
    are one; nothing needs to be changed.
    """


@loading_rule("PLM903", "misplaced-key", Severity.INFO)
def misplaced_key() -> None:
    """A key stands where nothing reads it, neither here nor in the original, and has an effect elsewhere.

    What is used is the value of the right place, or its default. The help says where that is; the fix
    moves the key there where that place is free.
    """


@loading_rule("PLM904", "old-spelling", Severity.INFO)
def old_spelling() -> None:
    """A key or a value of the original has another name here, and takes effect under it.

    `rollout_mode` and `if_greedy` at the root are keys of `training`; `no_tree` is the mode
    `independent`; `env.map_size` is an option of the environment; `agent_untrained` is `trained = false`
    of each agent that it lists; the specialization `model` is `full`; a `save_freq` of -1 is null; the
    games of `stateful_env` are sets of tasks, `builtin:plan_path` and so on. Where the new name is set too,
    it wins.
    """


LORA_KEYS = ("lora_rank", "lora_alpha")


@rule(
    "PLM905",
    "lora-without-effect",
    Severity.INFO,
    reads=[
        *(*SPECIALIZATION, *NAMES),
        *LORA_KEYS,
        *(f"training.{key}" for key in LORA_KEYS),
        *(f"{OURS}.model.{key}" for key in LORA_KEYS),
    ],
)
def lora_without_effect(context: Context) -> Iterator[Finding]:
    """`lora_rank` or `lora_alpha` is set where there is no adapter: for a policy without one, or for none.

    Under `prompt` the weights stay frozen, under `full` all of them are trained. The original code looks
    at `lora_rank` alone, and trains adapters wherever it is above 0: `specialization = "lora"` is what
    does that here. `lora_rank = 0` says what is so anyway, and is not remarked on.
    """
    config = context.config
    kinds = {trains(config, policy) for policy in policies(config)} or {config.specialization}
    homes: dict[KeyPath, Specialization] = {}
    if "lora" not in kinds:
        homes = dict.fromkeys([(), ("training",)], min(kinds))
    for key, model in config.models.items():
        if (own := specialization(config, model)) != "lora":
            homes["models", key, PPO, ACTOR, "model"] = own
    for home, kind in homes.items():
        found = [(*home, key) for key in LORA_KEYS if context.is_set((*home, key))]
        if found:
            names = " and ".join(map(dotted, found))
            verb = "has" if len(found) == 1 else "have"
            message = f'{names} {verb} no effect with specialization = "{kind}"'
            yield Finding(found[0], message, 'write specialization = "lora" for adapters', at_key=True)
