"""The base of all configuration types, and the mark of what this version can do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ConfigModel(BaseModel):
    """A section of the experiment: frozen, closed, its attribute docstrings are the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OptionError(ValueError):
    """Raised by validators of options: `message`, and at which key below the validated value it belongs."""

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


class Only:
    """Marks a field that this version supports only with some values.

    `Only(a, b)` refuses every other value; `Only()` refuses the key whenever it is set.
    Used as `Annotated[type, Only(...)]`.
    """

    def __init__(self, *values: Any) -> None:
        self.values = values

    def allows(self, value: Any) -> bool:
        """True when this version can do what `value` asks for."""
        return any(type(value) is type(known) and value == known for known in self.values)
