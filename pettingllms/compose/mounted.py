"""References in mounted files: those that look at the root for a key that lies in their own file."""

from __future__ import annotations

import dataclasses
import re

from pettingllms.compose.references import UNKNOWN_REFERENCE
from pettingllms.compose.resolution import Fallback, Resolution
from pettingllms.compose.tree import MISSING, Tree, get
from pettingllms.documents.source import Change, Finding, Fix, KeyPath, dotted

FELL_BACK, ABSOLUTE = "PLM209", "PLM210"


def mounted_findings(tree: Tree, resolution: Resolution) -> list[Finding]:
    """The findings of `resolution`, with help where a mounted file's reference missed its own key.

    An `oc.select` that fell back to its default without a word is found too.
    """
    misses = dict(resolution.absolute_misses)
    findings: list[Finding] = []
    for finding in resolution.findings:
        own = _own(tree, finding.path, misses[finding.path]) if finding.path in misses else None
        if finding.code == UNKNOWN_REFERENCE and own is not None:
            fix = _relative(tree, finding.path, misses[finding.path], own)
            findings.append(
                dataclasses.replace(finding, help=_advice(tree, finding.path, own), fix=fix or finding.fix)
            )
        else:
            findings.append(finding)
    return [*findings, *(_fallback(tree, fallback) for fallback in resolution.fallbacks)]


def relative_reference(path: KeyPath, target: KeyPath) -> str:
    """How a value at `path` refers to `target` from where it stands: `.key`, `..section.key`."""
    shared = 0
    for one, other in zip(path[:-1], target[:-1], strict=False):
        if one != other:
            break
        shared += 1
    return "." * (len(path) - shared) + dotted(target[shared:])


def _fallback(tree: Tree, fallback: Fallback) -> Finding:
    path, key = fallback.path, fallback.key
    own = None if fallback.relative else _own(tree, path, key)
    message = f"{dotted(key)} is not set, so that this is the default of oc.select"
    if own is None:
        return Finding(path, message, help=f"set {dotted(key)}, or write the value", code=FELL_BACK)
    message = f"{message}, although this file sets {dotted(key)}"
    fix = _relative(tree, path, key, own)
    return Finding(path, message, help=_advice(tree, path, own), code=ABSOLUTE, fix=fix)


def _own(tree: Tree, path: KeyPath, key: KeyPath) -> KeyPath | None:
    """Where the mounted file that wrote the value at `path` has `key` itself."""
    layer = tree.layer(path)
    package = layer.package if layer else ()
    if not package or key[: len(package)] == package:
        return None
    found = (*package, *key)
    return found if get(tree.data, found) is not MISSING else None


def _advice(tree: Tree, path: KeyPath, own: KeyPath) -> str:
    layer = tree.layer(path)
    where = dotted(layer.package) if layer else ""
    return (
        f"absolute references start at the root, and this file lies at {where}: "
        f"write the key as `{relative_reference(path, own)}`"
    )


def _relative(tree: Tree, path: KeyPath, key: KeyPath, own: KeyPath) -> Fix | None:
    """The fix that has the text at `path` refer to `own`; None where `key` does not stand in it once."""
    text, words = get(tree.data, path), re.escape(dotted(key))
    places = list(re.finditer(rf"(?<=[{{:]){words}(?=[}},])", text)) if isinstance(text, str) else []
    if len(places) != 1:
        return None
    start, end = places[0].span()
    value = f"{text[:start]}{relative_reference(path, own)}{text[end:]}"
    return Fix("refer to the key of this file", (Change("set", path, value),), safe=False)
