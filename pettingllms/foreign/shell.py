"""The text of a shell script as simple commands and assignments; nothing of it is run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pettingllms.foreign.shell_words import Piece, Word, WordReader, plain

_ARRAY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=\(")
_REDIRECTION = re.compile(r"(?:\d*|&)(<<<|<<-?|>>|[<>]&|>\||[<>])")
_BLOCKS = {"if": "if", "while": "loop", "until": "loop", "for": "loop", "select": "loop", "case": "case"}
_ENDS = {"fi", "done", "esac", "}"}
_SILENT = {"then", "else", "elif", "do", "!", "time"}


@dataclass(frozen=True, slots=True)
class Assignment:
    """`NAME=word`, or `NAME=(words)` where `array` holds."""

    name: str
    words: tuple[Word, ...]
    line: int
    array: bool = False
    append: bool = False


@dataclass(slots=True)
class Command:
    """One simple command. `inside`: the blocks that it stands in, outermost first."""

    line: int = 0
    assignments: list[Assignment] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    inside: tuple[str, ...] = ()
    cut_by_comment: int = 0


def read_commands(text: str) -> list[Command]:
    """Return the simple commands of `text` in order. Raises ScriptError."""
    return _Reader(text.replace("\r\n", "\n")).run()


class _Reader(WordReader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.found: list[Command] = []
        self.command = Command()
        self.blocks: list[str] = []
        self.next_block: str | None = None
        self.heredocs: list[tuple[str, bool]] = []

    def run(self) -> list[Command]:
        while self.at < len(self.text):
            self.step()
        self.finish()
        return self.found

    def step(self) -> None:
        text, at = self.text, self.at
        character = text[at]
        if character in " \t":
            self.at += 1
        elif text.startswith("\\\n", at):
            self.at += 2
        elif character == "#":
            if self.command.words:
                self.command.cut_by_comment = self.line()
            end = text.find("\n", at)
            self.at = len(text) if end < 0 else end
        elif character == "\n":
            self.at += 1
            self.finish()
            self.skip_heredocs()
        elif (match := _REDIRECTION.match(text, at)) is not None:
            self.redirection(match)
        elif character in ";&|":
            self.at += 1
            self.finish()
        elif character in "()":
            self.parenthesis(character)
        elif (array := _ARRAY.match(text, at)) is not None:
            self.array(array)
        else:
            self.take(tuple(self.pieces()))

    def finish(self) -> None:
        """End the command that is being read."""
        if self.command.words or self.command.assignments:
            self.command.inside = tuple(self.blocks)
            self.found.append(self.command)
        self.command = Command()

    def take(self, word: Word) -> None:
        """Add a word to the command, unless it is a reserved word at its start."""
        text = plain(word) if not any(piece.quoted for piece in word) else None
        at_start = not self.command.words and not self.command.assignments
        if at_start and text is not None and self.reserved(text):
            return
        if not self.command.line:
            self.command.line = word[0].line if word else self.line()
        match = re.match(r"([A-Za-z_]\w*)(\+?)=", word[0].text) if word else None
        if not self.command.words and match and word[0].kind == "text" and not word[0].quoted:
            self.command.assignments.append(assignment(word, match))
        else:
            self.command.words.append(word)

    def reserved(self, text: str) -> bool:
        if text in _SILENT:
            return True
        if text in _BLOCKS:
            self.blocks.append(_BLOCKS[text])
            return text not in ("for", "select", "case")
        if text in _ENDS:
            if self.blocks:
                self.blocks.pop()
            return True
        if text == "{":
            self.blocks.append(self.next_block or "group")
            self.next_block = None
            return True
        if text == "function":
            self.next_block = "function"
        return False

    def parenthesis(self, character: str) -> None:
        text = self.text
        self.at += 1
        if character == ")":
            if self.blocks and self.blocks[-1] == "case":
                self.command = Command()
                return
            self.finish()
            if self.blocks and self.blocks[-1] == "group":
                self.blocks.pop()
        elif len(self.command.words) in (1, 2) and re.match(r"\s*\)", text[self.at : self.at + 80]):
            self.at = text.index(")", self.at) + 1
            self.command, self.next_block = Command(), "function"
        elif text.startswith("(", self.at) and not self.command.words:
            self.at -= 1
            self.balanced("(", ")")
        else:
            self.finish()
            self.blocks.append("group")

    def array(self, match: re.Match[str]) -> None:
        line = self.line()
        self.at = match.end()
        words: list[Word] = []
        while True:
            blank = re.compile(r"(?:[ \t\n]|\\\n|#[^\n]*)*").match(self.text, self.at)
            self.at = blank.end() if blank else self.at
            if self.at >= len(self.text):
                raise self.error("a list of words is not closed: ) is missing", line)
            if self.text[self.at] == ")":
                self.at += 1
                break
            start = self.at
            words.append(tuple(self.pieces()))
            if self.at == start:
                raise self.error(f"{self.text[self.at]!r} is not expected in a list of words")
        made = Assignment(match.group(1), tuple(words), line, array=True, append=bool(match.group(2)))
        self.command.line = self.command.line or line
        self.command.assignments.append(made)

    def redirection(self, match: re.Match[str]) -> None:
        self.at = match.end()
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        target = tuple(self.pieces())
        if match.group(1) in ("<<", "<<-"):
            self.heredocs.append((plain(target) or "", match.group(1) == "<<-"))

    def skip_heredocs(self) -> None:
        for delimiter, tabs in self.heredocs:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                row = self.text[self.at : end]
                self.at = end + 1
                if (row.lstrip("\t") if tabs else row) == delimiter:
                    break
        self.heredocs = []


def assignment(word: Word, match: re.Match[str]) -> Assignment:
    """The assignment that `word` is; `match` is its `NAME=` or `NAME+=`."""
    first = word[0]
    rest = Piece("text", first.text[match.end() :], quoted=False, line=first.line)
    return Assignment(match.group(1), ((rest, *word[1:]),), first.line, append=bool(match.group(2)))
