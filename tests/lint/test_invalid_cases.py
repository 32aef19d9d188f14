"""Every rule has a failing file, and where a swept value can break it one that fails in some cells only.

What is said about them is a golden text.
"""

import json
import re

import pytest
from case_files import CASES, cases_in, code_of, report_of

from pettingllms.config.load import draft_experiment
from pettingllms.documents.source import dotted
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.formats.text import format_text
from pettingllms.lint.rule import RULES

FILES = cases_in("invalid")
IN_ONE_CELL = [path for path in FILES if path.stem.endswith("-in-one-cell")]
OF_THE_TEXT = "it is found while the text is read, which is the same text for all cells"
OF_DEFAULTS = "the `defaults` list is followed before there are cells, and cannot be swept"
OF_THE_AXIS = "it is a fault of an axis, whichever of its values a cell has"
OF_THE_SPACE = "it is about all cells together"
OF_THE_STUDY = "it is about `[sweep]`, in which nothing can be swept"
NEVER_IN_ONE_CELL = {
    "PLM001": OF_THE_TEXT,
    "PLM002": OF_THE_TEXT,
    "PLM008": "nulls are taken from the text, also inside of an axis, before there are cells",
    "PLM009": "overrides are applied before there are cells",
    "PLM010": "a file that sweeps a key sets one",
    "PLM011": "a file says by its sections what it is, and those are the same in all cells",
    "PLM012": "comments are the same in all cells",
    "PLM013": "`format` cannot be swept",
    "PLM211": OF_DEFAULTS,
    "PLM212": OF_DEFAULTS,
    "PLM213": OF_DEFAULTS,
    "PLM214": OF_DEFAULTS,
    "PLM215": OF_DEFAULTS,
    "PLM401": OF_THE_AXIS,
    "PLM402": OF_THE_AXIS,
    "PLM403": OF_THE_AXIS,
    "PLM404": OF_THE_SPACE,
    "PLM405": OF_THE_AXIS,
    "PLM406": OF_THE_AXIS,
    "PLM407": OF_THE_AXIS,
    "PLM408": OF_THE_AXIS,
    "PLM409": "an expression must have a value in every cell, so that one without it makes all of it wrong",
    "PLM410": "an expression is one text for all cells",
    "PLM411": OF_THE_SPACE,
    "PLM412": OF_THE_AXIS,
    "PLM413": OF_THE_AXIS,
    "PLM414": OF_THE_AXIS,
    "PLM415": OF_THE_SPACE,
    "PLM416": "it is about two cells, and names them itself",
    "PLM417": OF_THE_STUDY,
    "PLM418": OF_THE_STUDY,
    "PLM419": OF_THE_STUDY,
    "PLM421": OF_THE_AXIS,
    "PLM422": OF_THE_STUDY,
    "PLM423": OF_THE_AXIS,
    "PLM601": OF_THE_TEXT,
    "PLM602": OF_THE_TEXT,
    "PLM603": OF_THE_TEXT,
}
"""Why these rules have no file in which the default of an axis is right and another of its values is not."""


@pytest.mark.parametrize("case", FILES, ids=lambda path: path.stem)
def test_invalid_case_reports_exactly_its_golden(case, monkeypatch, golden):
    report = report_of(case, monkeypatch)
    assert code_of(case) in {found.code for found in report.diagnostics}
    golden(case.with_suffix(".txt"), format_text(report.diagnostics))


@pytest.mark.parametrize("case", IN_ONE_CELL, ids=lambda path: path.stem)
def test_a_fault_of_some_cells_is_none_of_the_defaults(case, monkeypatch):
    report = report_of(case, monkeypatch)
    faults = [found.message for found in report.diagnostics if found.code == code_of(case)]
    counts = [re.search(r"\(in (\d+) of (\d+) cells: ", text) for text in faults]
    assert all(count and int(count[1]) < int(count[2]) for count in counts), faults
    defaults = [f"{dotted(axis.path)}:={json.dumps(axis.default)}" for axis in draft_experiment(case).axes]
    assert code_of(case) not in {found.code for found in report_of(case, monkeypatch, *defaults).diagnostics}


@pytest.mark.parametrize("path", sorted(CASES.glob("valid/*.toml")), ids=lambda p: p.stem)
def test_valid_case_is_clean(path):
    assert check_experiment(path).diagnostics == ()


def test_every_rule_has_an_invalid_case():
    assert set(RULES) == {code_of(path) for path in FILES}


def test_every_rule_fails_in_one_cell_or_has_a_reason_why_none_can():
    swept = {code_of(path) for path in IN_ONE_CELL}
    assert swept | set(NEVER_IN_ONE_CELL) == set(RULES)
    assert not swept & set(NEVER_IN_ONE_CELL)


def test_every_rule_has_a_page_that_begins_with_a_sentence():
    for rule in RULES.values():
        assert re.match(r"[^\n]+\.(\n|$)|[^\n]+`\)\.", rule.page), rule.code


def test_no_golden_shows_wording_of_pydantic():
    for golden_file in CASES.glob("invalid/*.txt"):
        text = golden_file.read_text()
        assert "Input should" not in text
        assert "pydantic" not in text
