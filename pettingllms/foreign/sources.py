"""What a source is, and its way to the text of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pettingllms.config.fields import ExperimentSchema
from pettingllms.documents.files import decode, read_bytes
from pettingllms.documents.read import YAML_SUFFIXES, parse_document
from pettingllms.errors import RefusedError
from pettingllms.foreign.draft import Draft, Note
from pettingllms.foreign.render import render
from pettingllms.foreign.script import import_script
from pettingllms.foreign.shell_words import ScriptError
from pettingllms.foreign.sweeper import has_sweeper, import_sweeper
from pettingllms.foreign.wandb_sweep import import_wandb, is_wandb

MAX_SCRIPT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """An experiment's text, and what people should know about where it came from."""

    text: str
    notes: tuple[Note, ...]

    @property
    def complete(self) -> bool:
        """True where nothing of the source was left out."""
        return not any(note.left_out for note in self.notes)


def import_file(path: Path, line: int | None = None) -> Imported:
    """Import the launch script or sweep file at `path`. Raises DocumentError, RefusedError."""
    text = decode(read_bytes(path), path)
    suffix = path.suffix.lower()
    if suffix == ".toml":
        raise RefusedError(f"{path} is TOML already", help="`pettingllms lint` checks it")
    if suffix not in YAML_SUFFIXES:
        return import_text(text, path.name, path.parent, line)
    draft = Draft(ExperimentSchema())
    document = parse_document(text, path)
    for note in document.notes:
        draft.say(note.message, note.place.span.line if note.place else 0)
    if is_wandb(document.data):
        import_wandb(document, path.name, draft, path.parent)
    elif has_sweeper(document.data):
        import_sweeper(document, path.name, draft, path.parent)
    else:
        message = f"{path} is neither a W&B sweep nor an experiment with hydra.sweeper.params"
        raise RefusedError(message, help="`pettingllms convert` makes TOML of a YAML experiment")
    return Imported(render(draft), tuple(draft.notes))


def import_text(text: str, name: str, folder: Path | None = None, line: int | None = None) -> Imported:
    """Import the text of a launch script or of one command line. Raises RefusedError."""
    if len(text) > MAX_SCRIPT:
        message = f"{name} is longer than {MAX_SCRIPT // 1024} KiB"
        raise RefusedError(message, help="this is no launch script; name another file")
    draft = Draft(ExperimentSchema())
    try:
        import_script(text, name, draft, folder=folder, line=line)
    except ScriptError as error:
        raise RefusedError(
            f"{name}:{error.line}: {error}", help="the shell would refuse it as well"
        ) from None
    except RecursionError:
        raise RefusedError(f"{name}: it is nested too deeply") from None
    return Imported(render(draft), tuple(draft.notes))
