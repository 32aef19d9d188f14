"""Diagnostics as JUnit's XML, which most CI servers list as failed tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.parts import one_line, posix, title, words

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def format_junit(diagnostics: Sequence[Diagnostic], files: Sequence[str] = ()) -> str:
    """One suite for each file, one failed case for each diagnostic; a clean file is one passed case."""
    found: dict[str, list[Diagnostic]] = {posix(name): [] for name in files}
    for diagnostic in diagnostics:
        found.setdefault(posix(diagnostic.file), []).append(diagnostic)
    root = ET.Element("testsuites", name="pettingllms lint")
    for file, faults in found.items():
        suite = ET.SubElement(root, "testsuite", name=_xml(file))
        _count(suite, max(len(faults), 1), len(faults))
        for diagnostic in faults:
            _failed(suite, file, diagnostic)
        if not faults:
            ET.SubElement(suite, "testcase", classname=_xml(file), name="lint", file=_xml(file))
    _count(root, sum(max(len(faults), 1) for faults in found.values()), len(diagnostics))
    ET.indent(root)
    # The declaration of ElementTree would name the encoding of this machine.
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _count(element: ET.Element, tests: int, failures: int) -> None:
    for key, number in (("tests", tests), ("failures", failures), ("errors", 0)):
        element.set(key, str(number))


def _failed(suite: ET.Element, file: str, diagnostic: Diagnostic) -> None:
    place = f"{diagnostic.line}:{diagnostic.column}"
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_xml(file),
        name=f"{title(diagnostic.code)} ({place})",
        file=_xml(file),
        line=str(diagnostic.line),
    )
    message = _xml(one_line(diagnostic.words))
    failure = ET.SubElement(case, "failure", type=diagnostic.severity.value, message=message)
    lines = [f"{file}:{place}", diagnostic.source_line.strip(), words(diagnostic)]
    failure.text = _xml("\n".join(line for line in lines if line))


def _xml(text: str) -> str:
    """`text` without the characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)
