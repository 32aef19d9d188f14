"""PLM5, environment and data: images, which few environments draw and not every model takes."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.config.homes import model_path
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.envs import ENVS
from pettingllms.errors import RefusedError
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.model_files import settings_at
from pettingllms.lint.policies import OURS, PPO, TRAINER, USED, used_policies
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.unchecked import model_is_unknown
from pettingllms.plugins import use

MULTI_MODAL = "env.multi_modal"


@rule(
    "PLM514",
    "images-not-drawn",
    Severity.ERROR,
    reads=[MULTI_MODAL, "env.name", "env.dataset", "env.benchmark", "plugins"],
)
def images_not_drawn(context: Context) -> Iterator[Finding]:
    """`env.multi_modal` is true, and the environment cannot draw its tasks.

    `stateful_env` draws `builtin:plan_path` and `builtin:sokoban`. An environment of a plug-in draws the sets
    of tasks that its class names in `draws`.
    """
    env = context.config.env
    use(context.config.plugins)
    if not env.multi_modal or env.name in ENVS.announced or env.name not in ENVS:
        return
    try:
        drawn = ENVS.load(env.name).draws
    except RefusedError:
        # PLM506 and PLM503 say what is wrong with it.
        return
    if not drawn:
        message = f"env.multi_modal = true, and {env.name} draws no images"
        yield Finding(("env", "multi_modal"), message, "set it to false; stateful_env draws two of its games")
        return
    for key, name in (("dataset", env.dataset), ("benchmark", env.benchmark)):
        if name is not None and name not in drawn:
            message = f"env.multi_modal = true, and {env.name} draws no images of the {key} {name!r}"
            yield Finding(
                ("env", key), message, f"it draws {', '.join(drawn)}; or set env.multi_modal = false"
            )


@rule(
    "PLM515",
    "model-without-images",
    Severity.ERROR,
    reads=[
        MULTI_MODAL,
        *("base_models.*.path", "models.*.path", f"{OURS}.model.path", *USED),
        *(f"{TRAINER}.critic.model.path", f"{TRAINER}.algorithm.adv_estimator"),
    ],
)
def model_without_images(context: Context) -> Iterator[Finding]:
    """`env.multi_modal` is true, and a model takes no images.

    Checked for embedded models, and for local folders by the `vision_config` of their `config.json`; of a
    Hugging Face id a run finds out before it starts an engine. A critic has to see what its policy sees, so
    that `critic.model.path`, a model of its own, cannot be set beside images.
    """
    if not context.config.env.multi_modal:
        return
    for policy in used_policies(context.config):
        path = model_path(policy.base.path, policy.model)
        settings = settings_at(path)
        where: KeyPath = ("base_models", policy.base_key, "path")
        if settings is None:
            model_is_unknown(context, path)
        elif "vision_config" not in settings:
            message = f"env.multi_modal = true, and the model {path} takes no images"
            yield Finding(where, message, "name a model whose config.json has a vision_config")
        trainer = policy.model.ppo_trainer_config
        if policy.key and trainer.algorithm.adv_estimator == "gae" and trainer.critic.model.path is not None:
            where = ("models", policy.key, PPO, "critic", "model", "path")
            message = "env.multi_modal = true, and a critic with a model of its own sees no images"
            yield Finding(where, message, "remove it: the critic then judges by what the policy sees")
