"""Composition: a main file, the files that its `defaults` lists name, and overrides, as one tree.

The order and the packages are Hydra's (https://hydra.cc/docs/advanced/defaults_list), with one
difference: a file whose keys are sections of the experiment is merged beside its group's section
instead of below it, which is what the documented examples mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pettingllms.compose.defaults import INVALID_DEFAULTS, Entry, package_header, read_entries
from pettingllms.compose.groups import Choice, Choices, read_choices
from pettingllms.compose.names import (
    SUFFIXES,
    AmbiguousNameError,
    NameNotFoundError,
    find_file,
    options_of,
    shipped_instead,
)
from pettingllms.compose.overrides import Schema, apply_overrides
from pettingllms.compose.tree import Layer, Tree
from pettingllms.documents.read import parse_document, read_document
from pettingllms.documents.source import START, Document, DocumentError, Finding, KeyPath, Place, Source
from pettingllms.registry import closest

UNKNOWN_FILE, CYCLE, AMBIGUOUS, SHIPPED_INSTEAD = "PLM211", "PLM212", "PLM213", "PLM215"
UNREADABLE = "PLM002"
MAX_FILES = 200


@dataclass(slots=True)
class Composition:
    """What became of a file. `complete` is False where an included file is missing or unreadable.

    `documents`: every file that was read, the main file first. `packages`: where files were mounted.
    """

    tree: Tree
    findings: list[Finding]
    documents: tuple[Document, ...]
    complete: bool
    packages: frozenset[KeyPath] = frozenset()


@dataclass(frozen=True, slots=True)
class _Node:
    """A file at its place: `base` is its group as Hydra names it, `package` where its root lies."""

    document: Document
    base: str
    package: str
    included: tuple[Place, ...] = ()
    above: tuple[Path, ...] = ()
    note: str | None = None


def compose(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    schema: Schema,
    text: str | None = None,
    overlays: Sequence[Path] = (),
) -> Composition:
    """Compose the file at `path`, or `text` in its place, with `overlays` on top and then `overrides`.

    `path` may be the name of a shipped preset. References and swept values stay as they are.
    Raises DocumentError where the file itself, or an overlay, cannot be read.
    """
    main = parse_document(text, path) if text is not None else read_document(locate(path))
    folder = main.path.parent
    choices = read_choices(list(overrides), folder)
    composer = _Composer(schema, choices, folder)
    nodes = composer.root(main, choices.appended)
    for overlay in overlays:
        nodes += composer.root(read_document(locate(overlay)), [])
    tree = Tree(Source(str(main.path), main.text), {})
    for node in nodes:
        package: KeyPath = tuple(node.package.split(".")) if node.package else ()
        layer = Layer("file", str(node.document.path), package, node.included, node.note)
        tree.merge(node.document, layer, frozenset({"defaults", "format"} if package else {"defaults"}))
    values, unknown = choices.settled()
    refused = [choices.advised(finding) for finding in apply_overrides(tree, values, schema)]
    findings = [*composer.findings, *unknown, *refused]
    packages = frozenset(tuple(node.package.split(".")) for node in nodes if node.package)
    return Composition(tree, findings, tuple(composer.documents.values()), composer.complete, packages)


def locate(path: Path) -> Path:
    """Return `path` where it exists, else the file that it names without a suffix, else the preset.

    Raises DocumentError.
    """
    try:
        return path if path.exists() else find_file(str(path), None)
    except NameNotFoundError as error:
        help_text = f"did you mean {error.near}?" if error.near else "check the spelling and the folder"
        message = "no such file" + ("" if path.suffix in SUFFIXES else ", and no shipped preset of this name")
        raise _unreadable(path, message, help_text) from None
    except AmbiguousNameError as error:
        listed = ", ".join(str(hit) for hit in error.hits)
        message = f"several files have this name: {listed}"
        raise _unreadable(path, message, "write the name with its suffix") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, f"cannot find this file: {reason}", None) from None


def _unreadable(path: Path, message: str, help_text: str | None) -> DocumentError:
    place = Place(Source(str(path), ""), START)
    return DocumentError(Finding((), message, help=help_text, place=place, code=UNREADABLE))


class _Composer:
    def __init__(self, schema: Schema, choices: Choices, folder: Path) -> None:
        self.schema, self.choices, self.folder = schema, choices, folder
        self.documents: dict[Path, Document] = {}
        self.findings: list[Finding] = []
        self.complete = True
        self.count = 0

    def root(self, document: Document, appended: list[Entry]) -> list[_Node]:
        """All files of a main file or an overlay, lowest precedence first."""
        self.documents[document.path.resolve()] = document
        self.findings += document.notes
        package = _final_package("", _header(document) or "")
        return self.walk(_Node(document, "", package, above=(document.path.resolve(),)), appended)

    def walk(self, node: _Node, appended: list[Entry]) -> list[_Node]:
        entries, findings = read_entries(node.document)
        for finding in findings:
            self.refuse(finding, node)
        entries = [*entries, *appended]
        for entry in entries:
            if entry.override:
                key = self.key(entry, node)
                self.choices.chosen.setdefault(key, Choice(entry.names, entry.place, entry.several))
        placed: list[_Node] = []
        # Hydra decides from the last entry to the first, so that overrides in later files count.
        for entry in reversed(entries):
            if entry.is_self:
                placed.append(node)
            elif not entry.override:
                placed += reversed(self.entry(entry, node))
        return placed[::-1]

    def key(self, entry: Entry, node: _Node) -> str:
        """The name of a group by which it is chosen: `group`, or `group@package`."""
        group = _group_path(entry, node)
        default, final = group.replace("/", "."), self.package(entry, node)
        return group if default == final else f"{group}@{final or '_global_'}"

    def package(self, entry: Entry, node: _Node, header: str | None = None) -> str:
        package = entry.package
        if package == "_here_":
            package = ""
        elif package is not None and "_group_" in package:
            package = "_global_." + package.replace("_group_", _group_path(entry, node).replace("/", "."))
        if package is None:
            package = header if header is not None else entry.group.replace("/", ".")
        return _final_package(node.package, package)

    def entry(self, entry: Entry, node: _Node) -> list[_Node]:
        """The files that one entry brings in."""
        names, place, several = entry.names, entry.place, entry.several
        if entry.is_group:
            key = self.key(entry, node)
            choice = self.choices.chosen.get(key)
            if choice is not None:
                choice.used = True
                names, place, several = choice.names, choice.place, choice.several
            gone = self.choices.deleted.get(key)
            if gone is not None and (not gone.names or gone.names == names):
                gone.used = True
                return []
            name = names[0] if names else ""
            known = name if several else self.choices.known.setdefault(key, name)
            if known != name:
                message = f"the group {key} is chosen twice: {known} and {', '.join(names)}"
                help_text = f"an `override {entry.group}` entry at the end of the list changes a choice"
                if any(added.group == entry.group for added in self.choices.appended):
                    # The list is walked from its end, so that what was added came first.
                    help_text = f"write {key}={known} to change the choice"
                self.refuse(Finding((), message, help=help_text, place=place, code=INVALID_DEFAULTS), node)
                return []
        found: list[_Node] = []
        for name in names:
            child = self.child(entry, name, place, node)
            if child is not None:
                found += self.walk(child, [])
        return found

    def child(self, entry: Entry, name: str, place: Place, node: _Node) -> _Node | None:
        document = self.read(entry, name, place, node)
        if document is None:
            return None
        header = _header(document)
        package, note = self.package(entry, node, header), None
        if entry.package is None and header is None and entry.group:
            package, note = self.intended(entry, node, document)
        included = (*node.included, place)
        above = (*node.above, document.path.resolve())
        return _Node(document, _group_path(entry, node), package, included, above, note)

    def intended(self, entry: Entry, node: _Node, document: Document) -> tuple[str, str | None]:
        """The package of a file that neither its entry nor a header names, and why it differs from Hydra's.

        A file that already holds the sections of the experiment belongs beside them.
        """
        words = [word for word in entry.group.split("/") if word not in ("..", ".")]
        package = _final_package(node.package, ".".join(words))
        above: KeyPath = tuple(node.package.split(".")) if node.package else ()
        below: KeyPath = (*above, *words)
        keys = [key for key in document.data if key != "defaults"]
        fits_above = [key for key in keys if self.schema.kinds((*above, key)) is not None]
        fits_below = [key for key in keys if words and self.schema.kinds((*below, key)) is not None]
        repeated = bool(words) and words[-1] in fits_above
        if fits_above and (repeated or not fits_below):
            where = node.package or "the root"
            shown = ", ".join(fits_above[:3]) + (", …" if len(fits_above) > 3 else "")
            return node.package, f"merged at {where}, as it holds {shown} itself"
        return package, None

    def read(self, entry: Entry, name: str, place: Place, node: _Node) -> Document | None:
        """The document that the entry names; None, with a finding, where there is none."""
        wanted = f"{entry.group}/{name}" if entry.group else name
        folder = self.folder if entry.absolute else node.document.path.parent
        finding: Finding | None = None
        try:
            path = find_file(wanted, folder)
            resolved = path.resolve()
            self.count += 1
            if resolved in node.above:
                words = " → ".join(str(self.documents[step].path) for step in (*node.above, resolved))
                message = f"files include each other in a circle: {words}"
                finding = Finding((), message, help="remove one of the entries", place=place, code=CYCLE)
            elif self.count > MAX_FILES:
                message = f"more than {MAX_FILES} files are included"
                finding = Finding((), message, place=place, code=CYCLE)
            else:
                if wanted.startswith("../") and shipped_instead(path, node.document.path):
                    self.findings.append(_instead(wanted, path, place))
                if resolved not in self.documents:
                    self.documents[resolved] = read_document(path)
                    self.findings += [_chained(note, node, place) for note in self.documents[resolved].notes]
                return self.documents[resolved]
        except NameNotFoundError as error:
            if entry.optional:
                return None
            finding = self.missing(error, entry, name, place)
        except AmbiguousNameError as error:
            listed = ", ".join(str(hit) for hit in error.hits)
            message = f"{wanted} names several files: {listed}"
            finding = Finding((), message, help="write the name with its suffix", place=place, code=AMBIGUOUS)
        except DocumentError as error:
            finding = _chained(error.finding, node, place)
            self.findings.append(finding)
            self.complete = False
            return None
        except (OSError, ValueError) as error:
            message = f"{wanted} cannot be read: {error}"
            finding = Finding((), message, place=place, code=UNKNOWN_FILE)
        self.refuse(finding, node)
        return None

    def missing(self, error: NameNotFoundError, entry: Entry, name: str, place: Place) -> Finding:
        message = f"there is no file {error.name}; searched {', '.join(error.tried)}"
        options = options_of(entry.group, self.folder) if entry.group else []
        help_text = f"did you mean {error.near}?" if error.near else None
        if entry.absolute:
            message = f"{message}; a name that begins with / starts at the folder of the main file"
        if name == "???":
            message = f"the group {entry.group} must be chosen: {entry.group}=NAME"
        if options and (help_text is None or closest(name, options) is None):
            help_text = f"files there: {', '.join(options)}"
        return Finding((), message, help=help_text, place=place, code=UNKNOWN_FILE)

    def refuse(self, finding: Finding, node: _Node) -> None:
        self.findings.append(_chained(finding, node))
        self.complete = False


def _instead(wanted: str, path: Path, place: Place) -> Finding:
    message = f"{wanted} is not where it points to: the shipped {path.parent.name}/{path.stem} is used"
    help_text = f"write {path.parent.name}/{path.stem} if that is meant, or put the file there"
    return Finding((), message, help=help_text, place=place, code=SHIPPED_INSTEAD)


def _group_path(entry: Entry, node: _Node) -> str:
    absolute = entry.absolute or not node.base
    return entry.group if absolute else f"{node.base}/{entry.group}".rstrip("/")


def _header(document: Document) -> str | None:
    """The package of a `# @package` header as an absolute one; None without a header."""
    header = package_header(document.text)
    if header is None or header == "_group_":
        return None
    return header if header.startswith("_global_") else f"_global_.{header}"


def _final_package(parent: str, package: str) -> str:
    joined = ".".join(part for part in (parent, package) if part)
    at = joined.rfind("_global_")
    return joined if at < 0 else joined[at + len("_global_") + 1 :]


def _chained(finding: Finding, node: _Node, *more: Place) -> Finding:
    """The finding with the entries that led to its file, innermost first."""
    chain = [str(place) for place in (*node.included, *more)][::-1]
    return dataclasses.replace(finding, included=tuple(chain))
