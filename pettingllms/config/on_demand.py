"""The experiment's schema as overrides and composition see it, imported when it is first asked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pettingllms.documents.source import KeyPath

if TYPE_CHECKING:
    from pettingllms.config.fields import ExperimentSchema


class SchemaOnDemand:
    """Most files are composed without a question to the schema, whose types take long to import."""

    @cached_property
    def _schema(self) -> ExperimentSchema:
        from pettingllms.config.fields import ExperimentSchema

        return ExperimentSchema()

    def kinds(self, path: KeyPath) -> frozenset[str] | None:
        """Kinds of value that may stand at `path`; None: no such key."""
        return self._schema.kinds(path)

    def default(self, path: KeyPath) -> Any:
        """The default of the key at `path`, or None."""
        return self._schema.default(path)

    def advice(self, path: KeyPath, data: dict[str, Any]) -> str | None:
        """A question that names the key that was most likely meant."""
        return self._schema.advice(path, data)
