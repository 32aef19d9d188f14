"""Values and keys written on one line, in either format."""

from __future__ import annotations

import datetime
import json
import math
import re
from pathlib import Path
from typing import Any

from pettingllms.documents.source import DocumentError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def toml_key(key: str) -> str:
    """`key` as a part of a TOML key."""
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def toml_value(value: Any, quote: str = '"') -> str:
    """`value` in TOML 1.0; texts stand in `quote` where that can hold them."""
    if isinstance(value, str):
        literal = quote == "'" and "'" not in value and value.isprintable()
        return f"'{value}'" if literal else _quoted(value)
    if isinstance(value, dict):
        inside = ", ".join(f"{toml_key(key)} = {toml_value(item, quote)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item, quote) for item in value)}]"
    if value is None:
        return "{ null = true }"
    return _number(value, "") if isinstance(value, float) else _plain(value)


def yaml_key(key: str) -> str:
    """`key` as a YAML key."""
    return key if _reads_as(f"{key}: 0\n", {key: 0}) else _quoted(key)


def yaml_value(value: Any, quote: str = "", *, flow: bool = False) -> str:
    """`value` in YAML; a text stands in `quote` if that is given, else plain where that reads the same."""
    if isinstance(value, str):
        return _yaml_text(value, quote, flow=flow)
    if isinstance(value, dict):
        items = (f"{_flow_key(key)}: {yaml_value(item, quote, flow=True)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(yaml_value(item, quote, flow=True) for item in value)}]"
    if value is None:
        return "null"
    return _number(value, ".") if isinstance(value, float) else _plain(value)


def _yaml_text(value: str, quote: str, *, flow: bool) -> str:
    one_line = value.isprintable() and value != ""
    if quote == "" and one_line:
        whole = f"k: [{value}]\n" if flow else f"k: {value}\n"
        if _reads_as(whole, {"k": [value] if flow else value}):
            return value
    if quote == "'" and one_line:
        return "'" + value.replace("'", "''") + "'"
    return _quoted(value)


def _flow_key(key: str) -> str:
    return key if _reads_as(f"k: {{{key}: 0}}\n", {"k": {key: 0}}) else _quoted(key)


def _reads_as(text: str, data: dict[str, Any]) -> bool:
    from pettingllms.documents.read import parse_document

    try:
        return same(parse_document(text, Path("value.yaml")).data, data)
    except DocumentError:
        return False


def same(one: Any, other: Any) -> bool:
    """True where both are the same data, types and nan included; the order of keys does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def _quoted(text: str) -> str:
    """`text` in double quotes, with the escapes that TOML and YAML share."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def _number(value: float, dot: str) -> str:
    if math.isnan(value) or math.isinf(value):
        return ("-" if value < 0 else "") + dot + ("nan" if math.isnan(value) else "inf")
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if exponent.startswith("-") else ""
    return f"{mantissa}e{sign}{exponent.lstrip('+-0')}" if exponent else mantissa


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
