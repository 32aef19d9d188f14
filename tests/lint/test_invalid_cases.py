"""Every rule has a failing file; what is said about it is a golden text."""

import re
from pathlib import Path

import pytest

from pettingllms.lint.engine import check_experiment
from pettingllms.lint.facts import Facts
from pettingllms.lint.files.batch import check_or_raise
from pettingllms.lint.files.checked import CheckOptions, Named
from pettingllms.lint.formats.text import format_text
from pettingllms.lint.rule import RULES

CASES = Path(__file__).parents[1] / "cases"
FACTS = {
    "PLM303": Facts(gpus=1),
    "PLM304": Facts(gpus=0),
    "PLM315": Facts.assumed("gpus=1,gpu_memory=8GiB"),
    "PLM316": Facts.assumed("disk=200MiB"),
    "PLM321": Facts(local=True),
}
FILES = sorted([*CASES.glob("invalid/PLM*.toml"), *CASES.glob("invalid/PLM*.yaml")])


def code_of(path):
    return path.stem.split("-")[0]


def overrides_of(path):
    listed = path.with_suffix(".overrides")
    return listed.read_text().splitlines() if listed.is_file() else []


@pytest.fixture
def report(request, monkeypatch):
    monkeypatch.chdir(CASES / "invalid")
    facts = FACTS.get(code_of(request.param))
    options = CheckOptions(overrides=tuple(overrides_of(request.param)), facts=facts)
    return check_or_raise(Named(Path(request.param.name)), options)


@pytest.mark.parametrize(
    ("case", "report"), [(path, path) for path in FILES], indirect=["report"], ids=lambda p: p.stem
)
def test_invalid_case_reports_exactly_its_golden(case, report, golden):
    assert code_of(case) in {found.code for found in report.diagnostics}
    golden(case.with_suffix(".txt"), format_text(report.diagnostics))


@pytest.mark.parametrize("path", sorted(CASES.glob("valid/*.toml")), ids=lambda p: p.stem)
def test_valid_case_is_clean(path):
    assert check_experiment(path).diagnostics == ()


def test_every_rule_has_an_invalid_case():
    assert set(RULES) == {code_of(path) for path in FILES}


def test_every_rule_has_a_page_that_begins_with_a_sentence():
    for rule in RULES.values():
        assert re.match(r"[^\n]+\.(\n|$)|[^\n]+`\)\.", rule.page), rule.code


def test_no_golden_shows_wording_of_pydantic():
    for golden_file in CASES.glob("invalid/*.txt"):
        text = golden_file.read_text()
        assert "Input should" not in text
        assert "pydantic" not in text
