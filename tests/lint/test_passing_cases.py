"""Every rule has files right beside its fault, about which it has nothing to say."""

import pytest
from case_files import cases_in, code_of, report_of

from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import RULES

FILES = cases_in("passing")


@pytest.mark.parametrize("case", FILES, ids=lambda path: path.stem)
def test_passing_case_has_no_error_and_nothing_of_its_rule(case, monkeypatch):
    found = report_of(case, monkeypatch).diagnostics
    assert [one.message for one in found if one.code == code_of(case)] == []
    assert [one.message for one in found if one.severity is Severity.ERROR] == []


def test_every_rule_has_a_passing_case():
    assert set(RULES) == {code_of(path) for path in FILES}
