"""How values may be written: as themselves, as references, as nulls where they may be absent, or swept.

Editors and validators differ in what they make of alternatives: where a value is `anyOf` its forms, most of
them say no more than that none of the forms fits, and say it of the whole file. So the forms are told apart
by their type in one schema: a text without a reference must be what the value is, and a table is an axis or a
null. What looks odd here is what tombi, taplo, check-jsonschema and the YAML language server all understand
(tests/config/test_schema_tools.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

OPEN: Schema = {"additionalProperties": True}
"""Anything; tombi's strict mode takes a schema that says nothing about further keys for a closed one."""
CLOSED: Schema = {"additionalProperties": False}
PLAIN_TEXT: Schema = {"type": "string", "not": {"pattern": r"\$\{"}}
NULL: Schema = {"const": True, "description": "`{ null = true }` is the absent value."}
_CHOICES = ("enum", "enumDescriptions", "x-taplo")
_AROUND = ("title", "description", "default")
_GIVES = {"int": {"integer", "number"}, "float": {"number"}}
"""Types of the values of an axis, by kind; a choice may be of any type."""


def reference(name: str) -> Schema:
    """Return the schema that says: as the definition `name`."""
    return {"$ref": f"#/definitions/{name}"}


class WrittenForms:
    """Schemas of what is written, made from the schemas of what it resolves to.

    `axes`: the sections of the axis types, by kind and with the class's name as `title`.
    """

    def __init__(self, axes: dict[str, Schema]) -> None:
        self.axes = axes
        self.kinds = tuple(axes)
        self._shared: dict[str, Schema] = {}

    def value(self, schema: Schema, kinds: tuple[str, ...], *, at_key: bool = True) -> Schema:
        """The written form of a value; `kinds` are those of the axes that it may be swept by.

        `at_key`: the value is that of a documented key; the values of its axis are checked as it is itself.
        """
        around = {key: schema[key] for key in _AROUND if key in schema}
        bare = {key: item for key, item in schema.items() if key not in around}
        options = bare.get("anyOf", [bare])
        plain = [option for option in options if option != {"type": "null"}]
        nullable = len(plain) < len(options)
        if any("allOf" in option or "$ref" in option for option in plain):
            # The section's definition knows all its forms.
            return {**around, "allOf": [part for option in plain for part in option.get("allOf", [option])]}
        if any("type" not in option for option in plain):
            return {**around, **OPEN}
        types = list(dict.fromkeys(option["type"] for option in plain))
        # A keyword holds for values of one type only, so that those of all types can stand side by side.
        keywords = {key: item for option in plain for key, item in option.items() if key != "type"}
        if "items" in keywords:
            # Some editors show the words of the items where the list is looked at.
            words = {key: around[key] for key in ("description",) if key in around}
            keywords["items"] = self.value({**words, **keywords["items"]}, kinds, at_key=False)
        swept_by = self._fitting(kinds, types)
        if "object" in types:
            return {**around, **self._free_table(types, keywords, swept_by, nullable=nullable)}
        form = {**around, **self._plain_value(types, keywords, swept_by, nullable=nullable)}
        if at_key and swept_by:
            form["properties"]["values"] = self._values_of(bare)
        return form

    def section(self, schema: Schema, kinds: tuple[str, ...], *, nullable: bool = False) -> Schema:
        """The written form of a section, whose own keys are in their written form already.

        No key is demanded: it may stand in another file, and in a swept section it does not stand at all.
        """
        own = {key: item for key, item in schema.items() if key not in ("type", "properties", "required")}
        special = self._special(self._fitting(kinds, ["object"]), nullable=nullable)
        axis_keys = special.pop("properties", {})
        properties = {**schema["properties"], **axis_keys}
        if axis_keys:
            alone = {key: ["sweep"] for key in axis_keys if key not in ("null", "sweep")}
            special["dependencies"] = {**alone, **special["dependencies"]}
        return {
            **own,
            "type": ["object", "string", *(["null"] if nullable else [])],
            **_if_text({"type": "object"}),
            "properties": properties,
            **special,
            **CLOSED,
        }

    def swept(self) -> Schema:
        """A table that must be an axis of any kind."""
        form = {"type": "object", **self._special(self.kinds), "minProperties": 1, **CLOSED}
        return self._share("swept", form)

    def definitions(self) -> dict[str, Schema]:
        """What the written forms made so far refer to."""
        found: dict[str, Schema] = {
            "axis": {"allOf": [_if_kind(kind, reference(axis["title"])) for kind, axis in self.axes.items()]},
            "null": {"type": "object", "properties": {"null": NULL}, **CLOSED},
            "text": PLAIN_TEXT,
        }
        for kind, axis in self.axes.items():
            own = {key: self.value(item, ()) for key, item in axis["properties"].items() if key != "sweep"}
            found |= {f"{axis['title']}.{key}": item for key, item in own.items()}
            found[axis["title"]] = {
                "type": "object",
                "properties": {
                    "sweep": {"const": kind, "description": axis["description"]},
                    **{key: reference(f"{axis['title']}.{key}") for key in own},
                },
                "required": axis["required"],
                **CLOSED,
            }
        return {**found, **dict(sorted(self._shared.items()))}

    def _values_of(self, bare: Schema) -> Schema:
        """The values of a choice at a key whose own values are `bare`; keys that are alike share them."""
        name = "_".join(("values", *_facts(bare)))
        values = self.axes["choice"]["properties"]["values"]
        words = {"description": values["description"]}
        return self._share(name, {**values, "items": self.value({**words, **bare}, ())})

    def _kind_of(self, kinds: tuple[str, ...]) -> Schema:
        """The key that makes a table an axis."""
        texts = [self.axes[kind]["description"] for kind in kinds]
        words = {"description": "A swept value begins with the kind of its axis."}
        form = {**words, **with_meanings({"enum": list(kinds)}, texts)}
        return self._share("_".join(("sweep", *kinds)), form)

    def _share(self, name: str, form: Schema) -> Schema:
        """Keep `form` as a definition; another one of the same name gets an own."""
        while self._shared.setdefault(name, form) != form:
            name += "_"
        return reference(name)

    def _plain_value(
        self, types: list[str], keywords: Schema, kinds: tuple[str, ...], *, nullable: bool
    ) -> Schema:
        choices = {key: keywords.pop(key) for key in _CHOICES if key in keywords}
        table = self._special(kinds, nullable=nullable)
        form: Schema = {"type": [*types, *(["string"] if "string" not in types else [])], **keywords}
        if choices:
            # The choices stand twice: the first are offered and explained, the second are demanded.
            form |= {**_if_text({"enum": choices["enum"]}), "anyOf": [choices, True]}
        elif "string" not in types:
            form |= _if_text({"type": types[0] if len(types) == 1 else types})
        if nullable:
            form["type"].append("null")
        if table:
            form["type"].append("object")
            form |= {**table, "minProperties": 1, **CLOSED}
        return form

    def _free_table(
        self, types: list[str], keywords: Schema, kinds: tuple[str, ...], *, nullable: bool
    ) -> Schema:
        """A table whose keys the file names; any of them may be called as a key of an axis is."""
        entry = keywords.pop("additionalProperties", True)
        form: Schema = {"type": [*types, *(["string"] if "string" not in types else [])], **keywords}
        form["type"] += ["null"] if nullable else []
        if "string" not in types:
            form |= _if_text({"type": "object"})
        if not isinstance(entry, dict):
            return {**form, **OPEN}
        if kinds:
            axis_keys = [key for kind in kinds for key in self.axes[kind]["properties"] if key != "sweep"]
            open_keys = dict.fromkeys(axis_keys, OPEN)
            form["properties"] = {"sweep": OPEN, **open_keys}
        return {**form, "additionalProperties": self.value(entry, kinds, at_key=False)}

    def _special(self, kinds: tuple[str, ...], *, nullable: bool = False) -> Schema:
        """The tables that stand for a value: a null, and an axis of one of `kinds`."""
        properties: Schema = {"null": NULL} if nullable else {}
        dependencies: Schema = {"null": reference("null")} if nullable else {}
        for kind in kinds:
            title, keys = self.axes[kind]["title"], self.axes[kind]["properties"]
            # The default of a choice may be anything; the ranges come from narrow to wide.
            later = (key for key in keys if key != "default" or key not in properties)
            properties |= {key: reference(f"{title}.{key}") for key in later}
        if kinds:
            dependencies |= {"values": ["sweep"], "default": ["sweep"], "sweep": reference("axis")}
            properties["sweep"] = self._kind_of(kinds)
        return {"properties": properties, "dependencies": dependencies} if properties else {}

    def _fitting(self, kinds: tuple[str, ...], types: list[str]) -> tuple[str, ...]:
        return tuple(kind for kind in kinds if kind not in _GIVES or _GIVES[kind] & set(types))


def with_meanings(schema: Schema, meanings: list[str]) -> Schema:
    """Return `schema`, an enumeration, with what each of its values means, in the words of all editors."""
    if not any(meanings):
        return schema
    docs = {"enumValues": [meaning or None for meaning in meanings]}
    return {**schema, "enumDescriptions": meanings, "x-taplo": {"docs": docs}}


def _facts(schema: Any) -> Iterator[str]:
    """What is said of a value, in the characters of a name."""
    if isinstance(schema, dict):
        for key, item in schema.items():
            if key not in _CHOICES[1:]:
                yield from () if key in ("type", "anyOf", "enum") else (key,)
                yield from _facts(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _facts(item)
    else:
        yield re.sub(r"\W+", "-", str(schema))


def _if_kind(kind: str, then: Schema) -> Schema:
    condition = {"type": "object", "properties": {"sweep": {"const": kind}}, "required": ["sweep"]}
    return {"if": condition, "then": then}


def _if_text(then: Schema) -> Schema:
    """What a text is that holds no reference. tombi looks at a condition only beside alternatives."""
    return {"anyOf": [True], "if": reference("text"), "then": then}
