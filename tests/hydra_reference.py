"""Hydra and OmegaConf as the oracle of composition: their outcome, ours, and where the two differ."""

import copy
import warnings
from functools import lru_cache
from math import isnan
from pathlib import Path
from unittest.mock import patch

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.global_hydra import GlobalHydra
from omegaconf import Container, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pettingllms.compose.compose import compose
from pettingllms.compose.references import resolve_references

BROKEN = "<broken reference>"
EVERY_KIND = frozenset({"text", "integer", "number", "boolean", "list", "table"})


class AnyKey:
    """A schema that knows no key: everything may stand everywhere."""

    def kinds(self, path):
        return EVERY_KIND

    def default(self, path):
        return None

    def advice(self, path, data):
        return None


LOAD = CachingConfigRepository.load_config


def _loaded_afresh(repository, config_path):
    """Hydra merges into the files that it keeps in memory, so that one included twice is seen changed."""
    return copy.deepcopy(LOAD(repository, config_path))


def hydra_config(folder, name, overrides=()):
    """What Hydra composes, references not resolved. Raises what Hydra raises."""
    GlobalHydra.instance().clear()
    with warnings.catch_warnings(), patch.object(CachingConfigRepository, "load_config", _loaded_afresh):
        # Hydra warns of a defaults list without `_self_`, which is legal.
        warnings.simplefilter("ignore")
        with initialize_config_dir(config_dir=str(folder), version_base=None):
            return hydra_compose(name, overrides=list(overrides))


@lru_cache(maxsize=200)
def hydra_tree(folder, name, overrides=()):
    """The tree as Hydra composes and OmegaConf resolves it; a reference that fails alone is BROKEN."""
    return _plain(hydra_config(folder, name, overrides))


def _plain(node):
    if not isinstance(node, Container):
        return node
    keys = range(len(node)) if OmegaConf.is_list(node) else list(node)
    values = [_value(node, key) for key in keys]
    return values if OmegaConf.is_list(node) else dict(zip(keys, values, strict=True))


def _value(node, key):
    try:
        return _plain(node[key])
    except OmegaConfBaseException:
        return BROKEN


def our_tree(path, overrides=(), schema=None, environment=None):
    """Our resolved tree with BROKEN where a reference failed, and all findings."""
    composition = compose(Path(path), overrides, schema=schema or AnyKey())
    resolution = resolve_references(composition.tree.data, environment)
    for broken in resolution.broken:
        parent = resolution.data
        for part in broken[:-1]:
            parent = parent[part]
        parent[broken[-1]] = BROKEN
    return resolution.data, [*composition.findings, *resolution.findings]


def leaves(value, path=()):
    """Every leaf with its path; an empty section or list is a leaf."""
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    if not items:
        yield path, value
    for key, item in items:
        yield from leaves(item, (*path, key))


def differences(ours, theirs):
    """Every leaf at which the two trees differ in value or type."""
    mine, other = dict(leaves(ours)), dict(leaves(theirs))
    absent = object()
    found = []
    for path in {**other, **mine}:
        one, two = mine.get(path, absent), other.get(path, absent)
        both_nan = isinstance(one, float) and isinstance(two, float) and isnan(one) and isnan(two)
        if not both_nan and (type(one) is not type(two) or one != two):
            shown = [("absent" if value is absent else repr(value)) for value in (one, two)]
            found.append(f"{'.'.join(map(str, path))}: ours {shown[0]}, Hydra {shown[1]}")
    return found


def without_null_tables(value):
    """The value with None for each `{ null = true }`."""
    if value == {"null": True}:
        return None
    if isinstance(value, dict):
        return {key: without_null_tables(item) for key, item in value.items()}
    return [without_null_tables(item) for item in value] if isinstance(value, list) else value
