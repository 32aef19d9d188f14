"""Words of the schemas: titles, descriptions and meanings of values, from the types and their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from typing import Any

from pydantic.fields import FieldInfo

from pettingllms.config.fields import alternatives, describe, is_section
from pettingllms.config.model import ConfigModel, Only
from pettingllms.config.shape import written

_NAMES = {
    **{name.lower(): name for name in ("GPU", "GPUs", "CPU", "LoRA", "PPO", "FSDP", "LLM", "TPE", "QMC")},
    "nsga2": "NSGA-II",
    "cmaes": "CMA-ES",
    "adv": "advantage",
    "dir": "folder",
    "env": "environment",
    "freq": "frequency",
    "len": "length",
    "lr": "learning rate",
    "n": "number of",
    "nnodes": "nodes",
    "num": "number",
    "optim": "optimizer",
    "seqs": "sequences",
    "val": "validation",
}
_EXPONENT = re.compile(r"(?<=\de)(-?)\+?0+(?=\d)")
_LIMITS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}


def title(key: str) -> str:
    """The key in human words: `ppo_max_token_len_per_gpu` is `PPO max token len per GPU`."""
    words = [_NAMES.get(word, word) for word in re.sub(r"^num_", "n_", key).split("_")]
    return _capital(" ".join(words))


def attribute_docstrings(model: type[ConfigModel]) -> dict[str, str]:
    """The text under each field of `model`, read from its source; a paragraph or list item is one line.

    Fields that it has from another section have the text that stands there.
    """
    above = [base for base in model.__bases__ if issubclass(base, ConfigModel) and base is not ConfigModel]
    found = {name: text for base in above for name, text in attribute_docstrings(base).items()}
    body = ast.parse(inspect.getsource(model)).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(statements):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = _unwrapped(text.value.value)
    return found


def class_docstring(model: type[ConfigModel]) -> str:
    """What a section is."""
    return _unwrapped(model.__doc__ or "")


def described(text: str, field: FieldInfo) -> str:
    """The docstring of a key, and a line of facts: what may stand there, within which limits, the default."""
    facts = [*_kind(field), *_default(text, field), *_available(field)]
    return f"{text}\n\n{' '.join(facts)}" if facts else text


def meanings(text: str, values: list[Any], field: FieldInfo) -> list[str]:
    """What each of `values` means, as far as the docstring says `value`: meaning; else an empty text."""
    marks = [mark for mark in field.metadata if isinstance(mark, Only)]
    return [_meaning(text, value, marks) for value in values]


def _meaning(text: str, value: Any, marks: list[Only]) -> str:
    found = re.search(rf"`{re.escape(str(value))}`: (.+?)(?=;\s`|\.\s|\.?$)", text, re.MULTILINE)
    said = [_capital(found.group(1))] if found else []
    if not all(mark.allows(value) for mark in marks):
        said.append("Not available in this version")
    return ". ".join(said)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _unwrapped(docstring: str) -> str:
    paragraphs = re.split(r"\n\s*\n|\n(?=- )", inspect.cleandoc(docstring))
    lines = (" ".join(part.split()) for part in paragraphs)
    return "\n".join(line if line.startswith("- ") else f"\n{line}" for line in lines).strip()


def _kind(field: FieldInfo) -> list[str]:
    annotation: Any = field.annotation
    options = [option for option in alternatives(annotation) if option is not type(None)]
    if any(is_section(option) or option is Any for option in options):
        return []
    words = describe(annotation)
    limits = [
        f"{said} {getattr(mark, key)}"
        for key, said in _LIMITS.items()
        for mark in field.metadata
        if getattr(mark, key, None) is not None
    ]
    return [_capital(", ".join([words, *limits, *_length(field)])) + "."]


def _length(field: FieldInfo) -> list[str]:
    least, most = (
        next((getattr(mark, key) for mark in field.metadata if hasattr(mark, key)), None)
        for key in ("min_length", "max_length")
    )
    if least is None:
        return []
    exact, filled = f"{least} of them", "not empty" if least == 1 else f"with {least} or more"
    return [exact if least == most else filled]


def _default(text: str, field: FieldInfo) -> list[str]:
    if field.is_required() or "Default:" in text:
        return []
    value = field.get_default(call_default_factory=True)
    # A section's default is that of each of its keys, and an empty one says nothing.
    plain = isinstance(value, (str, int, float, bool)) or (isinstance(value, list) and value)
    shown = _EXPONENT.sub(r"\1", written(value)) if plain and not _holds_section(value) else ""
    return [f"Default: `{shown}`."] if shown else []


def _holds_section(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, ConfigModel) for item in value)


def _available(field: FieldInfo) -> list[str]:
    marks = [mark for mark in field.metadata if isinstance(mark, Only)]
    if not marks:
        return []
    shown = [f"`{written(value)}`" for mark in marks for value in mark.values if value is not None]
    if not shown:
        return ["Not available in this version."]
    return [f"In this version only {', '.join(shown)}."]
