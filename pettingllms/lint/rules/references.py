"""PLM2, references and paths: `${…}`, and where models are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.homes import model_key
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.model_files import is_local, local_folder, settings_at
from pettingllms.lint.policies import NAMES, OURS, PPO, TRAINER
from pettingllms.lint.rule import Context, loading_rule, rule
from pettingllms.models import BUILTIN_MODELS
from pettingllms.registry import closest


@loading_rule("PLM201", "unknown-reference", Severity.ERROR)
def unknown_reference() -> None:
    """A reference names a key that the experiment does not set (`InterpolationKeyError`).

    OmegaConf says `omegaconf.errors.InterpolationKeyError: base_models.policy_0.path`. Is the key defined,
    is `${}` spelt right, is every section above the key named?
    Absolute references start at the root: `${training.seed}` is the key `seed` of the section
    `training`. `${.x}` starts at the section or list that holds the text, each further dot one level
    above. Only keys that a file or an override sets can be referred to, and not where they are `???`.
    """


@loading_rule("PLM202", "reference-cycle", Severity.ERROR)
def reference_cycle() -> None:
    """References lead back to themselves, so that none of them has a value."""


@loading_rule("PLM203", "bad-reference", Severity.ERROR)
def bad_reference() -> None:
    r"""A reference cannot be read, or has no value.

    It is not closed or no path of keys, its resolver is unknown or has the wrong arguments, an
    environment variable without a default is not set, or a section stands inside a longer text.
    Resolvers: `oc.env`, `oc.select`, `oc.decode`, `mul`, `add`, `div`, `min`, `max`, `len`. `\${` is
    the plain characters.
    """


@loading_rule("PLM209", "select-fell-back", Severity.INFO)
def select_fell_back() -> None:
    """An `oc.select` names a key that is not set, so that its default is the value.

    That is what `oc.select` is for, but a misspelt key looks exactly the same.
    """


@loading_rule("PLM210", "absolute-reference-in-mounted-file", Severity.WARNING)
def absolute_reference_in_mounted_file() -> None:
    """A mounted file looks at the root for a key that it sets itself.

    A file that is mounted by `group@a.b: name` lies at `a.b`, and `${oc.select:key,default}` in it
    still starts at the root: the default is taken without a word, although the file sets `key`. A
    relative reference finds it wherever the file is mounted.
    """


@loading_rule("PLM211", "unknown-include", Severity.ERROR)
def unknown_include() -> None:
    """A `defaults` list, or a choice such as `env=code`, names a file that does not exist.

    A name is looked up, with either suffix, in the folder of the file that includes it, in the
    current folder, and among the shipped presets.
    """


@loading_rule("PLM212", "include-cycle", Severity.ERROR)
def include_cycle() -> None:
    """Files include each other in a circle, or there are too many of them."""


@loading_rule("PLM213", "ambiguous-name", Severity.ERROR)
def ambiguous_name() -> None:
    """A name stands for two files in one place, such as `base.toml` beside `base.yaml`."""


@loading_rule("PLM214", "invalid-defaults", Severity.ERROR)
def invalid_defaults() -> None:
    """The `defaults` list is not Hydra's.

    Its entries are `"name"` or `"../folder/name"`, `{ group = "name" }`,
    `{ "group@section.key" = "name" }` and `"_self_"`, the place of the file itself. `optional` and
    `override` may stand before a group.
    """


@loading_rule("PLM215", "shipped-instead", Severity.INFO)
def shipped_instead() -> None:
    """A relative name such as `../ppo_trainer` leads nowhere from this file, and a shipped file is used.

    The documented examples work that way from any folder. Where a file of one's own was meant, its
    numbers are not the ones in force.
    """


WHAT_A_PATH_IS = f'write a local folder, a Hugging Face id, or "{next(iter(BUILTIN_MODELS))}"'


MODEL_PATHS = ("base_models.*.path", f"{TRAINER}.critic.model.path", f"{TRAINER}.algorithm.adv_estimator")


def _model_paths(context: Context) -> Iterator[tuple[KeyPath, str]]:
    """Where a model is named, and its path: base models, and models of critics that are trained."""
    for key, base in context.config.base_models.items():
        yield ("base_models", key, "path"), base.path
    for key, model in context.config.models.items():
        trainer = model.ppo_trainer_config
        path = trainer.critic.model.path
        if path is not None and trainer.algorithm.adv_estimator == "gae":
            yield ("models", key, PPO, "critic", "model", "path"), path


@rule("PLM204", "placeholder-model-path", Severity.ERROR, reads=MODEL_PATHS)
def placeholder_model_path(context: Context) -> Iterator[Finding]:
    """A model path is a text to be filled in, such as "your base model path".

    A run would stop with `OSError: /path/to/model does not exist`. Write a local folder, or a Hugging Face
    id; for a model with restricted access, log in with `hf auth login` first.
    """
    for where, path in _model_paths(context):
        if not path.strip():
            yield Finding(where, "the model path is empty", WHAT_A_PATH_IS)
            continue
        blank = re.search(r"\s|\0", path) or path.startswith("/path/to/")
        if blank and local_folder(path) is None:
            yield Finding(
                where,
                f"{path!r} is a placeholder, not a model: such a folder does not exist",
                WHAT_A_PATH_IS,
            )


@rule("PLM205", "missing-model-folder", Severity.ERROR, reads=MODEL_PATHS)
def missing_model_folder(context: Context) -> Iterator[Finding]:
    """A local model folder does not exist, or holds no sound `config.json` (`OSError: … does not exist`).

    A path that starts with `/`, `./`, `../` or `~`, or has more than one slash, is a local folder;
    anything else with one slash may be a Hugging Face id, which is looked up when the run starts. A run
    would stop with `OSError: /path/to/model does not exist`: check the path and its permissions, and for
    a Hugging Face id that you are logged in (`hf auth login`).
    """
    for where, path in _model_paths(context):
        if not is_local(path) or re.search(r"\s|\0", path) or path.startswith("/path/to/"):
            continue
        folder = local_folder(path)
        help_text = "check the path and its permissions"
        if "://" in path:
            parts = path.partition("://")[2].rstrip("/").split("/")
            name = "/".join(parts[1:]) if len(parts) == 3 else None
            help_text = f"did you mean {name!r}?" if name else WHAT_A_PATH_IS
            yield Finding(where, "the path is an address, not a model", help_text)
        elif folder is None and _is_file(path):
            yield Finding(where, f"{path} is a file, not a model folder", WHAT_A_PATH_IS)
        elif folder is None:
            yield Finding(where, f"model folder {path} does not exist", help_text)
        elif not _has_settings(folder):
            yield Finding(where, f"{path}/config.json does not exist: this is no model folder", help_text)
        elif settings_at(path) is None:
            yield Finding(
                where, f"{path}/config.json cannot be read as a table of JSON", "copy the model anew"
            )


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError):
        return False


def _has_settings(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file()
    except OSError:
        return False


@rule("PLM206", "unknown-builtin-model", Severity.ERROR, reads=MODEL_PATHS)
def unknown_builtin_model(context: Context) -> Iterator[Finding]:
    """A path starts with `builtin:` and names no embedded model."""
    for where, path in _model_paths(context):
        if path.startswith("builtin:") and path not in BUILTIN_MODELS:
            near = closest(path, BUILTIN_MODELS)
            help_text = f"did you mean {near}?" if near else f"there is {', '.join(BUILTIN_MODELS)}"
            yield Finding(where, f"there is no model {path!r}", help_text)


@rule(
    "PLM207",
    "model-path-differs",
    Severity.ERROR,
    reads=["base_models.*.path", "models.*.path", f"{OURS}.model.path", *NAMES],
)
def model_path_differs(context: Context) -> Iterator[Finding]:
    """`models.*.path`, or the actor's `model.path`, is not the path of its base model.

    Agents would sample from one model while another is trained. Write it once, and refer to it:
    `path = "${base_models.policy_0.path}"`.
    """
    config = context.config
    for base_key, base in config.base_models.items():
        key = model_key(config, base_key)
        if key is None:
            continue
        model = config.models[key]
        inner = model.ppo_trainer_config.actor_rollout_ref.model.path
        homes: list[tuple[KeyPath, str | None]] = [
            (("models", key, "path"), model.path),
            (("models", key, "ppo_trainer_config", "actor_rollout_ref", "model", "path"), inner),
        ]
        for where, path in homes:
            if path is not None and path != base.path:
                message = f"{path!r} is not the path of base_models.{base_key}, {base.path!r}"
                yield Finding(where, message, f'write "${{base_models.{base_key}.path}}"')


@rule("PLM208", "unmatched-model", Severity.ERROR, reads=NAMES)
def unmatched_model(context: Context) -> Iterator[Finding]:
    """An entry of `models` belongs to no base model, so its numbers would train nothing.

    Entries belong to the base model of the same `name`, else to the one of the same number. A file that
    `defaults` mounts at `models.model_1.ppo_trainer_config` makes such an entry all by itself.
    """
    config = context.config
    matched = {model_key(config, base_key) for base_key in config.base_models}
    names = [base.name for base in config.base_models.values()]
    for key, model in config.models.items():
        if key in matched:
            continue
        message = f"models.{key} belongs to no base model"
        if model.name is None and _is_mounted(context, key):
            message += ", and a file is mounted at it in `defaults`"
            lacking = re.sub(r"^model_(?=\d+$)", "base_models.policy_", key)
            advice = "remove it from `defaults`, or define its base model"
            if lacking != key:
                advice = f"remove it from `defaults`, or define {lacking}"
            yield Finding(("models", key), message, f"{advice}; base models: {', '.join(names)}", at_key=True)
            continue
        near = closest(model.name or key, names)
        where = ("models", key, "name") if model.name else ("models", key)
        help_text = f"did you mean name = {near!r}?" if near else f"base models: {', '.join(names)}"
        yield Finding(where, message, help_text, at_key=not model.name)


def _is_mounted(context: Context, key: str) -> bool:
    """True where `defaults` mounts a file at the trainer of `models.<key>`, or at the whole entry."""
    places = {("models", key), ("models", key, PPO)}
    return any(package[:3] in places for package in context.packages)


@rule("PLM216", "model-without-fragment", Severity.WARNING, reads=["models.*.name", TRAINER])
def model_without_fragment(context: Context) -> Iterator[Finding]:
    """A trainer fragment is mounted at some entries of `models`, and not at this one.

    Its policy is trained with the defaults where the others have the numbers of the fragment, such as
    another learning rate. Mount one for every policy, or set the same keys.
    """
    keys = list(context.config.models)
    mounted = [key for key in keys if _is_mounted(context, key)]
    if not mounted:
        return
    set_at = {key: dict.fromkeys(_leaves(get(context.data, ("models", key, PPO)))) for key in keys}
    there = dict.fromkeys(path for key in mounted for path in set_at[key])
    for key in keys:
        lacking = [path for path in there if path not in set_at[key]]
        if key not in mounted and lacking:
            first = next((path for path in lacking if path[-1] == "lr"), lacking[0])
            named = dotted(first) + (f" and {len(lacking) - 1} more keys" if len(lacking) > 1 else "")
            message = (
                f"models.{key} has no trainer fragment, and does not set what the others have of one: {named}"
            )
            mount = f'{{ "…/ppo_trainer@models.{key}.{PPO}" = "…" }}'
            yield Finding(("models", key), message, f"add {mount} to `defaults`", at_key=True)


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of all values of a section."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif value is not MISSING:
        yield path
