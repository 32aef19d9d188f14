"""How the rows of a source are read: by a preset, or in the environment's own format with a map of fields."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from pettingllms.data.presets import PRESETS, preset_converter, preset_name
from pettingllms.data.rows import BadReason, BadRowError, Converter, value_at
from pettingllms.data.sources import Source
from pettingllms.errors import RefusedError


@dataclass(frozen=True, slots=True)
class RowFormat:
    """What reads a row, and what is known to be wrong with some of them.

    `overlaps`: by the name of a preset, the field and the value by which its rows are known.
    """

    converter: Converter
    known: AbstractSet[BadReason] = frozenset()
    overlaps: Mapping[str, tuple[str, Any]] = field(default_factory=dict)

    def without(self, preset: str | None) -> RowFormat:
        """The same without the rows of `preset`, which are counted as such."""
        if preset is None or preset not in self.overlaps:
            return self
        name, value = self.overlaps[preset]

        def convert(row: Mapping[str, Any]) -> Mapping[str, Any]:
            if str(row.get(name)) == str(value):
                raise BadRowError(BadReason.IN_BENCHMARK, f"its {name} is {value}, as in {preset}")
            return self.converter(row)

        return RowFormat(convert, {*self.known, BadReason.IN_BENCHMARK}, self.overlaps)


def row_format(source: Source, fields: Mapping[str, str] | str, own: Converter | None) -> RowFormat:
    """How the rows of `source` are read where the experiment says `fields` of them.

    `own`: reads rows of the environment's own format, None where it has none. Raises RefusedError where the
    fields do not go with the source.
    """
    if isinstance(fields, str):
        name = preset_name(fields)
        if name is None:
            raise RefusedError(
                f"env.options: there is no preset {fields!r} whose format rows could have",
                help=f"presets: {', '.join(PRESETS)}",
            )
        return _of_preset(name)
    if source.preset is not None:
        if fields:
            raise RefusedError(
                f"{source.text!r} is a preset, which knows the fields of its rows",
                help="leave them out of env.options, or name the files themselves",
            )
        return _of_preset(source.preset)
    if own is None:
        raise RefusedError(
            f"{source.text!r} is no preset, and this environment has no format of rows of its own",
            help="let its class set `rows`, or name a preset in env.options.fields",
        )
    return RowFormat(_mapped(fields, own) if fields else own)


def _of_preset(name: str) -> RowFormat:
    preset = PRESETS[name]
    return RowFormat(preset_converter(preset), preset.known, preset.overlaps)


def _mapped(fields: Mapping[str, str], converter: Converter) -> Converter:
    """A converter of rows that have the fields of `converter` elsewhere."""

    def convert(row: Mapping[str, Any]) -> Mapping[str, Any]:
        return converter({**row, **{name: value_at(row, path) for name, path in fields.items()}})

    return convert
