"""What must not be shown: values under keys that look like secrets, and values of environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pettingllms.compose.resolution import Resolution
    from pettingllms.documents.source import KeyPath

REDACTED = "<redacted>"

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_ALWAYS = {"password", "passwd", "passphrase", "pwd", "secret", "credential", "bearer", "apikey"}
_JOINED = ("apikey", "authkey", "accesskey", "privatekey", "secretkey", "sshkey", "accesstoken", "authtoken")
_COUNTED = {
    "pad", "eos", "bos", "unk", "sep", "cls", "mask", "stop", "start", "end", "max", "min", "num", "per",
    "special", "image", "audio", "video", "think", "tool", "new", "next", "first", "last", "prompt",
    "response",
}  # fmt: skip
"""What stands before `token` where it is a piece of text: `pad_token`, `max_token`."""
_PLAIN_REFERENCE = re.compile(r"\$\{(oc\.env:\s*\w+\s*|[.\w\[\]-]+)\}")
_SHORTEST = 4
# Only from the start of a word: from every letter of a long one, the search would be quadratic.
_PAIR = re.compile(r"""(?<![\w."'-])([\w."'-]+)(\s*(?:\+=|:=|[:=])\s*)("[^"]*"|'[^']*'|[^\s,}\]#]+)""")


def looks_secret(key: str) -> bool:
    """True for a key whose value nobody else should see: `hf_token`, `apiKey`; not `max_tokens`."""
    words = [word.lower() for word in _WORDS.findall(key)]
    singular = [word.removesuffix("s") if word[:-1] in _ALWAYS else word for word in words]
    if _ALWAYS.intersection(singular) or "".join(words).removesuffix("s").endswith(_JOINED):
        return True
    if words[-1:] == ["tokens"]:
        return len(words) > 1 and words[-2] in ("access", "api", "auth", "hub", "hf")
    return words[-1:] == ["token"] and not _COUNTED.intersection(words[-2:-1])


def is_secret_path(path: KeyPath) -> bool:
    """True where the key at `path`, or a section around it, looks like a secret."""
    return any(isinstance(part, str) and looks_secret(part) for part in path)


def is_plain_reference(value: Any) -> bool:
    """True for a text that only refers to something, so that it gives nothing away: `${oc.env:TOKEN}`."""
    return isinstance(value, str) and _PLAIN_REFERENCE.fullmatch(value) is not None


def redacted(data: dict[str, Any], resolution: Resolution | None) -> dict[str, Any]:
    """Return a copy of `data` that may be shown.

    Values that came from environment variables are the references again, if `data` is the tree of
    `resolution`; values of keys that look like secrets are `<redacted>`, also inside other texts.
    """
    environment: Mapping[KeyPath, Any] = resolution.from_environment if resolution is not None else {}
    hidden = secret_texts(data)
    return {key: _shown(value, (key,), environment, hidden) for key, value in data.items()}


def shown(value: Any, path: KeyPath, hidden: Sequence[str]) -> Any:
    """`value` as it may be shown at `path`; `hidden`: texts that must not appear in it."""
    return _shown(value, path, {}, hidden)


@lru_cache(maxsize=64)
def redacted_line(line: str) -> str:
    """A line of a file, or an override, without the values of keys that look like secrets."""

    def hide(match: re.Match[str]) -> str:
        key, between, value = match.groups()
        plain = not _gives_away(value.strip("\"'")) or not looks_secret(key.rpartition(".")[2].strip("\"'"))
        return match.group() if plain else f"{key}{between}{REDACTED}"

    return _PAIR.sub(hide, line)


def secret_texts(data: dict[str, Any]) -> list[str]:
    """The texts under keys that look like secrets, longest first."""
    return sorted(set(_secret_texts(data, ())), key=len, reverse=True)


def _shown(value: Any, path: KeyPath, environment: Mapping[KeyPath, Any], hidden: Sequence[str]) -> Any:
    if path in environment:
        value = environment[path]
    if isinstance(value, dict):
        return {key: _shown(item, (*path, key), environment, hidden) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, (*path, index), environment, hidden) for index, item in enumerate(value)]
    if _gives_away(value) and is_secret_path(path):
        return REDACTED
    if isinstance(value, str):
        for text in hidden:
            value = value.replace(text, REDACTED)
    return value


def _secret_texts(value: Any, path: KeyPath) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            # The kind of a swept value is no value.
            if key != "sweep" or not isinstance(item, str):
                yield from _secret_texts(item, (*path, key))
    elif isinstance(value, str) and len(value) >= _SHORTEST and _gives_away(value) and is_secret_path(path):
        yield value


def _gives_away(value: Any) -> bool:
    return value not in (None, "", True, False) and not is_plain_reference(value)
