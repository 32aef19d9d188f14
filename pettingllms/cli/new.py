"""`pettingllms new`: a commented experiment from a shipped preset, or an environment of your own."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

_log = logging.getLogger(__name__)
_SCHEMA_LINE = "#:schema "
_SCHEMA_ID = '"urn:pettingllms:schema:experiment"'


def new(
    template: Annotated[
        str | None,
        typer.Argument(
            metavar="TEMPLATE",
            help="A preset such as math_L1_prompt; or env, for an environment of your own.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="DST",
            help="The file to write, .toml or .yaml. Default: TEMPLATE.toml, here. After env: its name.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the presets.")] = False,
) -> None:
    """Write an experiment of your own, copied from a preset with all its comments.

    `new env NAME` writes an environment of your own instead: a plug-in file, its experiment and its test.
    """
    from pettingllms.config.presets import find_preset
    from pettingllms.documents.atomic import write_text
    from pettingllms.errors import UsageError

    if show_list:
        typer.echo(preset_list())
        return
    if template == "env":
        from pettingllms.cli.new_env import write_environment

        if target is None:
            raise UsageError("the environment has no name", help="`pettingllms new env my_game`")
        write_environment(target, force=force)
        return
    if template is None:
        raise UsageError("no preset is named", help="`pettingllms new --list` lists them")
    preset = find_preset(template)
    path = target or Path(f"{preset.stem}.toml")
    write_text(path, copied(preset, path), force=force)
    _log.info("%s: a copy of the preset %s", path, preset.stem)
    _log.info("next: pettingllms lint %s, then pettingllms train %s", path, path)


def preset_list() -> str:
    """One line for each preset: its name and what it is for."""
    from pettingllms.config.presets import preset_files, summary

    files = preset_files()
    width = max(map(len, files))
    return "\n".join(f"{name:<{width}}  {summary(path)}" for name, path in files.items())


def copied(preset: Path, target: Path) -> str:
    """The text of `preset` in the format that the suffix of `target` names. Raises UsageError."""
    from pettingllms.config.presets import SUFFIXES
    from pettingllms.errors import UsageError

    if target.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{target}: the format is not clear", help="name a .toml or .yaml file")
    text, schema = standalone(preset.read_text(encoding="utf-8")), schema_path(target)
    if target.suffix.lower() == ".toml":
        return (f"#:schema {schema}\n" if schema else "") + text
    return (f"# yaml-language-server: $schema={schema}\n" if schema else "") + _as_yaml(text, preset)


def standalone(text: str) -> str:
    """The TOML text of a preset for any folder.

    What it includes is found by name instead of beside it, and the line that leads to the schema
    from the preset's own folder is left out.
    """
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(_SCHEMA_LINE)]
    return "".join(lines).replace('"../', '"')


def schema_path(target: Path) -> str | None:
    """The way from the folder of `target` to a schema that `schema --write schemas` put in or above it."""
    for folder in target.absolute().parents:
        schema = folder / "schemas" / "experiment.schema.json"
        if schema.is_file() and _SCHEMA_ID in schema.read_text(encoding="utf-8", errors="replace"):
            way = Path(os.path.relpath(schema, target.absolute().parent)).as_posix()
            return way if way.startswith("../") else f"./{way}"
    return None


def _as_yaml(text: str, preset: Path) -> str:
    from pettingllms.documents.convert import convert
    from pettingllms.documents.read import parse_document
    from pettingllms.errors import RefusedError

    converted = convert(parse_document(text, preset), "yaml").text
    if converted is None:
        raise RefusedError(f"the preset {preset.stem} cannot be written as YAML", help="name a .toml file")
    return converted
