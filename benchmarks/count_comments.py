"""Counts the comments that conversion loses: YAML → TOML → YAML, found in the texts by no parser of ours.

    python -m benchmarks.count_comments FOLDER

Comments of YAML are what PyYAML's tokens leave over; those of TOML are what remains when strings are cut out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import yaml

from pettingllms.documents.convert import convert
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import DocumentError

TOML_STRINGS = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|(#[^\n]*)', re.DOTALL
)


def yaml_comments(text: str) -> Counter[str]:
    """Every comment of a YAML text: what begins with # outside of all of its scalars."""
    covered = bytearray(len(text))
    found: Counter[str] = Counter()
    for token in yaml.scan(text):
        if isinstance(token, yaml.ScalarToken):
            start, end = token.start_mark.index, token.end_mark.index
            if token.style in ("|", ">"):
                header = text.find("\n", start)
                hash_sign = text.find("#", start, header)
                if hash_sign >= 0:
                    found[text[hash_sign:header].strip()] += 1
                end = start + len(text[start:end].rstrip())
            covered[start:end] = b"x" * (end - start)
    position = 0
    for line in text.splitlines(keepends=True):
        for match in re.finditer("#", line):
            if not covered[position + match.start()]:
                found[line[match.start() :].strip()] += 1
                break
        position += len(line)
    return found


def toml_comments(text: str) -> Counter[str]:
    """Every comment of a TOML text: what begins with # outside of its strings."""
    return Counter(match.group(1).strip() for match in TOML_STRINGS.finditer(text) if match.group(1))


def main(folder: Path) -> int:
    files = lost = added = total = 0
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        try:
            toml = convert(parse_document(text, path), "toml").text or ""
            back = convert(parse_document(toml, path.with_suffix(".toml")), "yaml").text or ""
        except DocumentError as refused:
            print(f"{path}: refused: {refused}")
            continue
        before = yaml_comments(text)
        for after in (toml_comments(toml), yaml_comments(back)):
            lost += sum((before - after).values())
            added += sum((after - before).values())
            for comment in before - after:
                print(f"{path}: lost {comment}")
        files += 1
        total += sum(before.values())
    print(f"{files} files, {total} comments, {lost} lost, {added} added")
    return 1 if lost or added else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("tests/data")))
